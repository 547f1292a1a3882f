"""The best learning rate against the epoch budget: the trend of each model, and where each grid had its lowest loss."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from analysis.figures.axes import axis, axis_label, ticks_at
from analysis.figures.hover import run_texts
from analysis.figures.style import labels, layout, looks, translucent
from analysis.learning_rate import CellRate, LearningRateTrend
from scaling.rounding import significant

__all__ = ["learning_rate_figure"]

_ASIDE = 1.035
"""Models share budgets and rates, so their markers are set side by side by this factor in epochs; the lines are where they are."""


def learning_rate_figure(trend: LearningRateTrend, cell: CellRate | None = None, *, height: int = 480) -> go.Figure:
    """Draw the best learning rate against the epoch budget, log–log, so that the trend is a straight line.

    Lines: the fitted optimum with its interval. Filled markers: the best rate tried; open where it is the last of its grid.
    Small translucent markers: every rate tried. A star: the prediction for `cell`.
    """
    figure = go.Figure()
    styles = looks(trend.models)
    of_points, of_optima = (labels(rows, trend.models) for rows in (trend.points, trend.optima))
    for number, (model, look) in enumerate(styles.items()):
        aside = _ASIDE ** (number - (len(styles) - 1) / 2)
        tried = trend.points[of_points == model].drop_duplicates(["epochs", "learning_rate"])
        optima = trend.optima[of_optima == model].sort_values("epochs")
        name = model or "runs"
        figure.add_scatter(
            x=np.concatenate([optima["epochs"], optima["epochs"][::-1]]),
            y=np.concatenate([optima["low"], optima["high"][::-1]]),
            fill="toself",
            fillcolor=translucent(look.colour, 0.14),
            line={"width": 0},
            mode="lines",
            legendgroup=name,
            showlegend=False,
            hoverinfo="skip",
        )
        figure.add_scatter(
            x=tried["epochs"] * aside,
            y=tried["learning_rate"],
            mode="markers",
            legendgroup=name,
            showlegend=False,
            marker={"symbol": look.marker, "size": 5, "color": translucent(look.colour, 0.35)},
            customdata=tried["id"],
            hovertext=run_texts(tried, trend.metric, "learning_rate"),
            hoverinfo="text",
        )
        figure.add_scatter(
            x=optima["epochs"],
            y=optima["learning_rate"],
            mode="lines",
            legendgroup=name,
            showlegend=False,
            line={"color": look.colour, "width": 1.8},
            hovertext=[
                f"<b>{_cell_name(name, row, trend)}</b><br>optimum {significant(row['learning_rate'])} "
                f"({100 * trend.level:g} %: {significant(row['low'])} … {significant(row['high'])})"
                for row in optima.to_dict("records")
            ],
            hoverinfo="text",
        )
        figure.add_scatter(
            x=optima["epochs"] * aside,
            y=optima["best_tried"],
            mode="markers",
            name=name,
            legendgroup=name,
            marker={
                "symbol": [f"{look.marker}-open" if edge else look.marker for edge in optima["at_edge"]],
                "size": 11,
                "color": look.colour,
                "line": {"width": 1.6, "color": look.colour},
            },
            hovertext=[
                f"<b>{_cell_name(name, row, trend)}</b><br>best of {row['rates']} rates tried: {row['best_tried']:g}"
                + (f"<br>the {row['at_edge']} of the grid: the optimum may lie beyond" if row["at_edge"] else "")
                for row in optima.to_dict("records")
            ],
            hoverinfo="text",
        )
    budgets = sorted(trend.optima["epochs"].unique())
    rates = [*trend.points["learning_rate"], *trend.optima["learning_rate"]]
    if cell is not None:
        look_of = dict(zip(trend.models["model"], labels(trend.models), strict=True))
        _add_cell(figure, cell, styles[look_of[cell.model]].colour if cell.model in look_of else None)
        budgets, rates = sorted({*budgets, cell.epochs}), [*rates, cell.value]
    rates_tried = sorted(trend.points["learning_rate"].unique())
    outermost = _ASIDE ** ((len(styles) - 1) / 2)
    shown = [*budgets, budgets[0] / outermost, budgets[-1] * outermost]
    figure.update_layout(
        layout(
            revision=("learning-rate", trend.metric),
            height=height,
            xaxis={**axis(shown, "log", axis_label("epochs")), **ticks_at(budgets)},
            yaxis={**axis(rates, "log", axis_label("learning_rate")), **ticks_at(rates_tried)},
            legend={"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        )
    )
    return figure


def _cell_name(model: str, row: Mapping[object, object], trend: LearningRateTrend) -> str:
    return " · ".join([model, f"{row['epochs']:g} epochs", *(f"{name} {row[name]}" for name in trend.settings)])


def _add_cell(figure: go.Figure, cell: CellRate, colour: str | None) -> None:
    """Draw the prediction with its interval; an upper end that is not finite is left out."""
    up, down = cell.high - cell.value, cell.value - cell.low
    bars = {"type": "data", "symmetric": False, "array": [up if np.isfinite(up) else 0.0], "arrayminus": [down], "thickness": 1.2}
    name = cell.model or f"{cell.params:,.0f} parameters"
    figure.add_scatter(
        x=[cell.epochs],
        y=[cell.value],
        error_y=bars,
        mode="markers",
        name=f"{name}, predicted",
        marker={"symbol": "star", "size": 13, **({} if colour is None else {"color": colour})},
        hovertext=[cell.sentence()],
        hoverinfo="text",
    )
