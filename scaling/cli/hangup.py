"""A terminal that goes away while a command works: an SSH line that drops, a window that is closed."""

from __future__ import annotations

import errno
import os
import signal
import termios
from collections.abc import Callable
from types import FrameType

__all__ = ["leave_terminal", "stop_on_signals"]


def stop_on_signals() -> Callable[[], bool]:
    """Return a function that is true from the first Ctrl-C, SIGTERM or SIGHUP on, so that runs can checkpoint.

    A second Ctrl-C or SIGTERM ends the command at once.

    A SIGHUP that was ignored when the command began (`nohup`) stays ignored. It never counts as the second signal: the shell and the
    system each send one when a line drops.

    Handlers set plain names: a `threading.Event` has a lock, and a signal that comes while this thread holds it would wait for ever.
    """
    stop = asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal stop, asked
        if asked:
            raise KeyboardInterrupt
        stop = asked = True

    def hang_up(number: int, frame: FrameType | None) -> None:
        nonlocal stop
        leave_terminal()
        stop = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, hang_up)
    return lambda: stop


def leave_terminal() -> None:
    """Send what would be written to a terminal that is gone to nowhere: each write to it would be an error."""
    for stream in (0, 1, 2):
        if _is_gone(stream):
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, stream)
            os.close(nowhere)


def _is_gone(stream: int) -> bool:
    """Say whether a file descriptor is of a terminal that was hung up."""
    try:
        termios.tcgetattr(stream)
    except termios.error as error:
        return bool(error.args) and error.args[0] == errno.EIO
    return False
