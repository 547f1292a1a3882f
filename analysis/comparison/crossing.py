"""Where two sides cross: the compute from which on the other is better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.comparison.difference import Difference
from analysis.interval import Interval
from analysis.numbers import significant

__all__ = ["Crossing", "crossing_of"]


@dataclass(frozen=True)
class Crossing:
    """The last crossing within the shared range of compute.

    at: the compute at which the difference is zero, NaN where it is nowhere; low … high: all computes around it at which the difference is
    not significant, infinite where they go on to the end of the shared range, beyond which nothing is known.
    overtakes: the side that is better above it; None where there is no crossing. proven: the two sides are significantly better on either side of it.
    reason: why there is none, or why it is not proven; or that there are several.
    """

    at: Interval
    overtakes: str | None
    proven: bool
    reason: str | None

    def to_dict(self, x: str) -> dict[str, Any]:
        """`{"<x>": {"value", "low", "high"}, "overtakes", "proven", "reason"}`."""
        return {x: self.at.to_dict(), "overtakes": self.overtakes, "proven": self.proven, "reason": self.reason}


def crossing_of(found: Difference, names: tuple[str, str], x: str, level: float) -> Crossing:
    """The crossing of sides a and b, whose `names` are given.

    A crossing is proven where the difference changes with compute and is significant, with two signs, below and above. The interval is the set of computes at which a difference of zero is not refused at this level (Fieller 1954, for a curve): it holds the
    true crossing as often as the level says, since it does so at every single compute.
    """
    u, value = found.along.u, found.along.value
    half = found.quantile(level) * found.along.error
    sign = np.where(np.abs(value) > half, np.sign(value), 0.0)  # positive: b is better
    low, high = (significant(end, 3) for end in found.shared)

    def better(of: float) -> str:
        return names[1] if of > 0 else names[0]

    roots = np.flatnonzero(np.sign(value[:-1]) * np.sign(value[1:]) < 0)
    if not sign.any():
        return _none(f"the difference may be noise at every {x} from {low} to {high}")
    if len(roots):
        root = int(roots[-1])
        below, above = np.flatnonzero(sign[: root + 1]), root + 1 + np.flatnonzero(sign[root + 1 :])
        at = Interval(
            _zero(u, value, root),
            _zero(u, np.abs(value) - half, int(below[-1])) if len(below) else -math.inf,
            _zero(u, np.abs(value) - half, int(above[0]) - 1) if len(above) else math.inf,
        ).exp()
        at = Interval(at.value, at.low or -math.inf, at.high)
        winner, loser = better(value[-1]), better(-value[-1])
        if not len(below):
            return Crossing(
                at,
                winner,
                False,
                f"below {significant(at.high, 3)} {x} the difference may be noise: that {loser} is better there is not shown",
            )
        if not len(above):
            return Crossing(
                at,
                winner,
                False,
                f"above {significant(at.low, 3)} {x} the difference may be noise: that {winner} is better there is not shown",
            )
        if found.p_constant >= 1 - level:  # somewhere along a curve noise alone may seem significant on either side
            return _none(f"the difference changes with {x} by no more than noise may make it change")
        if sign[below[-1]] != sign[above[0]]:
            changes = int(np.count_nonzero(np.diff(sign[sign != 0])))
            return Crossing(at, winner, True, None if changes == 1 else f"the last of {changes} crossings")
    leads = better(sign[sign != 0][-1])
    if sign[-1] == 0:
        start = math.exp(_zero(u, np.abs(value) - half, int(np.flatnonzero(sign)[-1])))
        return Crossing(
            Interval(math.nan, start, math.inf),
            None,
            False,
            f"{leads} is better up to {significant(start, 3)} {x}; from there on the difference may be noise, and the sides may cross",
        )
    if sign[0] == 0:
        end = math.exp(_zero(u, np.abs(value) - half, int(np.flatnonzero(sign)[0]) - 1))
        return Crossing(
            Interval(math.nan, -math.inf, end),
            None,
            False,
            f"{leads} is better from {significant(end, 3)} {x} on; below, the difference may be noise, and the sides may cross",
        )
    return _none(f"no crossing from {low} to {high} {x}")


def _none(reason: str) -> Crossing:
    return Crossing(Interval(math.nan, -math.inf, math.inf), None, False, reason)


def _zero(u: np.ndarray, value: np.ndarray, start: int) -> float:
    """The u between `start` and the next at which `value` is zero, by a straight line."""
    before, after = float(value[start]), float(value[start + 1])
    return float(u[start] + (u[start + 1] - u[start]) * before / (before - after))
