"""Where two sides cross: the compute from which on the other is better."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from analysis.comparison.difference import Difference
from analysis.interval import Interval
from scaling.rounding import significant

__all__ = ["Crossing", "crossing_of"]


@dataclass(frozen=True)
class Crossing:
    """Holds the last crossing within the shared range of compute, or why there is none.

    at: the compute at which the difference is zero, NaN where it is nowhere. low … high are all computes around it at which the difference
    is not significant. They are infinite where those go on to the end of the shared range, beyond which nothing is known.
    overtakes: the side that is better above it; None where there is no crossing. proven: the two sides are significantly better on either
    side of it. reason: why there is none, or why it is not proven; or that there are several.
    """

    at: Interval
    overtakes: str | None
    proven: bool
    reason: str | None

    def to_dict(self, x: str) -> dict[str, object]:
        """Return the crossing as JSON holds it: `{"<x>": {"value", "low", "high"}, "overtakes", "proven", "reason"}`."""
        return {x: self.at.to_dict(), "overtakes": self.overtakes, "proven": self.proven, "reason": self.reason}


def crossing_of(found: Difference, names: tuple[str, str], x: str, level: float, *, unit: str) -> Crossing:
    """Find the crossing of sides a and b, whose `names` are given. unit: what words say after a number of `x`, of money the currency.

    A crossing is proven where the difference changes with compute and is significant, with two signs, below and above. The interval is the
    set of computes at which a difference of zero is not refused at this level (Fieller 1954, for a curve). It holds the true crossing as
    often as the level says, since it does so at every single compute.
    """
    u, value = found.along.u, found.along.value
    half = found.quantile(level) * found.along.error
    beyond = np.abs(value) - half  # above zero where the difference is significant
    sign = np.where(beyond > 0, np.sign(value), 0.0)  # positive: b is better
    shown = np.flatnonzero(sign)
    low, high = (significant(end, 3) for end in found.shared)

    def better(of: float) -> str:
        return names[1] if of > 0 else names[0]

    if not len(shown):
        return _none(f"the difference may be noise at every {x} from {low} to {high}{f' {unit}' if unit != x else ''}")
    roots = np.flatnonzero(np.diff(value > 0))
    changes = shown[np.flatnonzero(np.diff(sign[shown]))]  # the last significant point before each change of the better side
    if len(changes):
        if found.p_constant >= 1 - level:  # somewhere along a curve noise alone may seem significant on either side
            return _none(f"the difference changes with {x} by no more than noise may make it change")
        before, after = int(changes[-1]), int(shown[shown > changes[-1]][0])
        root = int(roots[(roots >= before) & (roots < after)][-1])
        # Signed, since the whole interval may lie between two points of the curve.
        low_end, high_end = _zero(u, sign[before] * value - half, before), _zero(u, sign[after] * value - half, after - 1)
        at = Interval(_zero(u, value, root), low_end, high_end).exp()
        more = None if len(changes) == 1 else f"the last of {len(changes)} crossings"
        return Crossing(at, better(sign[after]), True, more)
    leads, other = better(sign[shown[0]]), better(-sign[shown[0]])
    first, last = int(shown[0]), int(shown[-1])
    if last < len(u) - 1:
        start = math.exp(_zero(u, beyond, last))
        at = Interval(_root(u, value, roots[roots >= last]), start, math.inf)
        why = f"above {significant(start, 3)} {unit} the difference may be noise: that {other} is better there is not shown"
        return Crossing(at, None if math.isnan(at.value) else other, False, why)
    if first > 0:
        end = math.exp(_zero(u, beyond, first - 1))
        at = Interval(_root(u, value, roots[roots < first]), -math.inf, end)
        why = f"below {significant(end, 3)} {unit} the difference may be noise: that {other} is better there is not shown"
        return Crossing(at, None if math.isnan(at.value) else leads, False, why)
    return _none(f"no crossing from {low} to {high} {unit}")


def _root(u: np.ndarray, value: np.ndarray, roots: np.ndarray) -> float:
    """Return the compute at the last of the roots; NaN where there is none."""
    return math.exp(_zero(u, value, int(roots[-1]))) if len(roots) else math.nan


def _none(reason: str) -> Crossing:
    return Crossing(Interval(math.nan, -math.inf, math.inf), None, False, reason)


def _zero(u: np.ndarray, value: np.ndarray, start: int) -> float:
    """Return the u between `start` and the next at which `value` is zero, by a straight line."""
    before, after = float(value[start]), float(value[start + 1])
    return float(u[start] + (u[start + 1] - u[start]) * before / (before - after))
