"""Where approaches to one optimum disagree beyond their intervals, and where the best size is no power of compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from analysis.interval import Interval
from analysis.optimum.path import Path
from scaling.outcomes import OptimumStatus

__all__ = ["bent", "disagreeing", "with_bend", "with_disagreement"]

_EXPONENT, _RATIO = 0.02, 1.25
"""Smaller differences of an exponent, or of a size at the same compute, change nobody's decision and are no disagreement."""
_LEVEL = 0.01  # of the test of a bend, as of residual-trend


def disagreeing(paths: Sequence[Path], x: str) -> set[str]:
    """Find the approaches that disagree with another one beyond their intervals.

    Two disagree where their intervals of the size's exponent lie apart, or those of the size in the middle of the compute that both
    cover.
    """
    found: set[str] = set()
    for one, other in combinations([path for path in paths if path.says], 2):
        a, b = one.size_exponent, other.size_exponent
        assert a is not None
        assert b is not None
        apart = _apart(a, b) and abs(a.value - b.value) > _EXPONENT
        low = max(path.table[x].min() for path in (one, other))
        high = min(path.table[x].max() for path in (one, other))
        if low <= high:
            a, b = (_size_at(path, x, float(np.sqrt(low * high))) for path in (one, other))
            apart |= _apart(a, b) and abs(a.value - b.value) > np.log(_RATIO)
        if apart:
            found |= {one.approach, other.approach}
    return found


def with_disagreement(paths: Sequence[Path], x: str) -> tuple[Path, ...]:
    """Return the paths; where any two disagree, none of them is ok."""
    if not disagreeing(paths, x):
        return tuple(paths)
    would_be_ok = (OptimumStatus.OK, OptimumStatus.LACK_OF_FIT)
    return tuple(replace(path, status=OptimumStatus.APPROACHES_DISAGREE) if path.status in would_be_ok else path for path in paths)


def bent(paths: Sequence[Path]) -> Path | None:
    """Find the approach that shows that the exponent changes along compute; None where none does."""
    for path in paths:
        if path.says and path.end_exponents and path.p_straight < _LEVEL:
            low, high = (end.value for end in path.end_exponents)
            if abs(high - low) > _EXPONENT:
                return path
    return None


def with_bend(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the paths; where one shows that the exponent changes, none of them is ok.

    A bend is a fact of the runs, also where another approach's law has no room for it.
    """
    if bent(paths) is None:
        return tuple(paths)
    return tuple(replace(path, status=OptimumStatus.BENT) if path.status == OptimumStatus.OK else path for path in paths)


def _apart(a: Interval, b: Interval) -> bool:
    return a.low > b.high or b.low > a.high


def _size_at(path: Path, x: str, at: float) -> Interval:
    """Interpolate log size, with its interval, at a compute between the budgets of the path."""
    with np.errstate(divide="ignore", invalid="ignore"):  # an end may be 0 or infinite
        ends = [np.interp(np.log(at), np.log(path.table[x]), np.log(path.table[f"size{end}"])) for end in ("", "_low", "_high")]
    return Interval(*(float(end) for end in ends))
