"""`ETag` and 304: an answer is a function of the store, the link and this process, so the tag is known before the answer is."""

from __future__ import annotations

import hashlib
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.answered import Answered
from api.database import Database

__all__ = ["Conditional"]

_NOT_OF_THE_STORE = (
    *("/assets/", "/figures/", "/api/v1/events"),
    *("/healthz", "/readyz", "/version", "/metrics", "/openapi.json", "/docs", "/login"),
)


class Conditional:
    """Answers 304 to a GET that carries the current tag, without computing anything. It is ASGI middleware.

    answered: tells which answers change with the results alone, not with every step of a run in training. A route finds the version in
    `request.state.version`, and in `request.state.of` whether that is of the `results` or of the `store`.

    A route whose answer depends on more than the store (on the time, say) sets `Cache-Control` itself and gets no tag.
    """

    def __init__(self, app: ASGIApp, database: Database, answered: Answered) -> None:
        self.app, self.database, self._answered = app, database, answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or scope["path"].startswith(_NOT_OF_THE_STORE):
            await self.app(scope, receive, send)
            return
        of = self._answered.of(scope["path"]) or "store"
        lately = partial(self.database.results, lately=Answered.is_page(scope["path"]))
        version = await run_in_threadpool(lately if of == "results" else self.database.version)
        scope.setdefault("state", {}).update(version=version or "", of=of)
        if version is None:
            await self.app(scope, receive, send)
            return
        link = scope["path"].encode() + b"?" + scope["query_string"]
        tag = f'W/"{hashlib.sha256(version.encode() + link).hexdigest()[:20]}"'
        if tag in (entry.strip() for entry in Headers(scope=scope).get("if-none-match", "").split(",")):
            await Response(status_code=304, headers={"ETag": tag, "Cache-Control": "no-cache"})(scope, receive, send)
            return

        async def send_with_tag(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                headers = MutableHeaders(scope=message)
                if "cache-control" not in headers:
                    headers["ETag"] = tag
                    headers["Cache-Control"] = "no-cache"  # keep it, but ask each time
            await send(message)

        await self.app(scope, receive, send_with_tag)
