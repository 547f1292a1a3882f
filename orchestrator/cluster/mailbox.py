"""The events of a worker, kept until the scheduler has them in the store.

Every event gets a number. Whoever asks says after which number to go on, and up to which one everything is in the store. An attempt's
events go only when its last one is: so a scheduler that takes over from a dead one hears all of what it has to know.

`Alive` is not kept: of an attempt that says nothing for a day it would be 17,280 events. It is told once, to whoever asks next, under the
number of the event before it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from orchestrator.messages import Alive, Message, NumberedMessage

__all__ = ["ALONE_SECONDS", "Mailbox", "leave_when_alone"]

_TOGETHER_SECONDS = 0.05
"""How long an event waits for others, to go in one answer: each answer costs the scheduler a transaction."""

ALONE_SECONDS = 600.0
"""How long a worker without a run waits for a scheduler before it leaves and its devices are free."""


class Mailbox:
    """Holds events: threads that listen to trainers put them in, and Ray calls take them out."""

    def __init__(self) -> None:
        self._kept: list[NumberedMessage] = []
        self._alive: dict[str, Message] = {}
        self._count = 0
        self._filled = threading.Condition()
        self.asked_at = time.monotonic()

    def put(self, message: Message) -> None:
        """Keep an event; it gets the next number."""
        with self._filled:
            if isinstance(message.event, Alive):
                self._alive[message.token] = message
            else:
                self._alive.pop(message.token, None)
                self._kept.append(_numbered(message, self._count))
                self._count += 1
            self._filled.notify_all()

    def take(self, wait_seconds: float, *, after: int = -1, settled: int = -1) -> list[NumberedMessage]:
        """Return the events numbered above `after`.

        Waits for the first up to `wait_seconds`, and then a moment for others, up to the end of an attempt. Those up to `settled` are in
        the store.
        """
        with self._filled:
            self.asked_at = time.monotonic()
            self._drop(settled)
            if self._filled.wait_for(lambda: self._last() > after or self._alive, timeout=wait_seconds):
                self._filled.wait_for(lambda: not self._kept or self._kept[-1].event.is_last, timeout=_TOGETHER_SECONDS)
            self.asked_at = time.monotonic()
            alive, self._alive = [_numbered(message, self._count - 1) for message in self._alive.values()], {}
            return [*(message for message in self._kept if message.number > after), *alive]

    def _last(self) -> int:
        return self._kept[-1].number if self._kept else -1

    def _drop(self, settled: int) -> None:
        over = {message.token for message in self._kept if message.number <= settled and message.event.is_last}
        if over:
            self._kept = [message for message in self._kept if message.number > settled or message.token not in over]

    def tokens(self) -> Iterable[str]:
        """Return the tokens of attempts of which any event is kept."""
        with self._filled:
            return {message.token for message in self._kept}


def _numbered(message: Message, number: int) -> NumberedMessage:
    return NumberedMessage(**{**vars(message), "number": number})


def leave_when_alone(mailbox: Mailbox, is_busy: Callable[[], bool], leave: Callable[[], None], *, seconds: float) -> None:
    """Start a thread that calls `leave` once there has been neither a run nor a question for so long."""

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
