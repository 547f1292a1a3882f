"""Loss against learning rate: a curve for each cell, with its best rate and the interval of that."""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go

from analysis.figures.axes import axis, axis_label, ticks_at
from analysis.figures.hover import run_texts
from analysis.figures.line_ends import LineEnd, add_line_ends
from analysis.figures.style import LEGEND_WHERE_NARROW, labels, layout, looks, translucent
from analysis.learning_rate import LearningRateTrend
from scaling.rounding import significant

__all__ = ["losses_of_rates_figure"]

_BEYOND = 1.3
"""A curve goes by this factor beyond the rates that its cell tried."""


def losses_of_rates_figure(trend: LearningRateTrend, *, height: int = 460) -> go.Figure:
    """Draw the metric of each cell against the learning rate, log–log.

    Markers: the runs. Lines: the parabolas of the trend, `metric = least · exp(κ·ln(rate / best)²)`, which share κ. Diamonds: the best rate of
    the trend, with its interval.
    """
    figure = go.Figure()
    styles, keys = looks(trend.models), ["family", "model", "epochs", *trend.settings]
    points = trend.points.assign(label=labels(trend.points, trend.models))
    ends, values, rates = [], [], []
    seen: set[str] = set()
    for row in trend.optima.assign(label=labels(trend.optima, trend.models)).to_dict("records"):
        own = points[np.logical_and.reduce([points[key] == row[key] for key in keys if key in points])]
        if own.empty:
            continue
        look, name = styles[row["label"]], str(row["label"]) or "runs"
        least = float(np.exp(np.mean(np.log(own[trend.metric]) - np.log1p(own["excess"]))))
        best, low, high = (float(row[end]) for end in ("learning_rate", "low", "high"))
        tried = own["learning_rate"].to_numpy(float)
        along = np.geomspace(min(tried.min(), best) / _BEYOND, max(tried.max(), best) * _BEYOND, 60)
        curve = least * np.exp(trend.curvature * np.log(along / best) ** 2)
        cell = " · ".join([name, f"{row['epochs']:g} epochs", *(f"{key} {row[key]}" for key in trend.settings)])
        figure.add_scatter(
            x=along, y=curve, mode="lines", name=cell, legendgroup=name, showlegend=False, hoverinfo="skip",
            line={"color": translucent(look.colour, 0.7), "width": 1.4},
        )  # fmt: skip
        figure.add_scatter(
            x=tried,
            y=own[trend.metric],
            mode="markers",
            name=name,
            legendgroup=name,
            showlegend=name not in seen,
            marker={"symbol": look.marker, "size": 8, "color": look.colour},
            customdata=own["id"],
            hovertext=run_texts(own, trend.metric, "learning_rate"),
            hoverinfo="text",
        )
        figure.add_scatter(
            x=[best],
            y=[least],
            error_x=_interval(best, low, high),
            mode="markers",
            name=f"{cell}, best rate",
            legendgroup=name,
            showlegend=False,
            marker={"symbol": "diamond-open", "size": 11, "color": look.colour, "line": {"width": 1.8}},
            hovertext=f"<b>{cell}</b><br>best rate {significant(best)} ({100 * trend.level:g} %: {significant(low)} … {significant(high)})",
            hoverinfo="text",
        )
        seen.add(name)
        ends.append(
            LineEnd(f"{name} · {row['epochs']:g}", ((float(along[-1]), float(curve[-1])), (float(along[0]), float(curve[0]))))
        )
        values += [*own[trend.metric], float(curve.min()), float(curve.max())]
        rates += [*along]
    x_axis, y_axis = axis(rates, "log", axis_label("learning_rate"), pad=0.08), axis(values, "log", axis_label(trend.metric))
    figure.update_layout(
        layout(
            revision=("learning-rate losses", trend.metric),
            height=height,
            xaxis={**x_axis, **ticks_at(sorted(trend.points["learning_rate"].unique()))},
            yaxis=y_axis,
            showlegend=False,
            meta=LEGEND_WHERE_NARROW,
        )
    )
    (x_low, x_high), (y_low, y_high) = figure.layout.xaxis.range, figure.layout.yaxis.range
    marks = points[["learning_rate", trend.metric]].to_numpy(float)
    add_line_ends(figure, ends, marks, x_range=(x_low, x_high), y_range=(y_low, y_high), logs=(True, True))
    return figure


def _interval(best: float, low: float, high: float) -> dict[str, object]:
    """Return the bars of an interval; an end that the runs do not bound is left out."""
    up = high - best if math.isfinite(high) else 0.0
    return {"type": "data", "symmetric": False, "array": [up], "arrayminus": [max(best - low, 0.0)], "thickness": 1.4, "width": 6}
