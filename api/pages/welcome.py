"""`/`, which redirects to the frontier, and the page that stands for every other while there is no store."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from api.database import Database
from api.rendering import render

__all__ = ["no_store", "router"]

router = APIRouter(include_in_schema=False)


@router.get("/")
def front() -> RedirectResponse:
    return RedirectResponse("/frontier", 307)


def no_store(request: Request, database: Database) -> HTMLResponse | None:
    """Render the page that says how to make a store; None when there is one."""
    if database.exists:
        return None
    return render(request, "welcome.html", headers={"Cache-Control": "no-store"})
