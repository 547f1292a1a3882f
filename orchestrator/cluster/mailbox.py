"""What a worker has to say, kept until the scheduler has it safely.

Every event gets a number. Whoever asks says after which number to go on, and up to which one everything is in the store. An attempt's events
go only when its last one is: so a scheduler that takes over from a dead one hears all of what it has to know.

"alive" is not kept: of an attempt that says nothing for a day it would be 17,280 events. It is told once, to whoever asks next, under the
number of the event before it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["ALONE_SECONDS", "ENDINGS", "Mailbox", "leave_when_alone"]

ENDINGS = ("ended", "raised", "died", "lost", "refused", "left")
"""The last event of an attempt is one of these; "left" where several hosts train it and this one is not the first."""

_TOGETHER_SECONDS = 0.05
"""How long events wait for others to be told with: each answer costs the scheduler a transaction."""

ALONE_SECONDS = 600.0
"""How long a worker without a run waits for a scheduler before it leaves and its devices are free."""


class Mailbox:
    """Filled by the threads that listen to trainers, emptied through Ray."""

    def __init__(self) -> None:
        self._kept: list[dict[str, Any]] = []
        self._alive: dict[str, dict[str, Any]] = {}
        self._count = 0
        self._filled = threading.Condition()
        self.asked_at = time.monotonic()

    def put(self, event: Mapping[str, Any]) -> None:
        """Keep an event; it gets the next number."""
        with self._filled:
            if event["kind"] == "alive":
                self._alive[event["token"]] = dict(event)
            else:
                self._alive.pop(event["token"], None)
                self._kept.append({**event, "number": self._count})
                self._count += 1
            self._filled.notify_all()

    def take(self, wait_seconds: float, *, after: int = -1, settled: int = -1) -> list[dict[str, Any]]:
        """Events numbered above `after`; waits for the first up to `wait_seconds`, and then a moment for others, up to the end of an attempt.

        Those up to `settled` are in the store.
        """
        with self._filled:
            self.asked_at = time.monotonic()
            self._drop(settled)
            if self._filled.wait_for(lambda: self._last() > after or self._alive, timeout=wait_seconds):
                self._filled.wait_for(lambda: not self._kept or self._kept[-1]["kind"] in ENDINGS, timeout=_TOGETHER_SECONDS)
            self.asked_at = time.monotonic()
            alive, self._alive = self._alive, {}
            last = {"number": self._count - 1}
            return [*(event for event in self._kept if event["number"] > after), *(event | last for event in alive.values())]

    def _last(self) -> int:
        return self._kept[-1]["number"] if self._kept else -1

    def _drop(self, settled: int) -> None:
        over = {event["token"] for event in self._kept if event["number"] <= settled and event["kind"] in ENDINGS}
        if over:
            self._kept = [event for event in self._kept if event["number"] > settled or event["token"] not in over]

    def tokens(self) -> Iterable[str]:
        """Attempts of which something is kept."""
        with self._filled:
            return {event["token"] for event in self._kept}


def leave_when_alone(mailbox: Mailbox, is_busy: Callable[[], bool], leave: Callable[[], None], *, seconds: float) -> None:
    """From a thread: call `leave` once there has been neither a run nor a question for so long."""

    def watch() -> None:
        idle_since = time.monotonic()
        while True:
            time.sleep(min(5.0, seconds / 4))
            if is_busy():
                idle_since = time.monotonic()
            if time.monotonic() - max(idle_since, mailbox.asked_at) > seconds:
                leave()
                return

    threading.Thread(target=watch, daemon=True).start()
