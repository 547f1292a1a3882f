"""How often the forecast's intervals held, on published curves: the share inside against the level."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import plotly.graph_objects as go

from analysis.figures.axes import axis
from analysis.figures.style import NEUTRAL, layout

__all__ = ["Reliability", "reliability", "reliability_figure"]

_LOOKS = {"2": ("#1B80C0", "circle"), "4": ("#D55E00", "square"), "10": ("#2A9D8F", "diamond")}


@dataclass(frozen=True)
class Reliability:
    """Holds what was counted on curves of domains that nothing was learnt from (`benchmarks/forecast.py reliability`).

    levels: of intervals. curves: factor → how many curves were cut so far before their end. inside: factor → share at each level.
    """

    levels: tuple[float, ...]
    curves: dict[str, int]
    inside: dict[str, tuple[float, ...]]


@cache
def reliability() -> Reliability:
    """Read the counts: `reliability.json`, made by the benchmark."""
    said = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return Reliability(tuple(said["levels"]), said["curves"], {factor: tuple(shares) for factor, shares in said["inside"].items()})


def reliability_figure(found: Reliability, *, height: int = 340) -> go.Figure:
    """Draw the share of farthest points inside against the level of the interval, a line for each factor beyond the runs, in per cent."""
    figure = go.Figure()
    figure.add_scatter(
        x=[40, 100], y=[40, 100], mode="lines", name="as it says", line={"color": NEUTRAL, "dash": "dot", "width": 1.4}
    )
    for factor, shares in found.inside.items():
        colour, marker = _LOOKS[factor]
        figure.add_scatter(
            x=[100 * level for level in found.levels],
            y=[100 * share for share in shares],
            mode="lines+markers",
            name=f"{factor} times beyond, {found.curves[factor]} curves",
            line={"color": colour},
            marker={"symbol": marker, "size": 8, "color": colour},
            hovertemplate="level %{x:g} %: %{y:.0f} % inside<extra></extra>",
        )
    figure.update_layout(
        layout(
            revision=("reliability",),
            height=height,
            xaxis={**axis([], "linear", "Level of the interval (%)"), "range": [45, 101]},
            yaxis={**axis([], "linear", "Curves inside (%)"), "range": [45, 101]},
            legend={"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        )
    )
    return figure
