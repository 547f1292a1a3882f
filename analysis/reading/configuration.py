"""Columns that hold the configuration of runs, in a table that W&B or MLflow wrote."""

from __future__ import annotations

import pandas as pd

from analysis.reading.column_kinds import is_result
from scaling.columns import COLUMNS

__all__ = ["configuration_of", "is_export"]

_MARKS = ("_runtime", "_timestamp", "_step", "run_id", "artifact_uri")


def is_export(names: list[str]) -> bool:
    """Say whether a table with these columns is one that W&B or MLflow wrote."""
    return (
        {"Name", "State"} <= set(names)
        or {"summary", "config"} <= set(names)
        or any(name in _MARKS or name.startswith(("metrics.", "params.")) for name in names)
    )


def configuration_of(table: pd.DataFrame) -> list[str]:
    """Return the columns that may be settings: not ours, not results, and words or numbers of which many runs share each.

    Such tables put settings and results side by side under plain names. A number is taken for a result where it has more than half as many
    values as there are rows, or is called as results are.
    """
    return [
        str(name)
        for name in table
        if name not in COLUMNS
        and not str(name).startswith("_")
        and not is_result(str(name), table[name])
        and _may_be_setting(table[name])
    ]


def _may_be_setting(values: pd.Series) -> bool:
    if values.isna().all():
        return False
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return bool(values.nunique() <= len(values) / 2)
    return True
