"""Numbers as JSON may hold them and as people read them."""

from __future__ import annotations

import math
from typing import Any, SupportsFloat

import pandas as pd

__all__ = ["as_factor", "finite", "records", "significant", "with_interval"]


def finite(value: SupportsFloat) -> float | None:
    """The number, or None where it is NaN or infinite: JSON knows neither."""
    number = float(value)
    return number if math.isfinite(number) else None


def with_interval(value: float, low: float, high: float) -> dict[str, float | None]:
    """`{"value", "low", "high"}`, as every coefficient and prediction is written."""
    return {"value": finite(value), "low": finite(low), "high": finite(high)}


def significant(value: float | None, digits: int = 4) -> str:
    """`0.04127`, `132`, `9.48e+12`: so many significant digits, an exponent only where it is shorter; `∞`, `−∞`; `–` for what is not known."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if -4 <= exponent < 6:
        return f"{value:.{max(0, digits - 1 - exponent)}f}"
    return f"{value:.{digits - 1}e}"


def as_factor(log_std: float) -> str:
    """`×/÷ 1.557`: a standard deviation in log units as the factor that it is, above and below."""
    return f"×/÷ {significant(math.exp(log_std))}"


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as a list of objects with plain Python values; NaN and infinity become None."""
    return [{str(name): _plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def _plain(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    value = value.item() if hasattr(value, "item") else value
    if value is None or value is pd.NaT or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value
