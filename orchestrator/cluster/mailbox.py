"""What a worker has to say, kept until the scheduler has it safely.

Every event gets a number. Whoever asks says after which number to go on, and up to which one everything is in the store. An attempt's events
go only when its last one is: so a scheduler that takes over from a dead one hears all of what it has to know.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["ALONE_SECONDS", "ENDINGS", "Mailbox", "leave_when_alone"]

ENDINGS = ("ended", "raised", "died", "lost", "refused")
"""The last event of an attempt is one of these."""

_TOGETHER_SECONDS = 0.05
"""How long events wait for others to be told with: each answer costs the scheduler a transaction."""

ALONE_SECONDS = 600.0
"""How long a worker without a run waits for a scheduler before it leaves and its devices are free."""


class Mailbox:
    """Filled by the threads that listen to trainers, emptied through Ray."""

    def __init__(self) -> None:
        self._kept: list[dict[str, Any]] = []
        self._count = 0
        self._signs: dict[str, float] = {}
        self._signed = False
        self._filled = threading.Condition()
        self.asked_at = time.monotonic()

    def put(self, event: Mapping[str, Any]) -> None:
        """Keep an event; it gets the next number. An `alive` is a sign of life and nothing to keep."""
        if event["kind"] == "alive":
            self.sign(event["token"])
            return
        with self._filled:
            self._signs.pop(event["token"], None)
            self._kept.append({**event, "number": self._count})
            self._count += 1
            self._filled.notify_all()

    def sign(self, token: str, age: float = 0.0) -> None:
        """An attempt has given a sign of life `age` seconds ago."""
        with self._filled:
            self._signs[token], self._signed = time.monotonic() - age, True
            self._filled.notify_all()

    def signs(self) -> dict[str, float]:
        """Seconds since the last sign of life of each attempt that has given one since its last event."""
        with self._filled:
            self._signed = False
            return {token: time.monotonic() - at for token, at in self._signs.items()}

    def take(self, wait_seconds: float, *, after: int = -1, settled: int = -1) -> list[dict[str, Any]]:
        """Events numbered above `after`; waits for the first, or a sign of life, up to `wait_seconds`, and then a moment for others, up to
        the end of an attempt.

        Those up to `settled` are in the store.
        """
        with self._filled:
            self.asked_at = time.monotonic()
            self._drop(settled)
            self._filled.wait_for(lambda: self._last() > after or self._signed, timeout=wait_seconds)
            if self._last() > after:
                self._filled.wait_for(lambda: not self._kept or self._kept[-1]["kind"] in ENDINGS, timeout=_TOGETHER_SECONDS)
            self.asked_at = time.monotonic()
            return [event for event in self._kept if event["number"] > after]

    def _last(self) -> int:
        return self._kept[-1]["number"] if self._kept else -1

    def _drop(self, settled: int) -> None:
        over = {event["token"] for event in self._kept if event["number"] <= settled and event["kind"] in (*ENDINGS, "left")}
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
