"""Axes: a linear or logarithmic scale with tick labels that people read at a glance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from analysis.figures.style import FAINT
from analysis.reading.prices import MONEY
from scaling.columns import describe

__all__ = ["Scale", "axis", "axis_label", "log_ticks", "tick_texts", "ticks_at"]

Scale = Literal["log", "linear"]

_MANTISSAS = ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9), (1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))
_STEPS = (1, 2, 2.5, 5)
_MOST_TICKS = 8


def axis(values: Iterable[float], scale: Scale, title: str, *, pad: float = 0.06) -> dict[str, object]:
    """Make a plotly axis that shows `values` (positive when `scale` is log) with `pad` of the range to spare on either side."""
    finite = np.array([value for value in values if np.isfinite(value) and (scale == "linear" or value > 0)] or [1.0, 10.0])
    common = {
        "title": {"text": title, "standoff": 12},
        "gridcolor": FAINT,
        "linecolor": FAINT,
        "showline": True,
        "zeroline": False,
        "automargin": True,
    }
    if scale == "linear":
        return {**common, "type": "linear", "separatethousands": True}
    low, high = math.log10(finite.min()), math.log10(finite.max())
    margin = pad * max(high - low, 0.1)
    low, high = low - margin, high + margin
    ticks = log_ticks(10**low, 10**high)
    return {
        **common,
        "type": "log",
        "range": [low, high],
        "tickmode": "array",
        "tickvals": ticks,
        "ticktext": tick_texts(ticks),
    }


def log_ticks(low: float, high: float) -> list[float]:
    """Choose round numbers between `low` and `high`, at most eight.

    They are 10, 11, 12 over a narrow range, 0.2, 0.3, 0.5 over about a decade, and powers of ten over many.
    """
    if high < 2.5 * low:
        return _even_ticks(low, high)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for mantissas in _MANTISSAS:
        ticks = [value for e in exponents for m in mantissas if low <= (value := float(f"{m}e{e}")) <= high]
        if len(ticks) <= _MOST_TICKS:
            return ticks
    every = math.ceil(len(exponents) / _MOST_TICKS)
    return [float(f"1e{e}") for e in exponents if e % every == 0 and low <= 10.0**e <= high]


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """Write tick labels, `0.003`, `25`, `10,000`; where one would be long, `3·10¹⁵` for all that are not near one."""
    all_short = all(1e-4 <= tick < 1e6 for tick in ticks)
    return [_plain(tick) if all_short or 0.01 <= tick < 1e3 else _scientific(tick) for tick in ticks]


def ticks_at(values: Sequence[float]) -> dict[str, object]:
    """Set ticks exactly at the `values` that were tried, where they are few; else set none, so that the axis keeps its own."""
    return {"tickvals": list(values), "ticktext": [f"{value:g}" for value in values]} if len(values) <= _MOST_TICKS + 2 else {}


def _even_ticks(low: float, high: float) -> list[float]:
    power = math.floor(math.log10(high - low)) - 1
    steps = (float(f"{step}e{e}") for e in (power, power + 1, power + 2) for step in _STEPS)
    step = next(step for step in steps if (high - low) / step <= _MOST_TICKS - 1)
    return [float(f"{number * step:.12g}") for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _plain(value: float) -> str:
    return f"{value:,.10f}".rstrip("0").rstrip(".")


def _scientific(value: float) -> str:
    exponent = math.floor(math.log10(value) + 1e-9)
    mantissa = value / 10.0**exponent
    power = f"10<sup>{exponent}</sup>".replace("-", "−")
    return power if math.isclose(mantissa, 1.0) else f"{mantissa:.2g}·{power}"


def axis_label(name: str, currency: str | None = None) -> str:
    """Return the column's label; `val_top1_error` reads as the error of its share, and money has the label of its currency."""
    if currency and name in MONEY:
        return f"{describe(name).label} ({currency})"
    share = name.removesuffix("_error")
    return f"1 − {describe(share).label.lower()}" if share != name and describe(share).description else describe(name).label
