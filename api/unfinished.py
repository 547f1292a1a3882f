"""The server's side of a connection, which does not wait for ever for a request that is never finished."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["CutsUnfinished"]

REQUEST_SECONDS = 15.0
"""Most seconds from a request's first byte to its last, and until the first one comes. A request is a few hundred bytes."""


class CutsUnfinished(H11Protocol):
    """Limits the time that receiving one request may take, as uvicorn's protocol that closes the connection then.

    An answer that is under way is not touched, however long it takes.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    @property
    def _is_unfinished(self) -> bool:
        """Say whether a request, or the rest of one, is still to come, and no answer is under way."""
        is_answering = self.cycle is not None and not self.cycle.response_complete
        return not is_answering and self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def _watch(self) -> None:
        """Start or end the deadline. Each request has one: bytes that trickle in do not put it off."""
        if not self._is_unfinished or self.transport.is_closing():
            self._unwatch()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self._cut)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _cut(self) -> None:
        self._deadline = None
        if self._is_unfinished:
            self.transport.abort()
