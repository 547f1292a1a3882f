"""`/docs`: the HTTP API for people, by swagger-ui, which is served from here as all else."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.rendering import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/docs")
def docs_page(request: Request) -> Response:
    return render(request, "docs.html", headers={"Cache-Control": "no-store"})
