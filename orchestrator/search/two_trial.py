"""The two-trial rule: which rates of one cell to try, by the results of its trials and the trend of the smaller cells.

Smith et al. 2023 (arXiv 2310.16764, sec. 2) tuned each cell on a factor-2 grid and saw the best rate fall slowly and monotonically with
epochs and size. So the trend of the smaller cells says where a cell's best rate lies, and of the rates above it none need be tried.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Forecast", "Move", "next_move", "walk"]

MOST_TRIALS = 12
"""Most trials of one cell. A loss that still falls after so many steps of the rate is no matter of tuning."""

LEAST_GAIN = 0.001
"""Share of the loss by which another value must be better before a walk in both directions moves to it."""


@dataclass(frozen=True)
class Forecast:
    """Says where the trend puts the best rate, in steps of the factor from the start.

    first: the step to try first. low, high: the ends of the interval; `high` is none where the rate falls, since no rate above is tried then.
    may_rise: whether the best rate may lie above those of the smaller cells, since another setting changes with it.
    """

    first: int
    low: float
    may_rise: bool = False
    high: float | None = None


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

    - If the upper one is better it is accepted; the trend falls, which closes the upper side. Where nobody knows that it falls, as in
      fine-tuning, the one above is tried too if the trend's interval reaches it.
    - If the lower one is better, it is accepted, unless the trend's interval reaches the one below that: then that one is tried too, and
      so on.
    - A rate that diverges is too high, and the next one below replaces it. Where every rate below the only one that finished diverged, they
      were not too high, and no more are tried.

    Without a forecast, for a first cell, and after the first two trials where the rate `may_rise`, it goes
    downwards or upwards until the best has a worse one on either side.

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
    if forecast.may_rise:
        return _walk(losses, finite)
    lowest = min(losses)
    if not finite or (len(finite) == 1 and lowest in finite):
        return Move(ask=(lowest - 1,))
    best = _best(finite)
    if best == lowest and forecast.low <= lowest - 1:
        return Move(ask=(lowest - 1,))
    if best == max(losses) and forecast.high is not None and forecast.high >= best + 1:
        return Move(ask=(best + 1,))
    return Move(accepted=best)


def walk(losses: Mapping[int, float], at: int, is_possible: Callable[[int], bool] = lambda step: True) -> Move:
    """Decide where a walk goes next: until neither neighbour is better by `LEAST_GAIN` of the loss.

    It tries both neighbours at once, since nobody knows the direction. A smaller gain is no reason to move: where no weight decay at all is
    best, every smaller one is a little better.

    Args:
        losses: step → loss of the trials that have ended; infinite where the run diverged.
        at: the step where it began, which finished.
        is_possible: which steps there are.
    """
    while True:
        tried = [step for step in (at - 1, at + 1) if step in losses]
        better = min(tried, key=lambda step: losses[step], default=at)
        if losses[better] >= losses[at] * (1 - LEAST_GAIN):
            break
        at = better
    ask = tuple(step for step in (at - 1, at + 1) if step not in losses and is_possible(step))
    return Move(ask=ask) if ask and len(losses) < MOST_TRIALS else Move(accepted=at)


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
