"""Several sides in pairs: by how many per cent the metric of one lies above that of the other, each with its interval."""

from __future__ import annotations

import plotly.graph_objects as go

from analysis.comparison.pairwise import PairwiseComparison
from analysis.figures.axes import axis
from analysis.figures.comparison import SIDES
from analysis.figures.style import NEUTRAL, layout
from scaling.rounding import significant

__all__ = ["pairwise_figure"]

_ROW = 44


def pairwise_figure(found: PairwiseComparison) -> go.Figure:
    """Draw a row a pair, the first on top: the difference at the largest compute that the two share, and its interval.

    A full marker is a difference that stays after the correction for the number of pairs. The dotted bar about zero is what would not
    have shown with a power of 80 %.
    """
    names = [f"{pair.a} over {pair.b}" for pair in found.pairs]
    ratios = [pair.difference_at_largest.exp() for pair in found.pairs]
    off = [[100 * (end - 1) for end in (ratio.value, ratio.low, ratio.high)] for ratio in ratios]
    figure = go.Figure()
    for name, pair in zip(names, found.pairs, strict=True):
        hidden = 100 * found.detectable(pair)
        figure.add_scatter(
            x=[-hidden, hidden],
            y=[name, name],
            mode="lines",
            line={"color": NEUTRAL, "width": 1.4, "dash": "dot"},
            name="would not have shown",
            hoverinfo="skip",
            showlegend=False,
        )
    figure.add_scatter(
        x=[value for value, _, _ in off],
        y=names,
        mode="markers",
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [high - value for value, _, high in off],
            "arrayminus": [value - low for value, low, _ in off],
            "color": SIDES[0][0],
            "thickness": 2,
            "width": 5,
        },
        marker={
            "symbol": ["circle" if better else "circle-open" for better in found.better],
            "size": 11,
            "color": SIDES[0][0],
            "line": {"width": 1.6},
        },
        name="difference",
        hovertext=[
            f"<b>{name}</b><br>at {significant(pair.found.shared[1], 3)} {pair.unit}: ratio {ratio.words(4)}<br>p = {significant(p, 2)}, corrected"
            for name, pair, ratio, p in zip(names, found.pairs, ratios, found.p_adjusted, strict=True)
        ],
        hoverinfo="text",
        showlegend=False,
    )
    figure.add_vline(x=0, line={"color": NEUTRAL, "width": 1.2})
    figure.update_layout(
        layout(
            revision=("pairs", found.by, *found.sides, found.metric, found.x),
            height=130 + _ROW * len(names),
            margin={"l": 70, "r": 24, "t": 44, "b": 60},  # room for the buttons above the first row
            xaxis={**axis([], "linear", f"{found.metric} at equal {found.x} (% above)"), "ticksuffix": " "},
            yaxis={"type": "category", "autorange": "reversed", "automargin": True, "showgrid": False},
        )
    )
    return figure
