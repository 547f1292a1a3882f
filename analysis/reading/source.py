"""Where a table of runs came from and what was done to it before any analysis: carried by the table, printed with every answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

__all__ = ["add_note", "attach_source", "source_of"]

_KEY = "source"  # of DataFrame.attrs, which copies and selections keep; plain JSON, since writers of Parquet store it


def attach_source(runs: pd.DataFrame, source: dict[str, Any]) -> pd.DataFrame:
    """The table with `source`: `{"file", "format", "sha256", "rows", "mapping", "units", "command", "notes": []}`."""
    runs.attrs[_KEY] = {"notes": [], **source}
    return runs


def add_note(runs: pd.DataFrame, notes: Iterable[str]) -> pd.DataFrame:
    """A new sentence or more about what was done to the numbers."""
    source = source_of(runs)
    return attach_source(runs, {**source, "notes": [*source["notes"], *notes]})


def source_of(runs: pd.DataFrame) -> dict[str, Any]:
    """`{"notes": [sentence, …]}` with whatever else is known of the table; of a table made by hand, no more than that."""
    return {"notes": [], **runs.attrs.get(_KEY, {})}
