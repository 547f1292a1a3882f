"""The JSON API, one file a resource. A file in this folder that defines `router` *is* the registration.

The bodies come from `analysis.payloads` and `orchestrator.store.payloads`, which the command's `--json` uses too.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from fastapi import APIRouter

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["v1"])
for _entry in iter_modules(__path__):
    router.include_router(import_module(f"{__name__}.{_entry.name}").router)
