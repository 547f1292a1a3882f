"""The two-trial rule: which rates of one cell to try, by the results of its trials and the trend of the smaller cells.

Smith et al. 2023 (arXiv 2310.16764, sec. 2) tuned each cell on a factor-2 grid and saw the best rate fall slowly and monotonically with
epochs and size. So the trend of the smaller cells says where a cell's best rate lies, and of the rates above it none need be tried.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Forecast", "Move", "next_move"]

MOST_TRIALS = 12
"""Most trials of one cell. A loss that still falls after so many steps of the rate is no matter of tuning."""


@dataclass(frozen=True)
class Forecast:
    """Says where the trend puts the best rate, in steps of the factor from the start.

    first: the step to try first. low: the lower end of the interval.
    """

    first: int
    low: float


@dataclass(frozen=True)
class Move:
    """Names the steps to try now (`ask`), or the step that was found (`accepted`).

    With neither, nothing can be accepted, and `given_up` says why.
    """

    ask: tuple[int, ...] = ()
    accepted: int | None = None
    given_up: str = ""


def next_move(losses: Mapping[int, float], forecast: Forecast | None) -> Move:
    """Decide what a cell tries next, or which rate it accepts.

    With a forecast it tries the forecast rate and the one below, both at once, since both are always needed:

    - If the upper one is better it is accepted; the trend falls, which closes the upper side.
    - If the lower one is better, it is accepted, unless the trend's interval reaches the one below that: then that one is tried too, and
      so on.
    - A rate that diverges is too high, and the next one below replaces it. Where every rate below the only one that finished diverged, they
      were not too high, and no more are tried.

    Without a forecast, for a first cell, it goes from the start downwards or upwards until the best has a worse one on either side.

    Args:
        losses: step → loss of the trials that have ended; infinite where the run diverged.
    """
    finite = {step: loss for step, loss in losses.items() if math.isfinite(loss)}
    if len(losses) >= MOST_TRIALS:
        return Move(accepted=_best(finite)) if finite else Move(given_up=f"none of {len(losses)} learning rates finished")
    if forecast is None:
        return _walk(losses, finite)
    if not losses:
        return Move(ask=(forecast.first, forecast.first - 1))
    lowest = min(losses)
    if not finite or (len(finite) == 1 and lowest in finite):
        return Move(ask=(lowest - 1,))
    best = _best(finite)
    if best == lowest and forecast.low <= lowest - 1:
        return Move(ask=(lowest - 1,))
    return Move(accepted=best)


def _walk(losses: Mapping[int, float], finite: Mapping[int, float]) -> Move:
    if not losses:
        return Move(ask=(0,))
    if not finite:
        return Move(ask=(min(losses) - 1,))
    best = _best(finite)
    for neighbour in (best - 1, best + 1):
        if neighbour not in losses:
            return Move(ask=(neighbour,))
    return Move(accepted=best)


def _best(finite: Mapping[int, float]) -> int:
    """Return the step of the lowest loss; of equal ones the lower rate."""
    return min(finite, key=lambda step: (finite[step], step))
