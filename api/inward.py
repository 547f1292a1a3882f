"""One answer of an application, asked for without a network: how a page is made in a process of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Scope

__all__ = ["Reply", "ask", "reply_to"]


@dataclass
class Reply:
    """Holds status, headers and body of an answer."""

    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""


async def ask(app: ASGIApp, path: str, query: bytes, accept: bytes, state: dict[str, Any]) -> Reply:
    """Return what `app` answers to a GET. state: what the route finds in `request.state`."""
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query,
        "headers": [(b"host", b"localhost"), (b"accept", accept)],
        "client": None,
        "server": ("localhost", 80),
        "state": state,
    }
    return await reply_to(app, scope)


async def reply_to(app: ASGIApp, scope: Scope) -> Reply:
    """Return what `app` answers to a request without a body."""
    reply, asked = Reply(), False

    async def receive() -> Message:
        nonlocal asked
        if asked:
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            reply.status, reply.headers = message["status"], [tuple(header) for header in message["headers"]]
        else:
            reply.body += message.get("body", b"")

    await app(scope, receive, send)
    return reply
