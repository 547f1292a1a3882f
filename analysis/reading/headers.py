"""Units that a column's name in the file gives, `val loss (bits)`: they are reported, and converted only where `--unit` asks for it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping

from analysis.reading.units import Unit, base_of, dimension_of, unit_named
from scaling.columns import describe

__all__ = ["units_in_headers"]

_BRACKETS = re.compile(r"[(\[]\s*([^()\[\]]+?)\s*[)\]]")
_PER = re.compile(r"\s*/\s*|\s+per\s+")
_LAST_WORD = re.compile(r"[\s_.\-/]")
_LETTERS = 2
"""Words of at most so many letters at the end of a name are rarely units, except of time: `top_k`, `wall_s`."""


def units_in_headers(mapping: Mapping[str, str], known: Collection[str]) -> list[str]:
    """Write a sentence for each mapped column whose name gives another unit than ours.

    known: our names of columns whose unit was said, by `--unit` or by the cells.
    """
    found = {
        name: unit_in_header(theirs, name) for name, theirs in mapping.items() if name not in known and describe(name).kind != "str"
    }
    return [
        f"{mapping[name]!r} names {unit.name}, and {name} was read as "
        f"{base_of(name) or 'it stands'}: --unit {shlex.quote(f'{name}={unit.name}')} converts it"
        for name, unit in found.items()
        if unit is not None and unit.factor != 1.0
    ]


def unit_in_header(theirs: str, ours: str) -> Unit | None:
    """Return the unit in brackets, `[min]`, or in the last word, `wall_seconds`, of a name, where it is one of our column's kind.

    A count in the name of a column that is not ours says something else more often, and is passed over: `score (B)`.
    """
    dimension = dimension_of(ours)
    words = [*_BRACKETS.findall(theirs), *(_PER.split(word)[0] for word in _BRACKETS.findall(theirs) if dimension == "information")]
    last = _LAST_WORD.split(theirs)[-1]
    words += [last] if len(last) > _LETTERS or dimension == "time" else []
    units = [unit for word in words if (unit := unit_named(word)) is not None]
    return next((unit for unit in units if unit.dimension == dimension or (dimension is None and unit.dimension != "count")), None)
