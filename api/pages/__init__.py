"""The pages: a route file with the template of the same name. A file in this folder that defines `router` *is* the registration.

A page with a place in the navigation defines `TAB`. Its `.json` and `.csv` twins stand beside it and take the same query.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from fastapi import APIRouter

from api.pages.tab import Tab

__all__ = ["Tab", "router", "tabs"]


@cache
def _modules() -> tuple[ModuleType, ...]:
    found = (import_module(f"{__name__}.{entry.name}") for entry in iter_modules(__path__))
    return tuple(module for module in found if hasattr(module, "router"))


def tabs() -> list[Tab]:
    """The navigation, from left to right."""
    return sorted(module.TAB for module in _modules() if hasattr(module, "TAB"))


router = APIRouter(include_in_schema=False)
for _module in _modules():
    router.include_router(_module.router)
