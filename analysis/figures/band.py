"""A line with its interval as a band."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from analysis.figures.style import translucent

__all__ = ["add_band"]


def add_band(
    figure: go.Figure,
    x: np.ndarray,
    value: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    colour: str,
    name: str,
    texts: Sequence[str],
    **line: object,
) -> None:
    """Add `value` over `x` and, where both ends are finite, the band from `low` to `high`.

    texts: hover, one a point. line: settings of the trace.
    """
    known = np.isfinite(low) & np.isfinite(high)
    places = {key: line[key] for key in ("xaxis", "yaxis") if key in line}
    if known.any():
        figure.add_scatter(
            x=np.concatenate([x[known], x[known][::-1]]),
            y=np.concatenate([low[known], high[known][::-1]]),
            fill="toself",
            fillcolor=translucent(colour, 0.14),
            line={"width": 0},
            mode="lines",
            name=f"{name}, interval",
            legendgroup=name,
            showlegend=False,
            hoverinfo="skip",
            **places,
        )
    figure.add_scatter(
        x=x,
        y=value,
        mode="lines",
        name=name,
        legendgroup=name,
        hovertext=list(texts),
        hoverinfo="text",
        **{"line": {"color": colour, "width": 1.8}, **line},
    )
