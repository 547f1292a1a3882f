"""Two sides at equal compute: their cells above, the difference with its interval below."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.comparison.result import Comparison
from analysis.figures.axes import axis, axis_label
from analysis.figures.style import NEUTRAL, layout, translucent
from analysis.numbers import significant

__all__ = ["SIDES", "comparison_figure"]

SIDES = (("#1B80C0", "circle"), ("#E69F00", "square"))
"""Colour and marker of side a and of side b."""


def comparison_figure(comparison: Comparison, *, height: int = 560) -> go.Figure:
    """Above: the cells of both sides. Below: by how many per cent the metric of a lies above that of b, each shared budget where they pair,
    and the mean over the shared budgets with its interval."""
    figure = go.Figure()
    sides = _cells(comparison)
    for (name, table), (colour, marker) in zip(sides, SIDES, strict=True):
        figure.add_scatter(
            x=table["x"],
            y=table["y"],
            mode="markers",
            name=name,
            legendgroup=name,
            marker={"symbol": marker, "size": 9, "color": colour},
            hovertext=table["text"],
            hoverinfo="text",
            yaxis="y",
        )
    _add_difference(figure, comparison)
    both = pd.concat([table for _, table in sides])
    x_axis = axis(both["x"], "log", axis_label(comparison.x), pad=0.04)
    figure.update_layout(
        layout(
            revision=("comparison", comparison.by, comparison.a, comparison.b, comparison.metric, comparison.x),
            height=height,
            xaxis={**x_axis, "anchor": "y2"},
            yaxis={**axis(both["y"], "log", axis_label(comparison.metric)), "domain": [0.47, 1.0]},
            yaxis2={**axis([], "linear", f"{comparison.a} over {comparison.b} (%)"), "domain": [0.0, 0.38], "ticksuffix": " "},
        )
    )
    return figure


def _cells(comparison: Comparison) -> list[tuple[str, pd.DataFrame]]:
    table, x, metric = comparison.budgets, comparison.x, comparison.metric
    found = []
    for name, suffix in ((comparison.a, "_a"), (comparison.b, "_b")):
        if comparison.found.design == "paired":
            own = pd.DataFrame(
                {key: table[f"{key}{suffix}"] for key in dict.fromkeys(("model", "seeds", x, metric)) if f"{key}{suffix}" in table}
            )
            own["epochs"] = table.get("epochs", np.nan)
        else:
            own = table[table[comparison.by].astype(str) == name]
        texts = [_text(row, x, metric) for row in own.to_dict("records")]
        found.append((name, pd.DataFrame({"x": own[x].to_numpy(), "y": own[metric].to_numpy(), "text": texts})))
    return found


def _text(row: dict[object, object], x: str, metric: str) -> str:
    epochs = row.get("epochs")
    budget = f" · {epochs:g} epochs" if isinstance(epochs, float) and np.isfinite(epochs) else ""
    lines = [f"<b>{row.get('model', '')}</b>{budget}", *(f"{name} {significant(float(str(row[name])))}" for name in (x, metric))]
    return "<br>".join(lines)


def _add_difference(figure: go.Figure, comparison: Comparison) -> None:
    low, high = comparison.found.shared
    mean, at_end = comparison.difference, comparison.difference_at_largest
    figure.add_scatter(
        x=[low, high], y=[0, 0], mode="lines", line={"color": NEUTRAL, "width": 1.4}, showlegend=False, hoverinfo="skip", yaxis="y2"
    )
    if mean.bounded:
        ends = [100 * np.expm1(end) for end in (mean.low, mean.high)]
        figure.add_scatter(
            x=[low, high, high, low],
            y=[ends[0], ends[0], ends[1], ends[1]],
            fill="toself",
            fillcolor=translucent(SIDES[0][0], 0.16),
            line={"width": 0},
            mode="lines",
            name=f"mean, {100 * comparison.level:g} % interval",
            showlegend=False,
            hoverinfo="skip",
            yaxis="y2",
        )
    middle = float(np.sqrt(low * high))
    figure.add_scatter(
        x=[low, middle, high],
        y=[100 * np.expm1(mean.value)] * 3,
        mode="lines",
        name="mean difference",
        showlegend=False,
        line={"color": SIDES[0][0], "width": 1.8},
        hovertext=f"mean ratio {comparison.ratio.words(4)}<br>p = {comparison.p_value:.2g}",
        hoverinfo="text",
        yaxis="y2",
    )
    if comparison.found.design == "paired":
        table = comparison.budgets
        figure.add_scatter(
            x=np.sqrt(table[f"{comparison.x}_a"] * table[f"{comparison.x}_b"]),
            y=100 * np.expm1(table["log_ratio"]),
            mode="markers",
            name="a shared budget",
            showlegend=False,
            marker={"symbol": "diamond", "size": 8, "color": NEUTRAL},
            hovertext=[f"{100 * np.expm1(ratio):+.2g} %" for ratio in table["log_ratio"]],
            hoverinfo="text",
            yaxis="y2",
        )
    if at_end.bounded:
        value, below, above = (100 * np.expm1(end) for end in (at_end.value, at_end.low, at_end.high))
        figure.add_scatter(
            x=[high],
            y=[value],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [above - value],
                "arrayminus": [value - below],
                "color": SIDES[0][0],
                "thickness": 1.4,
            },
            mode="markers",
            name="at the largest shared compute",
            showlegend=False,
            marker={"symbol": "circle-open", "size": 10, "color": SIDES[0][0], "line": {"width": 1.6}},
            hovertext=f"at {significant(high)} {comparison.x}: ratio {at_end.exp().words(4)}",
            hoverinfo="text",
            yaxis="y2",
        )
