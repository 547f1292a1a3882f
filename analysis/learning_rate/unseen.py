"""The best learning rate of a cell that was not run: by the trend, with the interval of one more cell and the trials it would need."""

from __future__ import annotations

import math
from dataclasses import dataclass

from analysis.numbers import with_interval
from scaling.rounding import significant

__all__ = ["CellRate", "trials_needed"]

TRIAL_FACTOR = 2.0
"""The grid of the study: each rate twice the next."""


@dataclass(frozen=True)
class CellRate:
    """Holds the best rate of one cell, `value`, with the interval `low` … `high`: the law's, widened by how cells scatter about it.

    trials: how many rates of a factor-2 grid it takes to find the best, see `trials_needed`.
    """

    family: str
    model: str
    params: float | None
    epochs: float
    value: float
    low: float
    high: float
    trials: int

    def sentence(self) -> str:
        """Return a line for people: the rate, its interval and the trials needed."""

        name = self.model or (f"{self.params:,.0f} parameters" if self.params else "the model")
        return (
            f"{name} at {self.epochs:g} epochs: {significant(self.value)} ({significant(self.low)} … {significant(self.high)}), "
            f"{self.trials} trials"
        )

    def to_dict(self) -> dict[str, object]:
        return {
            "family": self.family,
            "model": self.model,
            "params": self.params,
            "epochs": self.epochs,
            "learning_rate": with_interval(self.value, self.low, self.high),
            "trials": self.trials,
        }


def trials_needed(value: float, low: float) -> int:
    """Count the rates of a factor-2 grid that it takes to find the best: two, or three where the interval reaches far down.

    The two are those above and below `value`. The third lies below them, and is needed where the interval reaches down to it. None is added
    upwards: the trend falls, so a cell's best rate does not lie above those of the smaller cells.
    """
    third = value / TRIAL_FACTOR**1.5  # the two lie within √2 of `value`, in the middle of where a grid may fall
    return 2 + int(not math.isfinite(low) or low <= third)
