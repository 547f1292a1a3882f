"""What laws forecast of runs that they were not fitted to: the error of each forecast against how far ahead it was."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from analysis.backtest.backtest import Backtest
from analysis.figures.axes import axis, ticks_at
from analysis.figures.style import FAINT, NEUTRAL, layout, translucent
from scaling.rounding import percent, significant

__all__ = ["backtest_figure"]

_COLOURS = ("#1B80C0", "#D55E00", "#8C6BB1", "#2A9D8F", "#C2942B", "#C0568E", NEUTRAL)
_MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon")


def backtest_figure(backtest: Backtest, *, height: int = 380) -> go.Figure:
    """Draw the error of each forecast in per cent, forecast over outcome, against times the largest compute of the window.

    Laws of no weight are faint, and hidden until they are chosen in the legend. Shaded: two standard deviations of the weighted forecast,
    as they grow with distance.
    """
    table = backtest.held_out
    figure = go.Figure()
    furthest = float(max(table["times"].max(), 1.2)) if len(table) else backtest.horizon
    _add_growth(figure, backtest, furthest)
    laws = sorted(backtest.laws, key=lambda law: -backtest.weights[law])
    for number, law in enumerate(laws):
        colour = _COLOURS[number % len(_COLOURS)]
        weight = backtest.weights[law]
        error = np.expm1(table[f"error_{law}"])
        figure.add_scatter(
            x=table["times"],
            y=100 * error,
            mode="markers",
            name=f"{law}, weight {weight:.2f}" if weight else f"{law}, no weight",
            visible=True if weight else "legendonly",
            marker={"symbol": _MARKERS[number % len(_MARKERS)], "size": 8, "color": translucent(colour, 0.85 if weight else 0.4)},
            hovertext=[
                f"<b>{law}</b> fitted up to {significant(up_to, 3)}<br>forecast of {significant(at, 3)}, {significant(times, 2)} times ahead<br>"
                f"outcome {significant(actual)}, off by {percent(off, signed=True)}"
                for up_to, at, times, actual, off in zip(
                    table["up_to"], table["at"], table["times"], table["actual"], error, strict=True
                )
            ],
            hoverinfo="text",
        )
    figure.add_hline(y=0, line={"color": NEUTRAL, "width": 1.4})
    figure.update_layout(
        layout(
            revision=("backtest", *laws),
            height=height,
            xaxis={
                **axis([1.0, furthest], "log", "Times the largest compute that the law was fitted to"),
                **ticks_at(_times(furthest)),
            },
            yaxis={**axis([], "linear", "Forecast over outcome (%)"), "ticksuffix": " "},
            legend={"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        )
    )
    return figure


def _add_growth(figure: go.Figure, backtest: Backtest, furthest: float) -> None:
    times = np.geomspace(1.0, furthest, 40)
    slope = backtest.recent.slope if backtest.recent is not None else None
    std = backtest.share * np.sqrt(backtest.error.variance(np.log(times))) + (1 - backtest.share) * (slope or 0.0) * np.log(times)
    low, high = 100 * np.expm1(-2 * std), 100 * np.expm1(2 * std)
    figure.add_scatter(
        x=np.concatenate([times, times[::-1]]),
        y=np.concatenate([low, high[::-1]]),
        fill="toself",
        fillcolor=FAINT,
        line={"width": 0},
        mode="lines",
        name="growth of the error",
        showlegend=False,
        hoverinfo="skip",
    )


def _times(furthest: float) -> list[float]:
    return [times for times in (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32) if times <= furthest * 1.05]
