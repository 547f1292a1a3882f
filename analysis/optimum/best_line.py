"""The line that the best size follows in log compute, fitted to the losses of all slices at once.

A line through the minima of single slices is drawn towards the middle of what was tried. A slice whose losses hardly bend has its
minimum anywhere, and only minima between the sizes of the slice are seen. So every slice's curve has its minimum *on* the line, each
with its own height and bend, and the line is the one of least misfit. A slice that does not bend then says nothing, instead of
something wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.optimum.equal_compute import Slice
from analysis.optimum.local_fit import LocalCurves
from analysis.optimum.valley import least_valley, unit_compute

__all__ = ["best_line", "interior_slices", "slices_on_line"]


def slices_on_line(slices: Sequence[Slice], curves: LocalCurves) -> tuple[np.ndarray, np.ndarray] | None:
    """Find which slices (S,) carry the line, and the first draw's line (2,): `height + slope · log x`.

    First those whose best tried size, and whose own minimum, lie between others; then all whose sizes the line so found passes between.
    None where these are fewer than two.
    """
    at = np.array([own.at for own in slices])
    interior = interior_slices(slices, curves)
    if interior.sum() < 2:
        return None
    slope, height = np.polyfit(at[interior], curves.best[0, interior], 1)
    line = best_line(slices, curves, interior, np.array([height, slope]), first=True)[0]
    inside = np.array([own.size[0] < line[0] + line[1] * own.at < own.size[-1] for own in slices])
    if inside.sum() < 2:
        return None
    return inside, best_line(slices, curves, inside, line, first=True)[0]


def interior_slices(slices: Sequence[Slice], curves: LocalCurves) -> np.ndarray:
    """Mark the slices (S,) with an interior minimum.

    The best tried size is neither the smallest nor the largest of its slice, and the curve's minimum lies between these two.
    """
    return np.array(
        [
            0 < np.argmin(own.loss[0]) < len(own.size) - 1 and own.size[0] < best < own.size[-1]
            for own, best in zip(slices, curves.best[0], strict=True)
        ]
    )


def best_line(
    slices: Sequence[Slice], curves: LocalCurves, chosen: np.ndarray, start: np.ndarray, *, first: bool = False
) -> np.ndarray:
    """Fit the line of each draw: height at log x = 0 and slope, (draws, 2); NaN where its losses bend in fewer than two slices.

    chosen: (S,), which slices count. start: (2,). first: of the first draw alone.
    """
    rows = 1 if first else len(curves.best)
    _, centre, unit = unit_compute(slices, chosen)
    line = np.tile([start[0] + start[1] * centre, start[1] * unit, 0.0, 0.0], (rows, 1))
    found = least_valley(slices, curves, chosen, line, free=2)
    slope = found[:, 1] / unit
    return np.stack([found[:, 0] - slope * centre, slope], axis=-1)
