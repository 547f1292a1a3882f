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
    """`value` with the interval `low` … `high` for the cell's own best rate: the law's, widened by how cells scatter about it.

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
        """A line for people."""

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
    """Two: the factor-2 rates above and below `value`. A third, below them, where the interval reaches down to it.

    Upwards none is added: the trend falls, so a cell's best rate does not lie above those of the smaller cells.
    """
    third = value / TRIAL_FACTOR**1.5  # the two lie within √2 of `value`, in the middle of where a grid may fall
    return 2 + int(not math.isfinite(low) or low <= third)
