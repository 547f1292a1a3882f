"""Who may change runs: whoever has the token, from a page of this server or from a program.

A program sends `Authorization: Bearer TOKEN`. A browser logs in once and gets a cookie, which scripts cannot read and other sites cannot send.
Other ports of this machine are the same site to a browser, so a request must also say that it comes from this very server.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem, problem_answer

__all__ = ["COOKIE", "Guard", "Login"]

COOKIE = "scaling_login"
_MOST_BYTES = 64 * 1024
_LOGIN = "/login"
_GUARDED = ("/api/v1/steer/", "/steer/", "/login", "/logout")
"""Whatever changes something lies under one of these."""


@dataclass(frozen=True)
class Login:
    """Knows the token, and the cookie of who has shown it: a keyed digest, so that the cookie does not give the token away."""

    token: str = field(repr=False)

    @property
    def cookie(self) -> str:
        return hmac.new(self.token.encode(), b"cookie of the pages", hashlib.sha256).hexdigest()

    def is_token(self, given: str) -> bool:
        """Compare in a time that does not depend on where the two differ."""
        return hmac.compare_digest(_digest(given), _digest(self.token))

    def is_cookie(self, given: str) -> bool:
        return hmac.compare_digest(_digest(given), _digest(self.cookie))

    def allows(self, request: Request) -> bool:
        """Say whether a request carries the token, or the cookie of a login."""
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind:
            return kind.lower() == "bearer" and self.is_token(given.strip())
        return self.is_cookie(request.cookies.get(COOKIE, ""))


class Guard:
    """Lets a request that changes something pass where it may. It is ASGI middleware, and looks at all but GET and HEAD under `_GUARDED`.

    login: None where the server has no token; then nothing may be changed.
    """

    def __init__(self, app: ASGIApp, *, login: Login | None) -> None:
        self.app, self._login = app, login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD") or not scope["path"].startswith(_GUARDED):
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        body = None if (refused := self._refused(request)) is not None else await _body(receive)
        if refused is None and body is None:
            refused = _refusal(
                request, 413, f"a request has at most {_MOST_BYTES:,} bytes", "name an experiment instead of its runs"
            )
        if refused is not None:
            await refused(scope, receive, send)
            return
        given: bytes | None = body

        async def receive_again() -> Message:
            nonlocal given
            if given is None:
                return await receive()
            message, given = {"type": "http.request", "body": given, "more_body": False}, None
            return message

        await self.app(scope, receive_again, send)

    def _refused(self, request: Request) -> Response | None:
        if self._login is None:
            return _refusal(
                request,
                403,
                "this server only shows runs: it was started without a token",
                "`scaling serve --token-file FILE` lets those who have the token change runs",
                code="steering-off",
            )
        if (length := request.headers.get("content-length", "0")).isdigit() and int(length) > _MOST_BYTES:
            return _refusal(request, 413, f"a request has at most {_MOST_BYTES:,} bytes", "name an experiment instead of its runs")
        if not _is_of_this_server(request.headers):
            return _refusal(
                request,
                403,
                "the request comes from a page of another site",
                "use the buttons of this server's own pages, or send `Authorization: Bearer TOKEN` from a program",
                code="cross-site",
            )
        if request.url.path == _LOGIN or self._login.allows(request):
            return None
        if _is_form(request):
            back = urlsplit(request.headers.get("referer", "")).path or "/runs"
            return RedirectResponse(f"{_LOGIN}?back={quote(back)}", 303)
        return _refusal(
            request,
            401,
            "the token is wrong" if request.headers.get("authorization") else "changing runs needs the server's token",
            "send `Authorization: Bearer TOKEN`, with the token of `scaling serve --token-file`; in a browser, log in at /login",
            code="login-needed",
            headers={"WWW-Authenticate": "Bearer"},
        )


def _is_of_this_server(headers: Headers) -> bool:
    """Say whether a request comes from a page of this server, or with a token from a program, which sends neither header.

    Every browser sends `Origin` with a POST. The port counts; the scheme does not, since a proxy may speak TLS for us.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    if origin is not None:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
    return site is not None or "cookie" not in headers or "authorization" in headers


def _is_form(request: Request) -> bool:
    return not request.url.path.startswith("/api/") and request.headers.get("content-type", "").startswith(
        "application/x-www-form-urlencoded"
    )


def _refusal(
    request: Request, status: int, detail: str, hint: str, *, code: str = "", headers: dict[str, str] | None = None
) -> Response:
    return problem_answer(request, problem(status, detail, code=code, hint=hint), headers)


async def _body(receive: Receive) -> bytes | None:
    """Read the body of a request; None where it is too long or its client is gone."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > _MOST_BYTES:
            return None
        if not message.get("more_body", False):
            return body


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
