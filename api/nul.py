"""The character NUL, which no name here has and PostgreSQL takes in no text: such a link is refused before it gets there."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import problem_response

__all__ = ["RefusesNul"]


class RefusesNul:
    """Answers 404 to a path with the character, and 422 to a query with it. It is ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_in_path = scope["type"] == "http" and "\x00" in scope["path"]
        if is_in_path or (scope["type"] == "http" and b"%00" in scope["query_string"]):
            where = "path" if is_in_path else "query"
            answer = problem_response(
                404 if is_in_path else 422, f"the {where} has a NUL character", hint="no name has one: leave it out"
            )
            await answer(scope, receive, send)
            return
        await self.app(scope, receive, send)
