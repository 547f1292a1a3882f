"""The laws: one file each. A file in this folder that defines `LAW` *is* the registration; nothing else lists laws.

A law says what it is called, its formula, its coefficients by the letters of the formula, where it comes from, and its terms. From these
`analysis.fitting` fits it by every objective, with intervals. The back-test, the command, the API and the figures then offer it.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from analysis.laws.law import Law
from scaling.errors import UnknownName

__all__ = ["Law", "law_named", "law_names"]


@cache
def _laws() -> dict[str, Law]:
    modules = (import_module(f"{__name__}.{entry.name}") for entry in iter_modules(__path__))
    laws = [module.LAW for module in modules if hasattr(module, "LAW")]
    return {law.name: law for law in sorted(laws, key=lambda law: (len(law.axes), len(law.coefficients), law.name))}


def law_names(inputs: int | None = None) -> tuple[str, ...]:
    """Return the names of all laws, or of those of so many inputs: those of few inputs and coefficients first."""
    return tuple(name for name, law in _laws().items() if inputs is None or len(law.axes) == inputs)


def law_named(name: str) -> Law:
    """Return the law called `name`. Raises `UnknownName` with the nearest name."""
    try:
        return _laws()[name]
    except KeyError:
        raise UnknownName("law", name, law_names()) from None
