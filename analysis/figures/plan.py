"""How sure the prediction at the target becomes as planned runs are done: its interval against core-hours or money spent."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from analysis.figures.axes import axis, axis_label
from analysis.figures.band import add_band
from analysis.figures.style import NEUTRAL, layout
from analysis.planning.result import NextRuns
from scaling.rounding import significant

__all__ = ["plan_figure"]

_COLOUR = "#1B80C0"
_NOW = 1.6
"""The present is drawn by this factor further left than the first run."""


def plan_figure(found: NextRuns, *, height: int = 380) -> go.Figure:
    """Draw the interval of the prediction against what is spent, in the budget's unit: now, then after each planned run in order of use.

    Both axes are logarithmic; now, when nothing is spent, stands left of the first run.

    The value stays that of now: what the runs will say cannot be known.
    """
    unit = found.budget.currency or "core-hours"
    spent = np.concatenate([[0.0], np.cumsum(found.chosen[found.budget.column].to_numpy(float))])
    low = np.concatenate([[found.now.low], found.chosen["mean_low"].to_numpy(float)])
    high = np.concatenate([[found.now.high], found.chosen["mean_high"].to_numpy(float)])
    places = spent.copy()
    if len(spent) > 1:
        places[0] = spent[1] / max(_NOW, (spent[-1] / spent[1]) ** 0.2)
    names = ["now", *(_name(row) for row in found.chosen.to_dict("records"))]
    texts = [
        f"<b>{'now' if number == 0 else f'after run {number}: {name}'}</b><br>{significant(at, 3)} {unit} spent<br>"
        f"{found.fit.metric} at {found.target}: {significant(below)} … {significant(above)}"
        for number, (name, at, below, above) in enumerate(zip(names, spent, low, high, strict=True))
    ]
    figure = go.Figure()
    add_band(
        figure, places, np.full(len(spent), found.now.value), low, high, colour=_COLOUR, name="prediction of the mean", texts=texts,
        line={"color": _COLOUR, "width": 1.8, "dash": "dash"},
    )  # fmt: skip
    for ends, name in ((low, "lower end"), (high, "upper end")):
        figure.add_scatter(
            x=places,
            y=ends,
            mode="lines+markers",
            name=name,
            showlegend=False,
            line={"color": _COLOUR, "width": 1.2},
            marker={"size": 7, "color": _COLOUR},
            hovertext=texts,
            hoverinfo="text",
        )
    figure.add_hline(y=found.now.value, line={"color": NEUTRAL, "width": 1, "dash": "dot"}, opacity=0.5)
    figure.update_layout(
        layout(
            revision=("plan", found.fit.metric, found.target, found.budget.words),
            height=height,
            xaxis=_spent_axis(places, f"{unit[0].upper()}{unit[1:]} spent on the planned runs"),
            yaxis=axis([*low, *high], "log", f"{axis_label(found.fit.metric)} at the target"),
            showlegend=False,
        )
    )
    return figure


def _spent_axis(places: np.ndarray, title: str) -> dict[str, object]:
    """Make the axis of what is spent, with `now` at its first place."""
    made = axis(places, "log", title)
    logs, kept = np.log(places), [0]
    apart = 0.12 * max(logs[-1] - logs[0], 1e-9)
    for number in range(len(places) - 1, 0, -1):  # the last first: it is what the plan takes
        if all(abs(logs[number] - logs[other]) > apart for other in kept):
            kept.append(number)
    texts = ["now" if number == 0 else significant(places[number], 3) for number in kept]
    return {**made, "tickvals": [float(places[number]) for number in kept], "ticktext": texts, "tickangle": 0}


def _name(row: dict[object, object]) -> str:
    epochs = row.get("epochs")
    parts = [str(row["model"])] if row.get("model") else []
    parts += [f"{float(str(epochs)):g} epochs"] if epochs is not None else []
    return " · ".join(parts) or f"{significant(float(str(row['core_hours'])), 3)} core-hours"
