"""Runs a command that ends with whoever started it.

    python -P -m orchestrator.cluster.leash FILE COMMAND…      stdin: held open by the owner; a line `stop` asks the command to end

The command is the head of a process group. When stdin ends, because the owner died or let go, the whole group is killed. The exit code is that of
the command; 128 + n where a signal n killed it, as a shell has it. Then what left the group is killed too (`left_over`).

The leash itself may be killed. Then the kernel kills the command, and its owner the rest of the group by `end_group`, whose number is in FILE.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from orchestrator.cluster.left_over import end_processes

__all__ = ["end_group", "main"]

_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
_PR_SET_PDEATHSIG = 1
"""Asks the kernel for a signal when the parent dies; the number stands in <linux/prctl.h>."""


def main(file: str, *command: str) -> int:
    """Run a command to its end and return its exit code. What is left of it is killed then. file: in the attempt's folder, where the group's number is written."""
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_dies_with_its_parent(file)
        )
    except FileNotFoundError:
        return _complain(f"{command[0]}: there is no such command", _NOT_FOUND)
    except OSError as error:
        return _complain(f"{command[0]}: {error.strerror}", _NOT_EXECUTABLE)
    threading.Thread(target=_listen, args=(process.pid,), daemon=True).start()
    code = process.wait()
    _tell(process.pid, signal.SIGKILL)
    end_processes(Path(file).parent)
    return code if code >= 0 else 128 - code


def end_group(file: str | Path) -> None:
    """Kill what is left of the group whose number is in a file. For the owner of a leash that was killed."""
    with suppress(OSError, ValueError):
        if (group := int(Path(file).read_text())) > 1:
            _tell(group, signal.SIGKILL)


def _dies_with_its_parent(file: str) -> Callable[[], None]:
    """Return what a child does before its command: it writes its number to a file, and asks the kernel to be killed when its parent has died."""
    library, parent = ctypes.CDLL(None), os.getpid()

    def before() -> None:
        with suppress(OSError):  # a full disk
            Path(file).write_text(str(os.getpid()))
        with suppress(AttributeError):  # of Linux alone
            library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(128 + signal.SIGKILL)

    return before


def _listen(group: int) -> None:
    for line in sys.stdin:
        if line.strip() == "stop":
            _tell(group, signal.SIGTERM)
    _tell(group, signal.SIGKILL)


def _tell(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _complain(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
