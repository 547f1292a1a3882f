"""Loss against model size at equal compute: a curve a slice, its minimum the best size there."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from analysis.figures.axes import axis, axis_label
from analysis.figures.style import layout
from analysis.optimum.slices import Slices
from scaling.rounding import significant

__all__ = ["slices_figure"]

_SHADES = ("#5B8FD6", "#7A78C9", "#9A63B4", "#B85695", "#D0526F", "#DE6A48", "#DC8F2B")
"""One for each budget, from little compute to much; each is legible on white and on near-black."""


def slices_figure(slices: Slices, *, height: int = 460) -> go.Figure:
    """Draw at most seven of the slices, evenly spread: markers are sizes at that compute.

    A star is the minimum where the best size lies inside.
    """
    figure = go.Figure()
    table, x = slices.table, slices.x
    data = "epochs" if "epochs" in table else "examples_seen"
    budgets = np.unique(table[x])
    shown = (
        budgets[np.unique(np.linspace(0, len(budgets) - 1, min(len(_SHADES), len(budgets))).astype(int))]
        if len(budgets)
        else budgets
    )
    colours = [_SHADES[place] for place in np.linspace(0, len(_SHADES) - 1, max(1, len(shown))).astype(int)]
    for budget, colour in zip(shown, colours, strict=False):
        own = table[table[x] == budget]
        name = f"{significant(budget, 3)} {x}"
        figure.add_scatter(
            x=own["size"],
            y=own[slices.metric],
            mode="lines+markers",
            name=name,
            legendgroup=name,
            line={"color": colour, "width": 1.4, "shape": "spline", "smoothing": 0.6},
            marker={"size": 8, "color": colour},
            hovertext=[
                f"<b>{row['model']} · {significant(row[data], 3)} {data.replace('_', ' ')}</b><br>{name}<br>{slices.metric} {significant(row[slices.metric])}"
                for row in own.to_dict("records")
            ],
            hoverinfo="text",
        )
        _add_minimum(figure, slices, float(budget), colour, name)
    figure.update_layout(
        layout(
            revision=("slices", slices.metric, x),
            height=height,
            xaxis=axis(
                table["size"],
                "log",
                axis_label(slices.size_name) if slices.size_name == "params" else f"Size ({slices.size_name})",
                pad=0.05,
            ),
            yaxis=axis(table[slices.metric], "log", axis_label(slices.metric)),
            legend={"x": 1.01, "y": 1, "xanchor": "left", "yanchor": "top"},
        )
    )
    return figure


def _add_minimum(figure: go.Figure, slices: Slices, budget: float, colour: str, name: str) -> None:
    optima = slices.optima
    if "optimal_size" not in optima:
        return
    row = optima[np.isclose(optima[slices.x], budget, rtol=1e-6) & optima["optimal_size"].notna()]
    if row.empty:
        return
    own = slices.table[slices.table[slices.x] == budget].sort_values("size")
    at = float(row["optimal_size"].iloc[0])
    height = np.exp(np.interp(np.log(at), np.log(own["size"]), np.log(own[slices.metric])))
    figure.add_scatter(
        x=[at],
        y=[height],
        mode="markers",
        name=f"{name}, best size",
        legendgroup=name,
        showlegend=False,
        marker={"symbol": "star", "size": 13, "color": colour},
        hovertext=f"best size {significant(at, 3)} at {name}",
        hoverinfo="text",
    )
