"""The JSON API, one file a resource.

To add one, add a file that defines `router` to this folder: it is found here. What a page of the analysis tells is declared with the
page, in `api.pages`.

The bodies come from `analysis.payloads` and `orchestrator.store.payloads`, which the command's `--json` uses too.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from fastapi import APIRouter

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["v1"])
for _module in [import_module(f"{__name__}.{entry.name}") for entry in iter_modules(__path__)]:
    if hasattr(_module, "router"):
        router.include_router(_module.router)
