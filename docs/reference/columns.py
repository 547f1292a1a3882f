"""The columns of a run, or of the recipe that it was trained by."""

from __future__ import annotations

from docs.reference.markdown import code, table
from scaling import columns

__all__ = ["text"]


def text(name: str) -> str:
    """Return the table of `RUN_COLUMNS` or `RECIPE_COLUMNS`."""
    return table(
        ("column", "kind", "unit", "meaning"),
        ((code(each.name), each.kind, each.unit, each.description) for each in getattr(columns, name)),
    )
