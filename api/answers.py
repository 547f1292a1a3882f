"""Last answers: a page of the analysis shows the last one at once, while one computation for all clients makes the next.

The JSON and CSV of the analysis wait for the answer to the present results. They share the computation.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.answered import Answered, Of, checked_alone
from api.apart import PREFIX, Figures
from api.database import Database
from api.inward import Reply, reply_to
from api.worker import Worker

__all__ = ["Answers"]

_logger = logging.getLogger(__name__)

_REST = 2.0
"""A link is answered anew after so many times as long as its last answer took: an open page takes a third of a core at most."""

_MOST_BYTES, _MOST_LINKS = 64 * 2**20, 500
_FRESH, _STALE = b'<html lang="en">', b'<html lang="en" data-stale>'
_NO_RELOAD, _RELOAD = b"<!-- reload -->", b'<noscript><meta http-equiv="refresh" content="5"></noscript>'

Link: TypeAlias = tuple[str, bytes, bool]
"""Path, query, and whether HTML is asked for."""


@dataclass(frozen=True)
class _Kept:
    """Keeps an answer: of which version, when it was begun and done (monotonic seconds)."""

    reply: Reply
    version: str
    begun: float
    done: float


@dataclass
class _Link:
    """Holds what is known of a link: its last answer, and the computation that is under way."""

    kept: _Kept | None = None
    under_way: asyncio.Task[_Kept] | None = None
    begun: float = 0.0
    waits: asyncio.TimerHandle | None = field(default=None)


class Answers:
    """Answers marked routes from what `worker` computed, each link at most once for each version of what it is of.

    It is ASGI middleware. A page that has no answer yet says so at once, and loads itself again when there is one.

    answered: tells which routes are marked. told: called with a link, `path?query`, when a page has a new answer. patience_seconds: how long a page waits
    for the answer to the present results.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        database: Database,
        worker: Worker,
        answered: Answered,
        told: Callable[[str], None],
        patience_seconds: float,
    ) -> None:
        self.app, self.database, self.worker, self.told = app, database, worker, told
        self._answered = answered
        self._patience = patience_seconds
        self._links: OrderedDict[Link, _Link] = OrderedDict()
        self._figures = Figures()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        if scope["path"].startswith(PREFIX):
            await self._figures.response(scope["path"])(scope, receive, send)
            return
        of = self._answered.of(scope["path"])
        is_page = Answered.is_page(scope["path"])
        version = None if of is None else await self._version(of, lately=is_page)
        if of is None or version is None:  # no store yet, or one whose versions cannot be told
            await self.app(scope, receive, send)
            return
        accept = Headers(scope=scope).get("accept", "")
        link: Link = (scope["path"], scope["query_string"], "text/html" in accept)
        kept = await self._refused(scope, link, of, version) if is_page else None
        if kept is None:
            kept = await (self._shown(link, of, version) if is_page else self._present(link, of, version))
        await self._response(Request(scope), of, kept, version)(scope, receive, send)

    async def _version(self, of: Of, *, lately: bool = False) -> str | None:
        results = partial(self.database.results, lately=lately)
        return await run_in_threadpool(results if of == "results" else self.database.version)

    async def _refused(self, scope: Scope, link: Link, of: Of, version: str) -> _Kept | None:
        """Return the refusal of a link that asks what cannot be read; None where it can, and where the link was answered before.

        Without it such a link would be told first that its answer is being computed.
        """
        if link in self._links:
            return None
        with checked_alone():
            reply = await reply_to(self.app, {**scope, "state": {**scope.get("state", {}), "version": version, "of": of}})
        now = time.monotonic()
        return _Kept(reply, version, now, now) if 400 <= reply.status < 500 else None

    async def _shown(self, link: Link, of: Of, version: str) -> _Kept | None:
        """Return the answer to the present results if it is there in time, else the last one; None where there is none yet."""
        known = self._known(link)
        if known.kept is not None and known.kept.version == version:
            return known.kept
        if known.under_way is None and known.kept is not None:
            rest = known.kept.done + _REST * (known.kept.done - known.kept.begun) - time.monotonic()
            if rest > 0 and self._patience < rest:
                self._begin_later(link, of, known, rest)
                return known.kept
        task = self._begun(link, of, known, version)
        try:
            return await asyncio.wait_for(asyncio.shield(task), self._patience)
        except TimeoutError:
            return known.kept

    async def _present(self, link: Link, of: Of, version: str) -> _Kept:
        """Return an answer that was begun after this was asked: what the caller has seen done is in it."""
        known, arrived = self._known(link), time.monotonic()
        if known.kept is not None and known.kept.version == version:
            return known.kept
        if known.under_way is not None and known.begun < arrived:
            found = await asyncio.shield(known.under_way)
            if found.version == version:
                return found
        return await asyncio.shield(self._begun(link, of, known, version))

    def _known(self, link: Link) -> _Link:
        known = self._links.setdefault(link, _Link())
        self._links.move_to_end(link)
        return known

    def _begun(self, link: Link, of: Of, known: _Link, version: str) -> asyncio.Task[_Kept]:
        """Return the computation of a link that is under way, begun now if there is none."""
        if known.under_way is None:
            known.begun = time.monotonic()
            known.under_way = asyncio.create_task(self._computed(link, of, known, version), name=link[0])
            known.under_way.add_done_callback(_say_failed)
        return known.under_way

    def _begin_later(self, link: Link, of: Of, known: _Link, seconds: float) -> None:
        async def begin() -> None:
            version = await self._version(of)
            if version is not None and (known.kept is None or known.kept.version != version):
                self._begun(link, of, known, version)

        def due() -> None:
            known.waits = None
            self._soon = asyncio.ensure_future(begin())

        if known.waits is None:
            known.waits = asyncio.get_running_loop().call_later(seconds, due)

    async def _computed(self, link: Link, of: Of, known: _Link, version: str) -> _Kept:
        path, query, is_html = link
        accept = b"text/html" if is_html else b"*/*"
        try:
            try:
                reply = await self._asked(path, query, accept, version, of)
            except BrokenExecutor:
                # Most often killed from outside, or by another question before this one: another process is tried once.
                reply = await self._asked(path, query, accept, version, of)
        finally:
            known.under_way = None
        if is_html:
            reply.body = self._figures.apart(reply.body)
            reply.headers = [header for header in reply.headers if header[0] != b"content-length"]
        found = _Kept(reply, version, known.begun, time.monotonic())
        known.kept = None if reply.status >= 500 else found
        self._forget_oldest(link)
        self.told(f"{path}?{query.decode('latin-1')}" if query else path)
        return found

    async def _asked(self, path: str, query: bytes, accept: bytes, version: str, of: Of) -> Reply:
        return await asyncio.wrap_future(self.worker.begin(path, query, accept, {"version": version, "of": of}))

    def _forget_oldest(self, newest: Link) -> None:
        size = sum(len(known.kept.reply.body) for known in self._links.values() if known.kept is not None)
        for link in list(self._links):
            known = self._links[link]
            if (size <= _MOST_BYTES and len(self._links) <= _MOST_LINKS) or link == newest:
                return
            if known.under_way is None and known.waits is None:
                size -= 0 if known.kept is None else len(known.kept.reply.body)
                del self._links[link]

    def _response(self, request: Request, of: Of, kept: _Kept | None, version: str) -> Response:
        if kept is None:
            from api.rendering import render

            request.state.version, request.state.of = "", of
            return _as_stale(render(request, "computing.html", code=202))
        found = kept.reply
        response = Response(found.body, found.status)
        length = [header for header in response.raw_headers if header[0] == b"content-length"]
        response.raw_headers = [*(header for header in found.headers if header[0] != b"content-length"), *length]
        return response if kept.version == version else _as_stale(response)


def _say_failed(task: asyncio.Task[_Kept]) -> None:
    """Log that an answer could not be computed: a page that has shown the last one does not wait to hear of it, and asks again."""
    if not task.cancelled() and (error := task.exception()) is not None:
        is_known = isinstance(error, BrokenExecutor)
        _logger.error(
            "the process that computed %s died, and so did the one after it" if is_known else "%s could not be computed",
            task.get_name(),
            exc_info=None if is_known else error,
        )


def _as_stale(response: Response) -> Response:
    """Mark a page as the last answer while the next is computed: it says of when it is, and loads itself again without JavaScript."""
    body = bytes(response.body).replace(_FRESH, _STALE, 1).replace(_NO_RELOAD, _RELOAD, 1)
    headers = {key: value for key, value in response.headers.items() if key not in ("content-length", "cache-control", "etag")}
    return Response(body, response.status_code, {**headers, "Cache-Control": "no-store"})
