"""Names of lines at their ends, where they hide no point: a legend over the points would."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from analysis.figures.style import NEUTRAL

__all__ = ["LineEnd", "add_line_ends"]

_WIDTH, _HEIGHT = 760.0, 450.0
"""Pixels of the plot for which places are chosen. On a wider one there is more room."""
_LETTER, _LINE, _MARKER = 7.0, 15.0, 12.0
_CROSSED = 0.25
"""What a point of a curve under a name costs, of which a name across it covers about eight; a marker under it costs 1."""
_PLACES = (
    ("left", "middle", 11, 0),
    ("left", "bottom", 7, 6),
    ("left", "top", 7, -6),
    ("center", "bottom", 0, 11),
    ("center", "top", 0, -11),
    ("right", "bottom", -7, 6),
    ("right", "top", -7, -6),
    ("left", "bottom", 13, 18),
    ("left", "top", 13, -18),
    ("center", "bottom", 0, 26),
    ("center", "top", 0, -26),
    ("right", "middle", -11, 0),
    ("right", "bottom", -7, 26),
    ("right", "top", -7, -26),
    ("right", "bottom", -7, 44),
    ("right", "top", -7, -44),
    ("left", "bottom", 13, 36),
    ("left", "top", 13, -36),
)
"""Anchors and shifts, in pixels to the right and upwards, the most wanted first."""


@dataclass(frozen=True)
class LineEnd:
    """Holds the name of a line, and the places of its ends in data, the one to write at rather first."""

    name: str
    places: tuple[tuple[float, float], ...]


def add_line_ends(
    figure: go.Figure,
    ends: Sequence[LineEnd],
    points: np.ndarray,
    *,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    logs: tuple[bool, bool],
    curves: Sequence[np.ndarray] = (),
) -> None:
    """Write each name beside its line's end, as an annotation of that name, where it covers fewest points, curves and other names.

    points: (n, 2), data. curves: each (m, 2), data, dense enough that a name across one covers several of its points. x_range, y_range: of the axes; of a log axis in log10. logs: whether the axes are logarithmic.
    """
    marks = _pixels(points, x_range, y_range, logs)
    drawn = _pixels(np.concatenate([np.empty((0, 2)), *curves]), x_range, y_range, logs)
    taken = [_foot(note, x_range) for note in figure.layout.annotations if note.yref == "paper"]
    for end in ends:
        best: tuple[float, tuple[float, float, float, float], tuple[float, float], tuple[str, str, int, int]] | None = None
        for number, (place, (left, up)) in enumerate(
            zip(end.places, _pixels(np.array(end.places, dtype=float), x_range, y_range, logs), strict=True)
        ):
            for rank, how in enumerate(_PLACES):
                box = _box(len(end.name) * _LETTER, left, up, how)
                cost = _covered(box, marks, taken) + _CROSSED * _inside(box, drawn, 0).sum() + 0.1 * rank + 0.4 * number
                if best is None or cost < best[0]:
                    best = (cost, box, place, how)
        assert best is not None, "a line has an end"
        _, box, (x, y), (xanchor, yanchor, right, above) = best
        taken.append(box)
        figure.add_annotation(
            x=math.log10(x) if logs[0] else x,  # unlike a line, an annotation is placed in the logarithm
            y=math.log10(y) if logs[1] else y,
            text=end.name,
            name=end.name,
            showarrow=False,
            xanchor=xanchor,
            yanchor=yanchor,
            xshift=right,
            yshift=above,
            font={"size": 12, "color": NEUTRAL},
        )


def _pixels(data: np.ndarray, x_range: tuple[float, float], y_range: tuple[float, float], logs: tuple[bool, bool]) -> np.ndarray:
    found = np.empty((len(data), 2))
    for column, (ends, log, size) in enumerate(zip((x_range, y_range), logs, (_WIDTH, _HEIGHT), strict=True)):
        values = np.log10(np.maximum(data[:, column], 1e-300)) if log else data[:, column]
        found[:, column] = (values - ends[0]) / max(ends[1] - ends[0], 1e-12) * size
    return found


def _foot(note: go.layout.Annotation, x_range: tuple[float, float]) -> tuple[float, float, float, float]:
    """Return the box of a text at the foot of the plot."""
    left = (note.x - x_range[0]) / max(x_range[1] - x_range[0], 1e-12) * _WIDTH
    return left, 0.0, left + len(note.text) * _LETTER, _LINE


def _box(width: float, left: float, up: float, place: tuple[str, str, int, int]) -> tuple[float, float, float, float]:
    """Return left, bottom, right, top of a text at a place."""
    xanchor, yanchor, right, above = place
    x = left + right - {"left": 0.0, "center": 0.5, "right": 1.0}[xanchor] * width
    y = up + above - {"bottom": 0.0, "middle": 0.5, "top": 1.0}[yanchor] * _LINE
    return x, y, x + width, y + _LINE


def _covered(
    box: tuple[float, float, float, float], marks: np.ndarray, taken: Sequence[tuple[float, float, float, float]]
) -> float:
    left, bottom, right, top = box
    inside = _inside(box, marks, _MARKER - 3)
    others = sum(left < other[2] and right > other[0] and bottom < other[3] and top > other[1] for other in taken)
    outside = left < 0 or right > _WIDTH or bottom < 0 or top > _HEIGHT
    return float(inside.sum()) + 4.0 * others + 6.0 * outside


def _inside(box: tuple[float, float, float, float], marks: np.ndarray, beyond: float) -> np.ndarray:
    """Say which marks, (n, 2) in pixels, lie in a box or within so many pixels of it: (n,)."""
    (left, bottom, right, top), (x, y) = box, marks.T
    return (x > left - beyond) & (x < right + beyond) & (y > bottom - beyond) & (y < top + beyond)
