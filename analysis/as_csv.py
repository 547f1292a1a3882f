"""A table as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import overload

import pandas as pd

from scaling.formulas import as_cell

__all__ = ["as_csv"]


@overload
def as_csv(table: pd.DataFrame) -> str: ...
@overload
def as_csv(table: pd.DataFrame, file: Path, *, separator: str = ",") -> None: ...
def as_csv(table: pd.DataFrame, file: Path | None = None, *, separator: str = ",") -> str | None:
    """Write a table as CSV, into a file or as text. Lists are joined by spaces, and no text in it is a formula to a spreadsheet.

    `analysis.read_runs` reads the texts back as they were.
    """
    written = table.copy()
    for name in table:
        if pd.api.types.is_object_dtype(table[name].dtype) or pd.api.types.is_string_dtype(table[name].dtype):
            written[name] = table[name].map(as_cell)
    written.columns = pd.Index([as_cell(name) for name in table.columns])
    return written.to_csv(file, index=False, sep=separator)
