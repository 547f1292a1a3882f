"""Which model and how many epochs are compute-optimal, against compute: two staircases over one axis."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.figures.axes import Scale, axis, axis_label, ticks_at
from analysis.figures.style import FAINT, NEUTRAL, labels, layout, looks
from analysis.pareto import Frontier
from analysis.reading.prices import unit_of
from scaling.rounding import significant

__all__ = ["best_model_figure"]


def best_model_figure(
    frontier: Frontier, *, among: pd.DataFrame | None = None, x_scale: Scale = "log", height: int = 520
) -> go.Figure:
    """Draw the rows of `frontier.best()`: model above, epochs below; a step holds from its compute up to the next one's.

    among: all runs of the study, see `analysis.figures.style.looks`.
    """
    steps = frontier.best()
    steps = steps.assign(model=labels(steps, frontier.points if among is None else among))
    start, end = f"{frontier.x}_from", f"{frontier.x}_to"
    styles = looks(frontier.points, among)
    models = [model for model in styles if model in set(steps["model"])]
    has_epochs = "epochs" in steps
    # The last step has no end: a tenth of the range shows that it goes on.
    last = float(steps[start].max() * (steps[start].max() / steps[start].min()) ** 0.1)
    ends = steps[end].fillna(last).to_numpy(float)

    figure = go.Figure()
    rows = [("y", "model"), *([("y2", "epochs")] if has_epochs else [])]
    for side, column in rows:
        figure.add_scatter(
            x=np.append(steps[start], ends[-1]),
            y=[*steps[column], steps[column].iloc[-1]],
            mode="lines",
            line={"shape": "hv", "color": NEUTRAL, "width": 1.4},
            yaxis=side,
            showlegend=False,
            hoverinfo="skip",
        )
        for model in models:
            own = steps[steps["model"] == model]
            figure.add_scatter(
                x=own[start],
                y=own[column],
                mode="markers",
                name=model or "runs",
                legendgroup=model,
                showlegend=side == "y2" or not has_epochs,
                yaxis=side,
                marker={"symbol": styles[model].marker, "size": 10, "color": styles[model].colour},
                hovertext=[_text(row, frontier) for row in own.to_dict("records")],
                hoverinfo="text",
            )
    figure.update_layout(
        layout(
            revision=("best", frontier.metric, frontier.x, x_scale),
            height=height,
            xaxis={
                **axis([*steps[start], last], x_scale, axis_label(frontier.x, frontier.currency), pad=0.04),
                "anchor": "y2" if has_epochs else "y",
            },
            yaxis={
                "title": {"text": "Best model", "standoff": 12},
                "type": "category",
                "categoryorder": "array",
                "categoryarray": models,
                "dtick": 1,
                "domain": [0.56, 1.0] if has_epochs else [0.0, 1.0],
                "gridcolor": FAINT,
                "linecolor": FAINT,
                "showline": True,
                "automargin": True,
            },
            showlegend=False,
        )
    )
    if has_epochs:
        figure.update_layout(yaxis2={**_epochs_axis(steps["epochs"]), "domain": [0.0, 0.46]})
    return figure


def _epochs_axis(epochs: pd.Series) -> dict[str, object]:
    return {**axis(epochs, "log", "Best epochs", pad=0.15), **ticks_at(sorted(epochs.unique())), "anchor": "x"}


def _text(row: dict[object, object], frontier: Frontier) -> str:
    epochs = f" · {row['epochs']:g} epochs" if "epochs" in row else ""
    start, value = float(str(row[f"{frontier.x}_from"])), float(str(row[frontier.metric]))
    return f"<b>{row['model']}</b>{epochs}<br>from {significant(start)} {unit_of(frontier.x, frontier.currency)}<br>{frontier.metric} {significant(value)}"
