"""How far apart the optima of two surfaces lie at equal compute: one least-squares fit of both metrics, and a test that is inverted.

Both log metrics of a cell are polynomials in u = log compute and v = log size, fitted to the same cells: with one design, least squares for
each is the best fit of both (Zellner 1962, seemingly unrelated regressions). What a cell's seeds share between the metrics is in the
covariance of the two residuals, so it cancels where it moves both optima alike.

At the computes where the upstream metric is least inside the sizes tried, at v(u), the shift δ is the one number with

    Σ ∂d/∂v (u, v(u) + δ) = 0

A shift δ is inside the interval where that sum may be zero: its standard error is that of `Σ [∂d/∂v − (∂²d/∂v² : ∂²u/∂v²) · ∂u/∂v]`, the
second term being what the error of v(u) does, and of what the form may be off by. So the interval is Fieller's, and has no end where the downstream metric is not known to
bend.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from analysis.distributions import normal_quantile, t_quantile, t_two_sided
from analysis.interval import Interval
from analysis.response_surface import Covered, polynomial, polynomial_degree

__all__ = ["LEAST_CELLS", "Contrast", "contrast_of"]

LEAST_CELLS = 12
"""Cells for surfaces of degree 2, two a coefficient."""

_COMPUTES = 9
_LEAST_COMPUTES = 2
_SHIFTS = 801
_POWER = 0.8
_FORM = 0.01
"""ASSUMPTION: what polynomials get wrong of a shift of log size, one standard deviation. Simulated surfaces that are none show up to .017
(benchmarks/transfer_shift.csv). It counts where the metrics hardly scatter."""
_SAME = 1e-6
"""Columns of the design that are so near to others, relative to the largest singular value, are told apart by rounding alone."""


_OPEN = Interval(float("nan"), -float("inf"), float("inf"))
_ANY_COST = Interval(float("nan"), 0.0, float("inf"))


@dataclass(frozen=True, eq=False)
class Contrast:
    """Holds the shift of the optimum in log size at equal compute, and what it costs.

    log_x: (k,), where the upstream optimum lies inside the sizes tried; of `computes` that were looked at.
    upstream, downstream: (k,), log size of each optimum; NaN of the downstream one where it lies outside the sizes tried.
    shift: in log size; `value` is NaN where it lies beyond the sizes tried. p_value: of no shift.
    would_show: the shift that is found with a probability of 80 %, in log size; NaN where the downstream metric does not bend.
    cost: mean excess of the downstream metric at the upstream optimum over its own, in its unit.
    trouble: why there is no answer; empty where there is one.
    """

    trouble: str
    degree: int = 0
    computes: int = _COMPUTES
    log_x: np.ndarray = field(default_factory=lambda: np.empty(0))
    upstream: np.ndarray = field(default_factory=lambda: np.empty(0))
    downstream: np.ndarray = field(default_factory=lambda: np.empty(0))
    shift: Interval = _OPEN
    p_value: float = float("nan")
    would_show: float = float("nan")
    cost: Interval = _ANY_COST


def contrast_of(log_x: np.ndarray, log_size: np.ndarray, upstream: np.ndarray, downstream: np.ndarray, *, level: float) -> Contrast:
    """Find the shift between the optima of two metrics of the same n cells.

    Args:
        log_x, log_size: (n,), logarithms of compute and size. upstream, downstream: (n,), logarithms of the metrics.
        level: nominal coverage of the intervals.
    """
    sizes = len(np.unique(log_size))
    if sizes < 3:
        return Contrast(f"{sizes} size{' was' if sizes == 1 else 's were'} fine-tuned, a best one between others takes 3")
    if len(log_x) < LEAST_CELLS:
        return Contrast(
            f"{len(log_x)} cell{' was' if len(log_x) == 1 else 's were'} fine-tuned, and two surfaces take {LEAST_CELLS}"
        )
    centre_x, centre_size = float(log_x.mean()), float(log_size.mean())
    u, v = log_x - centre_x, log_size - centre_size
    degree = next((each for each in range(polynomial_degree(len(u), 2), 1, -1) if _is_known(u, v, each)), 0)
    if degree == 0:
        return Contrast(
            "the fine-tuned cells lie along a line of size against compute: at no compute is there a size beside the best; `from: all` "
            "fine-tunes those"
        )
    pair = _Pair.fitted(u, v, np.column_stack([upstream, downstream]), degree)
    at = np.linspace(u.min(), u.max(), _COMPUTES)
    covered = Covered(u, v)
    ends = np.array([covered.between(each) for each in at])
    best = pair.minimum(0, at)
    inside = (best > ends[:, 0]) & (best < ends[:, 1])
    if inside.sum() < _LEAST_COMPUTES:
        return Contrast(
            f"the best size before fine-tuning is {_side(pair, at, best, ends)} at {int((~inside).sum())} of {_COMPUTES} computes",
            degree,
        )
    at, best, ends = at[inside], best[inside], ends[inside]
    shift, p_value, would_show = _shift(pair, at, best, ends, level)
    own = pair.minimum(1, at)
    return Contrast(
        trouble=""
        if np.isfinite([shift.low, shift.high]).any()
        else "the fine-tuned metric is not known to bend with size at equal compute",
        degree=degree,
        log_x=at + centre_x,
        upstream=best + centre_size,
        downstream=np.where((own > ends[:, 0]) & (own < ends[:, 1]), own, np.nan) + centre_size,
        shift=shift,
        p_value=p_value,
        would_show=would_show,
        cost=_cost(pair, at, best, ends, shift),
    )


def _is_known(u: np.ndarray, v: np.ndarray, degree: int) -> bool:
    design = polynomial(u / np.ptp(u) if np.ptp(u) else u, v / np.ptp(v), degree)
    values = np.linalg.svd(design, compute_uv=False)
    return bool(values[-1] > _SAME * values[0])


@dataclass(frozen=True, eq=False)
class _Pair:
    """Holds the polynomials of two metrics. theta: (2, p). errors: (2, 2), covariance of residuals. inverse: (p, p), of X'X."""

    degree: int
    theta: np.ndarray
    errors: np.ndarray
    inverse: np.ndarray
    freedom: int

    @classmethod
    def fitted(cls, u: np.ndarray, v: np.ndarray, y: np.ndarray, degree: int) -> _Pair:
        """Fit y (n, 2) by least squares."""
        design = polynomial(u, v, degree)
        theta, *_ = np.linalg.lstsq(design, y, rcond=None)
        left = y - design @ theta
        freedom = len(y) - design.shape[1]
        return cls(degree, theta.T, left.T @ left / freedom, np.linalg.inv(design.T @ design), freedom)

    def columns(self, u: np.ndarray, v: np.ndarray, order: int) -> np.ndarray:
        """Compute the derivative of each column by v, of an order 0, 1 or 2, (…, p)."""
        found = []
        for i in range(self.degree + 1):
            for j in range(self.degree + 1 - i):
                factor = float(np.prod(np.arange(j, j - order, -1)))
                found.append(u**i * (factor * v ** max(j - order, 0)))
        return np.stack(np.broadcast_arrays(*found), axis=-1)

    def minimum(self, metric: int, u: np.ndarray) -> np.ndarray:
        """Return where a metric is least at each u, (k,), of any size; NaN where it has no minimum."""
        slope, bend = (self.columns(u, np.zeros_like(u), order) @ self.theta[metric] for order in (1, 2))
        third = np.zeros_like(u)
        if self.degree == 3:  # ∂³/∂v³ is 6 times the last coefficient of u⁰
            third = np.full_like(u, 6 * self.theta[metric][3])
        with np.errstate(invalid="ignore", divide="ignore"):
            inner = bend**2 - 2 * third * slope
            return np.where(inner >= 0, -2 * slope / (bend + np.sqrt(inner)), np.nan)


def _side(pair: _Pair, at: np.ndarray, best: np.ndarray, ends: np.ndarray) -> str:
    """Say on which side of the sizes tried the optimum lies, by the slope in their middle."""
    slope = pair.columns(at, ends.mean(1), 1) @ pair.theta[0]
    return "the largest that was fine-tuned, or beyond," if np.median(slope) < 0 else "the smallest that was fine-tuned, or below,"


def _shift(pair: _Pair, at: np.ndarray, best: np.ndarray, ends: np.ndarray, level: float) -> tuple[Interval, float, float]:
    """Return the shift with its interval, the p-value of none, and the shift that would show."""
    reach = float(np.max(ends[:, 1] - ends[:, 0]))
    shifts = np.linspace(-reach, reach, _SHIFTS)
    place = best + shifts[:, None]
    inside = (place >= ends[:, 0]) & (place <= ends[:, 1])
    looked_at = inside.mean(1) >= 0.5  # of a shift that leaves the sizes tried at most computes nothing is known
    shifts, place, inside = shifts[looked_at], place[looked_at], inside[looked_at]
    share = inside / inside.sum(1, keepdims=True)
    of_upstream = pair.columns(at, best, 1)
    bend_up = pair.columns(at, best, 2) @ pair.theta[0]
    slope = np.einsum("sk,skp->sp", share, pair.columns(at, place, 1))
    bend = pair.columns(at, place, 2) @ pair.theta[1]
    moved = (share * bend / bend_up) @ of_upstream
    value = slope @ pair.theta[1]
    (up, both), (_, down) = pair.errors

    def product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("sp,pq,sq->s", one, pair.inverse, other))

    noise = down * product(slope, slope) - 2 * both * product(slope, moved) + up * product(moved, moved)
    error = np.sqrt(np.maximum(noise, 0.0) + (_FORM * (share * bend).sum(1)) ** 2 + 1e-300)
    z, most = value / error, t_quantile(0.5 + level / 2, pair.freedom)
    none = int(np.abs(shifts).argmin())
    mean_bend = float((share * bend).sum(1)[none])
    would_show = (most + normal_quantile(_POWER)) * float(error[none]) / mean_bend if mean_bend > 0 else float("nan")
    return _inverted(shifts, z, most), t_two_sided(float(z[none]), pair.freedom), would_show


def _inverted(shifts: np.ndarray, z: np.ndarray, most: float) -> Interval:
    """Return the shifts at which |z| ≤ most, about the one where z rises through 0; an end that the shifts looked at reach is infinite."""
    rises = np.flatnonzero((z[:-1] < 0) & (z[1:] >= 0))
    value = float("nan")
    if len(rises):
        crossings = [_between(shifts, z, int(place), 0.0) for place in rises]
        value = min(crossings, key=abs)
    kept = np.flatnonzero(np.abs(z) <= most)
    if not len(kept):
        if np.isfinite(value):  # the whole interval lies between two of the shifts
            return Interval(value, value, value)
        return Interval(value, float(shifts[-1]), np.inf) if z[-1] < 0 else Interval(value, -np.inf, float(shifts[0]))
    first, last = int(kept[0]), int(kept[-1])
    low = -np.inf if first == 0 else _between(shifts, z, first - 1, float(np.sign(z[first - 1])) * most)
    high = np.inf if last == len(z) - 1 else _between(shifts, z, last, float(np.sign(z[last + 1])) * most)
    return Interval(value, low, high)


def _between(shifts: np.ndarray, z: np.ndarray, place: int, height: float) -> float:
    """Return where z passes a height between a shift and the next."""
    here, there = float(z[place]), float(z[place + 1])
    return float(shifts[place] + (height - here) / (there - here) * (shifts[place + 1] - shifts[place]))


def _cost(pair: _Pair, at: np.ndarray, best: np.ndarray, ends: np.ndarray, shift: Interval) -> Interval:
    """Return the excess downstream of standing as far from the optimum as the shift is, at the ends of its interval too.

    The curve is that of the fit. Where it is known badly the shift's interval is wide on that account, so that this one is no narrower
    than it should be.
    """
    if not np.isfinite(shift.value):
        return _ANY_COST
    own = best + shift.value

    def excess(away: float) -> float:
        place = np.clip(own - away, *ends.T)
        there, least = (np.exp(pair.columns(at, each, 0) @ pair.theta[1]) for each in (place, np.clip(own, *ends.T)))
        return max(float(np.mean(there - least)), 0.0)

    value = excess(shift.value)
    tried = [excess(end) if np.isfinite(end) else float("inf") for end in (shift.low, shift.high)]
    low = 0.0 if shift.low <= 0 <= shift.high else min(value, *tried)
    return Interval(value, low, max(value, *tried))
