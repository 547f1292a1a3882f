"""Curves over the steps of runs: their lines, and the layout of a figure of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from analysis.figures.axes import Scale, axis
from analysis.figures.style import PALETTE, layout

__all__ = ["Curve", "curve_layout", "curve_line", "scale_of"]

Curve: TypeAlias = Sequence[tuple[int, float | None]]
"""(step, value); None where the value is not a number."""

_DASHES = ("solid", "dash")
_FEW = 3
"""Points below which a line alone would hardly be seen."""


def curve_line(name: str, points: Curve, number: int, *, is_marked: bool, hover: str) -> dict[str, object]:
    """Draw a curve as a line; each evaluation has a mark where `is_marked`.

    number: its place among the curves, which chooses colour and dashes. hover: what its step is called there.
    """
    colour = PALETTE[number % len(PALETTE)]
    is_short = sum(value is not None for _, value in points) < _FEW
    return {
        "type": "scatter",
        "mode": "lines+markers" if is_marked or is_short else "lines",
        "name": name,
        "x": [step for step, _ in points],
        "y": [value for _, value in points],
        "line": {"color": colour, "width": 1.8, "dash": _DASHES[number // len(PALETTE) % len(_DASHES)]},
        "marker": {"color": colour, "size": 9 if is_marked else 6, "symbol": "diamond" if is_marked else "circle"},
        "hovertemplate": f"{hover} %{{x:,}}: %{{y:.4g}}",
    }


def scale_of(curves: Iterable[Curve], *, is_loss: bool) -> tuple[list[float], Scale]:
    """Return the values of the curves, and their scale: a loss is on a log axis, which shows its fall to the end."""
    values = [value for points in curves for _, value in points if value is not None]
    return values, "log" if is_loss and values and min(values) > 0 else "linear"


def curve_layout(
    values: Iterable[float], scale: Scale, *, revision: Iterable[str], height: int, over: str, last: int, has_legend: bool
) -> dict[str, object]:
    """Return the layout of a figure of curves from 0 to the step `last`. over: what the steps are called."""
    return layout(
        revision=revision,
        height=height,
        margin={"l": 56, "r": 16, "t": 12, "b": 46},
        showlegend=has_legend,
        xaxis={**axis([], "linear", over), "range": [0, 1.02 * last], "title": {"text": over, "standoff": 6}},
        yaxis=axis(values, scale, ""),
    )
