"""Numbers as JSON may hold them; `scaling.rounding` writes them for people."""

from __future__ import annotations

import math
from typing import Any, SupportsFloat

import pandas as pd

__all__ = ["finite", "records", "with_interval"]


def finite(value: SupportsFloat) -> float | None:
    """Return the number, or None where it is NaN or infinite, which JSON cannot hold."""
    number = float(value)
    return number if math.isfinite(number) else None


def with_interval(value: float, low: float, high: float) -> dict[str, float | None]:
    """Make `{"value", "low", "high"}`, as every coefficient and prediction is written."""
    return {"value": finite(value), "low": finite(low), "high": finite(high)}


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Turn a table into a list of objects with plain Python values; NaN and infinity become None."""
    return [{str(name): _plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def _plain(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    value = value.item() if hasattr(value, "item") else value
    if value is None or value is pd.NaT or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value
