"""`scaling status --watch`: the display of `scaling submit`, of a store that another command works on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.store.progress import Progress

__all__ = ["looks_at", "watch"]

_LOOK_SECONDS = 1.0
_SHARE = 20.0
"""Summing up a large store takes time; a twentieth of a core goes into it."""

_ALONE = "no scheduler is at work: `scaling submit` goes on with these runs; this waits for it, Ctrl-C ends it"


def watch(look: Callable[[], Progress]) -> None:
    """Show the progress that `look` returns until no run is pending or in training, or until Ctrl-C.

    Where no scheduler is at work it says so, and waits for one.
    """
    from scaling.cli.output import messages
    from scaling.cli.progress import live_progress

    is_told = False
    with live_progress() as show:
        while True:
            began = time.monotonic()
            progress = look()
            show(progress)
            if not any(progress.counts.get(status) for status in ("pending", "running")):
                return
            if not progress.has_scheduler and not is_told:
                messages().print(_ALONE, highlight=False, markup=False)
            is_told = not progress.has_scheduler
            time.sleep(max(_LOOK_SECONDS, _SHARE * (time.monotonic() - began)))


def looks_at(db: str, server: str | None) -> Callable[[], Progress]:
    """Return what reads the progress: of the store `db`, or of a `scaling serve` at the address `server`."""
    from orchestrator.store.progress import Progress, experiment_at_hand, progress_of

    if server is not None:
        from scaling.cli.server import Server

        return lambda: Progress.of(Server(server).get("/progress"))

    from orchestrator.store import open_readonly

    store = open_readonly(db)

    def look() -> Progress:
        with store.read() as session:
            return progress_of(session, experiment_at_hand(session))

    return look
