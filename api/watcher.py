"""Watches the store for all clients of the event stream: one look at it, however many they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from starlette.concurrency import run_in_threadpool

from api.database import Database
from api.run_version import RunVersion
from orchestrator.store.progress import experiment_at_hand, progress_of
from scaling.columns import SCHEMA_VERSION
from scaling.errors import ScalingError

__all__ = ["Event", "Watcher"]

Event = tuple[str, dict[str, Any]]
"""Its name, `progress` or `answered`, and what it tells."""

_LOOK_SECONDS = 0.5
_SHARE = 10.0
"""Counting the runs of a large store takes time; it is done so seldom that a tenth of a core goes into it."""

_WAITING = 100
"""Events that a client may lag behind before the oldest is dropped: each `progress` tells all there is."""


class Watcher:
    """Looks at the store twice a second while anybody listens, and tells all of them when it has changed.

    looks: how often it has summed up the store.
    """

    def __init__(self, database: Database) -> None:
        self.database, self.looks = database, 0
        self._clients: set[asyncio.Queue[Event | None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last: Event | None = None

    async def events(self, after: str | None = None) -> AsyncIterator[Event]:
        """Yield what the store is at now, unless its version is `after`, and then every change, until `close`."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(_WAITING)
        self._loop = asyncio.get_running_loop()
        self._clients.add(queue)
        if self._last is not None and self._task is not None:
            queue.put_nowait(self._last)
        if self._task is None or self._task.done():
            self._last = None
            self._task = asyncio.create_task(self._watch())
        try:
            while (event := await queue.get()) is not None:
                if event[0] == "progress" and event[1]["version"] == after is not None:
                    continue
                yield event
        finally:
            self._clients.discard(queue)

    def tell_answered(self, link: str) -> None:
        """Tell all clients that the page at `link` has a new answer. May be called from another thread."""
        if self._loop is not None and not self._loop.is_closed():
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._tell, ("answered", {"link": link}))

    def close(self) -> None:
        """End all streams. May be called from another thread."""
        if self._loop is not None and not self._loop.is_closed():
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._tell, None)

    def _tell(self, event: Event | None) -> None:
        for queue in self._clients:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    async def _watch(self) -> None:
        while self._clients:
            began = time.monotonic()
            seen = await run_in_threadpool(self._look, self._last[1] if self._last else {})
            if seen is not None:
                self._last = ("progress", seen)
                self._tell(self._last)
            await asyncio.sleep(max(_LOOK_SECONDS, _SHARE * (time.monotonic() - began)))

    def _look(self, before: dict[str, Any]) -> dict[str, Any] | None:
        """Sum up the store; None where it is as it was."""
        version, problem = self.database.version(), None
        if before and version == before["version"] and version is not None:
            return None
        found: dict[str, Any] = {}
        try:
            if self.database.exists:
                with self.database.read() as session:
                    runs_version = RunVersion.of(session).token()
                    found = {**progress_of(session, experiment_at_hand(session)).to_dict(), "runs_version": runs_version}
        except ScalingError as error:
            problem = str(error)
        results = self.database.results()
        if before and (version, results, problem) == (before["version"], before["results"], before["problem"]):
            return None
        self.looks += 1
        at = datetime.now(UTC).isoformat(timespec="seconds")
        return {"schema_version": SCHEMA_VERSION, "version": version, "results": results, "at": at, "problem": problem, **found}
