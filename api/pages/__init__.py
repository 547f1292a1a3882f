"""The pages, each a route file with the template of the same name.

To add one, add a file that defines `router` to this folder, and its template: it is found here.
A page with a place in the navigation defines `TAB`. Its `.csv` route is in the same file and takes the same query; its `.json` redirects
to /api/v1. A page of the analysis is one `Page`, see `api.pages.page`: what is asked, what answers it, and its JSON in the API.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse

from api.pages.tab import Tab

__all__ = ["Tab", "router", "routers", "tabs"]


@cache
def _modules() -> tuple[ModuleType, ...]:
    found = (import_module(f"{__name__}.{entry.name}") for entry in iter_modules(__path__))
    return tuple(module for module in found if hasattr(module, "router"))


def tabs() -> list[Tab]:
    """List the tabs of the navigation, from left to right."""
    return sorted(module.TAB for module in _modules() if hasattr(module, "TAB"))


def routers() -> list[APIRouter]:
    """List the routers of the pages."""
    return [module.router for module in _modules()]


router = APIRouter()


@router.get("/runs.json", include_in_schema=False)
@router.get("/runs/{run_id}.json", include_in_schema=False)
@router.get("/experiments.json", include_in_schema=False)
@router.get("/experiments/{name}.json", include_in_schema=False)
def as_json(request: Request) -> RedirectResponse:
    """Redirect to the HTTP API, which answers what the pages of runs and experiments show under the same name."""
    path, query = quote(request.url.path.removesuffix(".json")), request.url.query
    return RedirectResponse(f"/api/v1{path}{'?' if query else ''}{query}", 307)


for _module in _modules():
    router.include_router(_module.router)
