"""Two sides at equal compute: their cells above, the difference with its interval below."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.comparison.result import Comparison
from analysis.comparison.sentence import crossing_words
from analysis.figures.axes import axis, axis_label
from analysis.figures.style import NEUTRAL, layout, translucent
from analysis.interval import Interval
from scaling.rounding import percent, significant

__all__ = ["SIDES", "comparison_figure"]

SIDES = (("#1B80C0", "circle"), ("#E69F00", "square"))
"""Colour and marker of side a and of side b."""

CROSSING = "#D55E00"

_POINTS = 101


def comparison_figure(comparison: Comparison, *, height: int = 560) -> go.Figure:
    """Draw two sides at equal compute: their cells above, the difference below.

    Below: by how many per cent the metric of a lies above that of b at equal compute, with its interval. Each shared budget is marked where
    they pair, as are the mean, and the crossing with its interval.
    """
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
    x_axis = axis(both["x"], "log", axis_label(comparison.x, comparison.currency), pad=0.04)
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
    (low, high), curve = comparison.found.shared, comparison.curve(_POINTS)
    off = 100 * (curve[["ratio", "low", "high"]] - 1)
    x, colour = curve[comparison.x], SIDES[0][0]
    below = {"yaxis": "y2", "showlegend": False}
    figure.add_scatter(
        x=[low, high],
        y=[0, 0],
        mode="lines",
        line={"color": NEUTRAL, "width": 1.4},
        name="no difference",
        hoverinfo="skip",
        **below,
    )
    figure.add_scatter(
        x=[*x, *x[::-1]],
        y=[*off["low"], *off["high"][::-1]],
        fill="toself",
        fillcolor=translucent(colour, 0.16),
        line={"width": 0},
        mode="lines",
        name=f"{100 * comparison.level:g} % interval",
        hoverinfo="skip",
        **below,
    )
    figure.add_scatter(
        x=x,
        y=off["ratio"],
        mode="lines",
        name="difference at equal compute",
        line={"color": colour, "width": 2},
        hovertext=[
            f"at {significant(at)} {comparison.x}: ratio {Interval(*ends).words(4)}"
            for at, *ends in curve[[comparison.x, "ratio", "low", "high"]].to_numpy(float)
        ],
        hoverinfo="text",
        **below,
    )
    figure.add_scatter(
        x=[low, float(np.sqrt(low) * np.sqrt(high)), high],
        y=[100 * (comparison.ratio.value - 1)] * 3,
        mode="lines",
        name="mean difference",
        line={"color": NEUTRAL, "width": 1.2, "dash": "dot"},
        hovertext=f"mean ratio {comparison.ratio.words(4)}<br>p = {significant(comparison.p_value, 2)}",
        hoverinfo="text",
        **below,
    )
    if comparison.found.design == "paired":
        table = comparison.budgets
        figure.add_scatter(
            x=np.exp((np.log(table[f"{comparison.x}_a"]) + np.log(table[f"{comparison.x}_b"])) / 2),
            y=100 * np.expm1(table["log_ratio"]),
            mode="markers",
            name="a shared budget",
            marker={"symbol": "diamond", "size": 7, "color": NEUTRAL},
            hovertext=[percent(np.expm1(ratio), signed=True) for ratio in table["log_ratio"]],
            hoverinfo="text",
            **below,
        )
    _add_crossing(figure, comparison)
    at_end = comparison.difference_at_largest.exp()
    figure.add_scatter(
        x=[high],
        y=[100 * (at_end.value - 1)],
        mode="markers",
        name="at the largest shared compute",
        marker={"symbol": "circle-open", "size": 10, "color": colour, "line": {"width": 1.6}},
        hovertext=f"at {significant(high)} {comparison.x}: ratio {at_end.words(4)}",
        hoverinfo="text",
        **below,
    )


def _add_crossing(figure: go.Figure, comparison: Comparison) -> None:
    """Draw the crossing: a cross on a bar at no difference that is as long as its interval.

    The bar goes to the end of the shared range where the interval is not bounded.
    """
    crossing, (low, high) = comparison.crossing, comparison.found.shared
    if crossing.overtakes is None:
        return
    text = crossing_words(comparison).replace(": ", ":<br>")
    figure.add_scatter(
        x=[max(crossing.at.low, low), min(crossing.at.high, high)],
        y=[0, 0],
        mode="lines",
        name="interval of the crossing",
        line={"color": translucent(CROSSING, 0.45), "width": 9},
        hovertext=text,
        hoverinfo="text",
        yaxis="y2",
        showlegend=False,
    )
    figure.add_scatter(
        x=[crossing.at.value],
        y=[0],
        mode="markers",
        name="crossing",
        marker={"symbol": "x", "size": 11, "color": CROSSING, "line": {"width": 1, "color": "white"}},
        hovertext=text,
        hoverinfo="text",
        yaxis="y2",
        showlegend=False,
    )
