"""Runs a command that ends with whoever started it.

    python -P -m orchestrator.cluster.leash COMMAND…      stdin: held open by the owner; a line `stop` asks the command to end

The command is the head of a process group. When stdin ends, because the owner died or let go, the whole group is killed. The exit code is that of
the command; 128 + n where a signal n killed it, as a shell has it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

__all__ = ["main"]

_NOT_FOUND, _NOT_EXECUTABLE = 127, 126


def main(command: list[str]) -> int:
    """Run a command to its end and return its exit code. What is left of its group is killed then."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except FileNotFoundError:
        return _complain(f"{command[0]}: there is no such command", _NOT_FOUND)
    except OSError as error:
        return _complain(f"{command[0]}: {error.strerror}", _NOT_EXECUTABLE)
    threading.Thread(target=_listen, args=(process.pid,), daemon=True).start()
    code = process.wait()
    _tell(process.pid, signal.SIGKILL)
    return code if code >= 0 else 128 - code


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
    sys.exit(main(sys.argv[1:]))
