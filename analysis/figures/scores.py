"""Registered predictions against what came out: inside the interval or not."""

from __future__ import annotations

import plotly.graph_objects as go

from analysis.figures.axes import axis, axis_label
from analysis.figures.style import NEUTRAL, layout
from analysis.scoring import Scores
from scaling.rounding import significant

__all__ = ["scores_figure"]

_HIT, _MISS = ("#1B80C0", "circle"), ("#D55E00", "x")


def scores_figure(scores: Scores, *, height: int = 420) -> go.Figure:
    """Predicted, with the interval of a new run, against observed; on the diagonal the prediction was exact."""
    figure = go.Figure()
    table = scores.table
    ends = [float(min(table["low"].min(), table["observed"].min())), float(max(table["high"].max(), table["observed"].max()))]
    figure.add_scatter(
        x=ends, y=ends, mode="lines", line={"color": NEUTRAL, "width": 1.2, "dash": "dot"}, name="exact", hoverinfo="skip"
    )
    for hit, (colour, marker), name in ((True, _HIT, "inside its interval"), (False, _MISS, "outside")):
        own = table[table["hit"] == hit]
        figure.add_scatter(
            x=own["observed"],
            y=own["value"],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": own["high"] - own["value"],
                "arrayminus": own["value"] - own["low"],
                "color": colour,
                "thickness": 1.2,
            },
            mode="markers",
            name=name,
            marker={"symbol": marker, "size": 9, "color": colour},
            customdata=[ids[0] for ids in own["run_ids"]],
            hovertext=[
                f"<b>{row['name']}</b><br>predicted {significant(row['value'])} ({significant(row['low'])} … {significant(row['high'])})<br>"
                f"observed {significant(row['observed'])}<br>registered {str(row['registered_at'])[:16]}"
                for row in own.to_dict("records")
            ],
            hoverinfo="text",
        )
    metric = str(table["metric"].iloc[0])
    figure.update_layout(
        layout(
            revision=("scores", metric),
            height=height,
            xaxis=axis(ends, "log", f"Observed {axis_label(metric)[:1].lower()}{axis_label(metric)[1:]}"),
            yaxis=axis(ends, "log", "Predicted"),
            legend={"x": 0.02, "y": 0.98, "xanchor": "left", "yanchor": "top"},
        )
    )
    return figure
