"""Whether a run that is under way can still matter: whether it may yet end on the frontier.

The law is that of finished runs which were evaluated at the same share of their steps: log(final loss) = a + b · log(loss then), by
least squares. Its interval for one more run, Student's t with n − 2 degrees of freedom, is that of the final loss to come:

    m ± t · s · √(1 + 1/n + (z − z̄)² / Σ(zᵢ − z̄)²),     z = log(loss then)

The run is dominated when a finished run that cost no more ended below all of that interval. Beyond the losses that the law has seen it
is not extrapolated: z is taken at the edge. A larger loss then is taken to mean no smaller a loss at the end, which errs towards going
on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.distributions import t_quantile
from scaling.rounding import amount, significant

__all__ = ["Outlook", "outlook"]

_RUNS_AT_LEAST = 8
"""ASSUMPTION: with fewer, a spread of six degrees of freedom or less would decide; the interval is honest but the straight line unproven."""


@dataclass(frozen=True)
class Outlook:
    """Holds the final loss to expect of a run under way, and the finished run that it would have to beat.

    value, low, high: its final loss, and the interval of it at `confidence`. core_hours: what it will have cost.
    runs_used: finished runs behind the law.
    rival: id, loss and core-hours of the best finished run that cost no more; None when there is none.
    """

    value: float
    low: float
    high: float
    confidence: float
    core_hours: float
    runs_used: int
    rival: tuple[str, float, float] | None

    @property
    def is_dominated(self) -> bool:
        """Say whether even the lower end of the interval lies above the loss of the rival."""
        return self.rival is not None and self.low > self.rival[1]

    @property
    def sentence(self) -> str:
        """Write the numbers behind the verdict in words."""
        told = (
            f"final loss {significant(self.value)} expected, {significant(self.low)} … {significant(self.high)} at {100 * self.confidence:g} % by {self.runs_used} "
            f"finished runs"
        )
        if self.rival is None:
            return f"{told}; no finished run cost as little"
        run, loss, hours = self.rival
        return f"{told}; run {run} ended at {significant(loss)} for {amount(hours)} core-hours, and this one would cost {amount(self.core_hours)}"


def outlook(loss: float, core_hours: float, finished: pd.DataFrame, *, confidence: float = 0.99, looks: int = 1) -> Outlook | None:
    """Predict the final loss of a run whose held-out loss is `loss` now; None when the finished runs do not tell.

    Args:
        loss: nats, at some share of its steps. core_hours: what it will have cost at its end.
        finished: `id`, `loss_then` (nats, at the same share of their steps; NaN where it was not taken), `val_loss`, `core_hours`.
        confidence: of the interval, 0 … 1, over all looks.
        looks: at how many shares of its steps a run is looked at. Each look has its part of 1 − confidence (Bonferroni). So a run that
            belongs on the frontier is lost with a probability of at most (1 − confidence) / 2, when each share is judged once. A
            scheduler judges the newest share again whenever another run has ended, with more runs behind the law; these looks are
            alike, and are not counted apart.
    """
    then, final = (finished[name].to_numpy(float) for name in ("loss_then", "val_loss"))
    usable = (then > 0) & (final > 0)
    runs = int(usable.sum())
    if runs < _RUNS_AT_LEAST or not (np.isfinite(loss) and loss > 0):
        return None
    then, final = np.log(then[usable]), np.log(final[usable])
    spread = float(np.sum((then - then.mean()) ** 2))
    if spread == 0.0:
        return None
    slope = float(np.sum((then - then.mean()) * (final - final.mean())) / spread)
    if slope <= 0:
        return None  # a loss that says nothing, or the contrary, about the end
    residual = np.sqrt(np.sum((final - final.mean() - slope * (then - then.mean())) ** 2) / (runs - 2))
    at = float(np.clip(np.log(loss), then.min(), then.max()))
    expected = final.mean() + slope * (at - then.mean())
    half = (
        _quantile(1.0 - (1.0 - confidence) / looks, runs - 2) * residual * np.sqrt(1 + 1 / runs + (at - then.mean()) ** 2 / spread)
    )
    low, value, high = (float(np.exp(expected + sign * half)) for sign in (-1, 0, 1))
    return Outlook(value, low, high, confidence, core_hours, runs, _rival(finished, core_hours))


def _rival(finished: pd.DataFrame, core_hours: float) -> tuple[str, float, float] | None:
    no_more = core_hours * (1 + 1e-9)  # equal but for rounding is no more
    hours, loss = (finished[name].to_numpy(float) for name in ("core_hours", "val_loss"))
    cheaper = np.flatnonzero((hours <= no_more) & (loss > 0))
    if not len(cheaper):
        return None
    best = cheaper[loss[cheaper].argmin()]
    return str(finished["id"].iloc[best]), float(loss[best]), float(hours[best])


def _quantile(level: float, degrees_of_freedom: int) -> float:
    return t_quantile(0.5 + level / 2, degrees_of_freedom)
