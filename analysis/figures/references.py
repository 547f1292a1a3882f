"""Results of others in the figure of a frontier: open markers of one colour, none of which is a run."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from analysis.reference_points.beside import References
from analysis.reference_points.point import ReferencePoint
from analysis.reference_points.read import NAMES
from scaling.rounding import amount, significant

__all__ = ["add_references"]

_COLOUR = "#B5548B"
"""Apart from those of models and laws, on a light and on a dark page."""
_SYMBOLS = (
    "star-open",
    "x-open",
    "cross-open",
    "triangle-down-open",
    "hexagram-open",
    "pentagon-open",
    "bowtie-open",
    "hourglass-open",
)
_MOST_NAMED = 8


def add_references(figure: go.Figure, found: References) -> tuple[list[float], list[float]]:
    """Draw the points, and return their x and y, so that the axes show them.

    Of a series of up to eight points each has its marker and its place in the legend; of a larger one the series has. One without
    compute is a line at its height. An arrow to the right marks compute of which the source says "more than".
    """
    series: dict[str, list[ReferencePoint]] = {}
    for point in found.points:
        series.setdefault(point.series, []).append(point)
    for name, points in series.items():
        placed = [point for point in points if point.at is not None]
        if len(placed) > _MOST_NAMED:
            _add(figure, found, placed, NAMES.get(name, name), "diamond-open", size=7)
        else:
            for number, point in enumerate(placed):
                label = f"{point.name} ({'published' if name == 'published' else name})"
                _add(figure, found, [point], label, _SYMBOLS[number % len(_SYMBOLS)], size=11)
    for point in found.points:
        if point.at is None:
            _add_level(figure, found, point)
        elif point.is_bound:
            _add_more_than(figure, point)
    return [point.at for point in found.points if point.at is not None], [point.value for point in found.points]


def _add(figure: go.Figure, found: References, points: Sequence[ReferencePoint], name: str, symbol: str, *, size: float) -> None:
    figure.add_scatter(
        x=[point.at for point in points],
        y=[point.value for point in points],
        mode="markers",
        name=name,
        legendrank=3000,
        marker={"symbol": symbol, "size": size, "color": _COLOUR, "line": {"width": 1.8, "color": _COLOUR}},
        hovertext=[_text(found, point) for point in points],
        hoverinfo="text",
    )


def _add_level(figure: go.Figure, found: References, point: ReferencePoint) -> None:
    figure.add_hline(y=point.value, line={"color": _COLOUR, "width": 1.2, "dash": "dot"}, layer="below")
    figure.add_scatter(  # the line's place in the legend
        x=[None],
        y=[None],
        mode="lines",
        name=f"{point.name} ({'published' if point.series == 'published' else point.series}; no {found.x})",
        legendrank=3001,
        line={"color": _COLOUR, "width": 1.2, "dash": "dot"},
    )


def _add_more_than(figure: go.Figure, point: ReferencePoint) -> None:
    assert point.at is not None, "a bound has a place"
    figure.add_scatter(
        x=[point.at],
        y=[point.value],
        mode="text",
        text=["   →"],
        textposition="middle right",
        textfont={"color": _COLOUR, "size": 15},
        hoverinfo="skip",
        showlegend=False,
    )


def _text(found: References, point: ReferencePoint) -> str:
    more = "more than " if point.is_bound else ""
    lines = [
        f"<b>{point.name}</b>, no run of this study",
        f"{found.metric} {significant(point.value)}",
        f"{found.x} {more}{amount(point.at)}",
    ]
    if point.factor is not None:
        lines.append(
            f"{more}{amount(point.stated)} on {point.accelerator}, / {significant(point.factor, 3)}: {point.factor_source}"
        )
    elif point.accelerator:
        lines.append(f"on {point.accelerator}")
    return "<br>".join([*lines, point.source] if point.source else lines)
