"""Best size and best epochs along compute, by one approach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.interval import Interval
from analysis.numbers import records
from scaling.outcomes import OptimumStatus
from scaling.rounding import significant

__all__ = ["Crossing", "Path", "path_along", "refused"]


_NO_NOISE, _NO_WIDTH = 1e-8, 1e-12  # of logarithms and exponents: rounding
_KNOWN_BEFOREHAND = 1.0
"""The width of an exponent's interval that says nothing.

Compute grows with size times data. So before anything was run, the exponents of the two are known to be shares of 1, each from 0 to 1."""


@dataclass(frozen=True)
class Crossing:
    """Holds the compute above which more than one epoch pays. `at` is None where the data do not say; `reason` says why."""

    at: Interval | None
    reason: str

    def to_dict(self) -> dict[str, object]:
        return {"determined": self.at is not None, "reason": self.reason} | (
            {"at": self.at.to_dict()} if self.at is not None else {"at": None}
        )


@dataclass(frozen=True, eq=False)
class Path:
    """Holds what one approach says of the best size and epochs along compute.

    table: a row a budget inside what the approach covers: x, `size`, `epochs` (`examples_seen`, where the table has no epochs), and
    `_low`, `_high` of both.
    size_exponent, epochs_exponent: of `size ∝ x^s`; None when refused. Epochs and examples seen have one exponent.
    crossing: where the best epoch budget passes 1. points: what the approach rests on (frontier points, slices); may be empty.
    law: of the surface approach.
    end_exponents: of isocompute, those of the size at the smallest and at the largest of its computes.
    p_straight: of the test that these are one; NaN where none was made.
    """

    approach: str
    status: OptimumStatus
    reason: str
    table: pd.DataFrame
    size_exponent: Interval | None
    epochs_exponent: Interval | None
    crossing: Crossing
    points: pd.DataFrame
    law: str | None = None
    end_exponents: tuple[Interval, Interval] | None = None
    p_straight: float = float("nan")

    @property
    def answers(self) -> bool:
        """Say whether the approach names an optimum at all."""
        return self.size_exponent is not None

    @property
    def says(self) -> bool:
        """Say whether the optimum that the approach names is determined by the runs."""
        return self.answers and self.status != OptimumStatus.NOT_IDENTIFIED

    def to_dict(self) -> dict[str, object]:
        return {
            "approach": self.approach,
            "status": self.status.value,
            "advice": self.status.advice,
            "reason": self.reason,
            "law": self.law,
            "size_exponent": self.size_exponent.to_dict() if self.size_exponent else None,
            "epochs_exponent": self.epochs_exponent.to_dict() if self.epochs_exponent else None,
            "end_exponents": [end.to_dict() for end in self.end_exponents] if self.end_exponents else None,
            "p_straight": self.p_straight if np.isfinite(self.p_straight) else None,
            "epochs_above_one": self.crossing.to_dict(),
            "optimum": records(self.table),
            "points": records(self.points),
        }


def refused(approach: str, status: OptimumStatus, reason: str, points: pd.DataFrame | None = None, law: str | None = None) -> Path:
    """Make the path of an approach that found none, with the reason."""
    nothing = pd.DataFrame() if points is None else points
    return Path(approach, status, reason, pd.DataFrame(), None, None, Crossing(None, reason), nothing, law)


def path_along(
    approach: str,
    *,
    x: str,
    data: str,
    log_x: np.ndarray,
    size: tuple[np.ndarray, np.ndarray],
    epochs: tuple[np.ndarray, np.ndarray],
    level: float,
    reason: str,
    points: pd.DataFrame,
    epochs_tried: tuple[float, float],
    noise_known: bool = True,
    identified: bool = True,
    trend: bool = False,
    law: str | None = None,
    noise: float = float("nan"),
) -> Path:
    """Make a path from its values and draws.

    Args:
        data: what `epochs` are called in the table: `epochs`, or `examples_seen` where there are none.
        log_x: (k,), budgets, k ≥ 2.
        size, epochs: logarithms of the optimum at each budget, (k,), and its draws, (draws, k); NaN where a draw has none.
        epochs_tried: smallest and largest epoch budget of the cells.
        noise_known: whether there are draws at all. identified: whether what the path was made from is determined by the runs.
        trend: whether the runs bend otherwise than what the path was made from.
        noise: standard deviation of a cell's log loss. Where it is positive, draws that all agree show that the draws could not tell,
            not that the answer is certain: such an interval has no ends.
    """
    columns: dict[str, object] = {x: np.exp(log_x)}
    bounded = True
    for name, (value, draws) in (("size", size), (data, epochs)):
        ends = [about(float(value[k]), draws[:, k], level, noise).exp() for k in range(len(log_x))]
        bounded &= all(end.bounded for end in ends)
        columns |= {
            name: [end.value for end in ends],
            f"{name}_low": [end.low for end in ends],
            f"{name}_high": [end.high for end in ends],
        }
    size_line, size_draws = _lines(log_x, *size)
    epochs_line, epochs_draws = _lines(log_x, *epochs)
    exponents = [
        about(float(line[1]), own[:, 1], level, noise) for line, own in ((size_line, size_draws), (epochs_line, epochs_draws))
    ]
    bounded &= all(_tells(exponent) for exponent in exponents)
    return Path(
        approach=approach,
        status=_status(noise_known=noise_known, identified=bounded and identified, trend=trend),
        reason=reason,
        table=pd.DataFrame(columns),
        size_exponent=exponents[0],
        epochs_exponent=exponents[1],
        crossing=_crossing(epochs_line, epochs_draws, log_x, x, epochs_tried, level, noise)
        if data == "epochs"
        else Crossing(None, "the table has no epochs"),
        points=points,
        law=law,
    )


def _status(*, noise_known: bool, identified: bool, trend: bool) -> OptimumStatus:
    if not noise_known:
        return OptimumStatus.NO_NOISE_ESTIMATE
    if not identified:
        return OptimumStatus.NOT_IDENTIFIED
    return OptimumStatus.LACK_OF_FIT if trend else OptimumStatus.OK


def _tells(exponent: Interval) -> bool:
    """Say whether an exponent's interval tells that the optimum moves with compute, which way, and more than was known before any run."""
    one_sign = exponent.low > 0 or exponent.high < 0
    return exponent.bounded and one_sign and exponent.high - exponent.low < _KNOWN_BEFOREHAND


def about(value: float, draws: np.ndarray, level: float, noise: float) -> Interval:
    """Return the interval of a value from its draws (n,): at each end the wider of their percentiles and the shifted percentiles.

    The shift puts the median of the draws on the value. Draws may lie to one side of the estimate, because a minimum of noisy numbers
    is biased. Percentiles alone would then end on the value itself, as if nothing were possible beyond it.
    """
    plain = Interval.of_draws(value, draws, level)
    if not plain.bounded:
        return plain
    moved = Interval.of_draws(value, draws + (value - float(np.nanmedian(draws))), level)
    low, high = min(plain.low, moved.low), max(plain.high, moved.high)
    if noise > _NO_NOISE and (high - value <= _NO_WIDTH or value - low <= _NO_WIDTH):
        return Interval(value, -np.inf, np.inf)
    return Interval(value, low, high)


def _lines(log_x: np.ndarray, value: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit a least-squares line, (height at the centre, slope), through the value, (2,), and through each draw, (draws, 2)."""
    u = log_x - log_x.mean()
    weights = np.stack([np.full_like(u, 1 / len(u)), u / np.sum(u**2)])
    return weights @ value, draws @ weights.T


def _crossing(
    line: np.ndarray, draws: np.ndarray, log_x: np.ndarray, x: str, tried: tuple[float, float], level: float, noise: float
) -> Crossing:
    """Find where the line passes log epochs = 0, if these data say."""
    if tried[0] > 1:
        return Crossing(None, f"no budget of one epoch or less was tried (the smallest is {tried[0]:g})")
    if tried[1] <= 1:
        return Crossing(None, f"no budget above one epoch was tried (the largest is {tried[1]:g})")
    (height, slope), centre = line, float(log_x.mean())
    if slope <= 0:
        return Crossing(None, f"the best epoch budget does not grow with {x} here")
    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = np.where(draws[:, 1] > 0, centre - draws[:, 0] / draws[:, 1], np.nan)
    found = about(float(centre - height / slope), crossings, level, noise)
    if not found.bounded:
        return Crossing(None, f"whether the best epoch budget grows with {x} is not determined by these runs")
    at = found.exp()
    inside = log_x.min() <= found.value <= log_x.max()
    beyond = (
        ""
        if inside
        else f", extrapolated: optima were found from {significant(np.exp(log_x.min()), 3)} to {significant(np.exp(log_x.max()), 3)}"
    )
    return Crossing(at, f"the best epoch budget passes 1 at {at.words()} {x}{beyond}")
