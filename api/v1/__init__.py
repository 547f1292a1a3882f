"""The JSON API, one file a resource.

To add one, add a file that defines `router` to this folder: it is found here. What a page of the analysis tells is declared with the
page, in `api.pages`.

The bodies come from `analysis.payloads` and `orchestrator.store.payloads`, which the command's `--json` uses too.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from fastapi import APIRouter

__all__ = ["PREFIX", "router", "routers"]

PREFIX = "/api/v1"

router = APIRouter(prefix=PREFIX, tags=["v1"])
_found = [import_module(f"{__name__}.{entry.name}") for entry in iter_modules(__path__)]
routers: list[APIRouter] = [module.router for module in _found if hasattr(module, "router")]
for _router in routers:
    router.include_router(_router)
