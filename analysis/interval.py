"""A number with its interval, as every answer carries it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from analysis.numbers import with_interval
from analysis.questions import LEVELS
from scaling.errors import UsageError
from scaling.rounding import significant

__all__ = ["Interval", "check_level"]


def check_level(level: float) -> None:
    """Raise `UsageError` for a nominal coverage outside `LEVELS`."""
    low, high = LEVELS
    if not low <= level <= high:
        raise UsageError(f"level {level:g} is not between {low:g} and {high:g}", hint="0.95 gives 95 % intervals")


@dataclass(frozen=True)
class Interval:
    """Holds `value` and the ends of its interval. Infinite ends are an answer: the data do not bound it there."""

    value: float
    low: float
    high: float

    @classmethod
    def of_draws(cls, value: float, draws: np.ndarray, level: float) -> Interval:
        """Return the percentiles of `draws` (n,), widened where needed to hold the value.

        NaN draws are left out. Where they are more than one tail's share of all, neither end is bounded.
        """
        known = draws[~np.isnan(draws)]
        tail = 0.5 - level / 2
        if len(known) < (1 - tail) * len(draws) or not len(known):
            return cls(value, -math.inf, math.inf)
        low, high = np.quantile(known, [tail, 1 - tail])
        return cls(value, min(float(low), value), max(float(high), value))

    @classmethod
    def around(cls, value: float, half: float) -> Interval:
        return cls(value, value - half, value + half)

    def exp(self) -> Interval:
        with np.errstate(over="ignore"):
            return Interval(*(float(np.exp(end)) for end in (self.value, self.low, self.high)))

    @property
    def bounded(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)

    def excludes(self, number: float) -> bool:
        return self.low > number or self.high < number

    def to_dict(self) -> dict[str, float | None]:
        return with_interval(self.value, self.low, self.high)

    def words(self, digits: int = 3) -> str:
        """Write the interval for people: `1.31 (1.25 … 1.38)`."""
        return f"{significant(self.value, digits)} ({significant(self.low, digits)} … {significant(self.high, digits)})"
