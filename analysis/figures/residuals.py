"""How far each run lies from a law: in per cent, against compute."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from analysis.figures.axes import Scale, axis, axis_label
from analysis.figures.hover import run_texts
from analysis.figures.style import FAINT, NEUTRAL, labels, layout, looks
from analysis.fitting.result import Fit
from scaling.rounding import percent

__all__ = ["residuals_figure"]


def residuals_figure(fit: Fit, *, x_scale: Scale = "log", height: int = 360) -> go.Figure:
    """Draw the residuals of the runs used, 100 · (metric / law − 1), with two residual standard deviations of the logs shaded.

    A trend in them, rather than a cloud about zero, says that the law has the wrong shape.
    """
    residuals = fit.residuals.assign(percent=lambda table: 100 * np.expm1(table["residual"]))
    x = fit.x if isinstance(fit.x, str) else "predicted"  # a surface has no one axis: its residuals are seen against what it says
    figure = go.Figure()
    low, high = 100 * np.expm1([-2 * fit.residual_std, 2 * fit.residual_std])
    figure.add_hrect(y0=low, y1=high, fillcolor=FAINT, opacity=0.5, line_width=0, layer="below")
    figure.add_hline(y=0, line={"color": NEUTRAL, "width": 1.4})
    for model, look in looks(fit.runs, fit.table).items():
        rows = residuals[labels(residuals, fit.runs if fit.table is None else fit.table) == model]
        figure.add_scatter(
            x=rows[x],
            y=rows["percent"],
            mode="markers",
            name=model or "runs",
            marker={"symbol": look.marker, "size": 9, "color": look.colour, "opacity": 0.85},
            customdata=rows["id"],
            hovertext=[
                f"{text}<br>{percent(off / 100, signed=True)} off the law"
                for text, off in zip(run_texts(rows, fit.metric, x), rows["percent"], strict=True)
            ],
            hoverinfo="text",
        )
    figure.update_layout(
        layout(
            revision=("residuals", fit.law, fit.on, fit.metric, x, x_scale),
            height=height,
            xaxis=axis(residuals[x], x_scale, axis_label(x, fit.currency), pad=0.04),
            yaxis={**axis([], "linear", f"Residual of the {fit.law} law (%)"), "ticksuffix": " "},
            legend={"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        )
    )
    return figure
