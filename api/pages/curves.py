"""The curves of a run as small figures: what was logged while it trained, and the held-out evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from analysis.figures.axes import Scale, axis
from analysis.figures.curves import Curve, curve_layout, curve_line, scale_of
from analysis.figures.style import PALETTE, translucent
from analysis.running import EndForecast
from scaling.columns import describe

__all__ = ["Numbers", "as_table", "curve_figures"]

_TITLES = {
    "loss": "Loss (nats)",
    "accuracy": "Accuracy",
    "learning_rate": "Learning rate",
    "examples_per_second": "Examples per second",
    "mfu": "MFU",
    "input_stall": "Share of a step that waited for input",
    "checkpoint_cost": "Seconds until a checkpoint was safe",
}
_NUMBERS = ("compile_seconds", "step_seconds", "memory_bytes")
"""Logged with a step as well, but shown as one number each: they hardly change, or follow from another curve."""
_HEIGHT_PX = 260

Numbers: TypeAlias = tuple[list[str], list[list[float | None]]]
"""Curves as a table: its head, and its rows."""


def curve_figures(
    curves: Mapping[str, Curve],
    evaluations: Iterable[Mapping[str, Any]],
    steps: int | None,
    forecast: EndForecast | None = None,
    *,
    over: str = "step",
) -> list[tuple[str, dict[str, object]]]:
    """Draw (title, figure) for each group of curves that has a point: loss, accuracy, learning rate, throughput, then any other metric.

    All are over the same steps, those of the whole run, so that one sees how far it is. forecast: of its end; the loss then has its band.
    over: what the steps are called. steps: None where only the curves tell how far it went.
    """
    steps = steps or max((step for points in curves.values() for step, _ in points), default=0)
    groups: dict[str, dict[str, tuple[Curve, bool]]] = {name: {} for name in _TITLES}
    for name, points in curves.items():
        if name in _NUMBERS:
            continue
        groups.setdefault(_group(name), {})[name] = (points, False)
    for row in evaluations:
        for score, group in (("loss", "loss"), ("top1", "accuracy"), ("top5", "accuracy")):
            if row[score] is not None:
                points, _ = groups[group].setdefault(f"{row['split']} {score}", ([], True))
                groups[group][f"{row['split']} {score}"] = ([*points, (row["step"], row[score])], True)
    return [
        (
            _TITLES.get(group) or describe(group).label,
            _figure(group, lines, steps, over.replace("_", " "), forecast if group == "loss" else None),
        )
        for group, lines in groups.items()
        if lines
    ]


def as_table(figure: Mapping[str, Any], most: int = 20) -> Numbers:
    """Return what a figure of curves shows as a table, at no more than `most` of the steps: its head, and rows of a step and the curves' values."""
    lines = {line["name"]: dict(zip(line["x"], line["y"], strict=True)) for line in figure["data"] if "fill" not in line}
    steps = sorted({step for points in lines.values() for step in points})
    every = max(1, (len(steps) - 1) / max(1, most - 1))
    shown = [steps[round(every * number)] for number in range(min(most, len(steps)))]
    return ["step", *lines], [[step, *(points.get(step) for points in lines.values())] for step in shown]


def _group(metric: str) -> str:
    if metric.endswith("loss"):
        return "loss"
    return "accuracy" if metric.endswith(("top1", "top5", "accuracy")) else metric


def _band(forecast: EndForecast) -> list[dict[str, object]]:
    """Draw what the law expects of the held-out loss along the run, and the forecast of its end with its interval."""
    steps = [forecast.steps * then.share for then in forecast.band]
    end, colour = forecast.end, PALETTE[2]
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"held-out loss to expect, {100 * forecast.level:g} %",
            "x": [*steps, *reversed(steps)],
            "y": [then.loss.low for then in forecast.band] + [then.loss.high for then in reversed(forecast.band)],
            "fill": "toself",
            "fillcolor": translucent(colour, 0.14),
            "line": {"width": 0},
            "hoverinfo": "skip",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "name": "its end",
            "x": [forecast.steps],
            "y": [end.value],
            "error_y": {"type": "data", "symmetric": False, "array": [end.high - end.value], "arrayminus": [end.value - end.low]},
            "marker": {"color": colour, "size": 9, "symbol": "circle-open"},
            "hovertemplate": "at its end: %{y:.4g}",
        },
    ]


def _figure(
    group: str, lines: Mapping[str, tuple[Curve, bool]], steps: int, over: str, forecast: EndForecast | None = None
) -> dict[str, object]:
    """Draw evaluations as marks and logged curves as lines."""
    values, scale = scale_of((points for points, _ in lines.values()), is_loss=group == "loss")
    has_legend = len(lines) > 1 or forecast is not None
    shown = curve_layout(values, scale, revision=("curves", group), height=_HEIGHT_PX, over=over, last=steps, has_legend=has_legend)
    return {
        "data": [
            curve_line(name.replace("_", " "), points, number, is_marked=marked, hover=over)
            for number, (name, (points, marked)) in enumerate(lines.items())
        ]
        + ([] if forecast is None else _band(forecast)),
        "layout": {**shown, "yaxis": {**axis(values, scale, ""), **_from_zero(group, scale)}},
    }


def _from_zero(group: str, scale: Scale) -> dict[str, object]:
    if group == "accuracy":
        return {"range": [0, 1.04], "tickformat": ".0%"}
    return {"rangemode": "tozero"} if scale == "linear" else {}
