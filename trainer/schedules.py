"""Learning rate against step, as a share of the peak.

Plain functions of numbers: the step is compiled once and takes the learning rate as an argument, so a schedule costs no compilation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

__all__ = ["SCHEDULES", "Schedule", "learning_rate_at", "steps_before_decay"]


class Schedule(Protocol):
    """Gives the share of the peak learning rate, 0 … 1, at a place in training. It is a pure function of two numbers."""

    def __call__(self, progress: float, decay: float, /) -> float:
        """Return the share of the peak at `progress` through the steps after warm-up, 0 … 1.

        decay: the share of those steps, at the end, in which the rate comes down.
        """


def cosine(progress: float, _decay: float) -> float:
    """Return ½ (1 + cos π·progress): from 1 to 0, the decay of Smith et al. 2023 (arXiv 2310.16764) for each epoch budget."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def constant(_progress: float, _decay: float) -> float:
    """Return 1 at every step."""
    return 1.0


def warmup_stable_decay(progress: float, decay: float) -> float:
    """Return 1 until the decay begins, then 1 − √x down to 0, x the share of the decay that is done.

    It is the "constant learning rate and cooldown" of Hägele et al. 2024 (arXiv 2405.18392). Of the forms they compare, 1 − √x gave the
    lowest loss, a linear one the next; decaying over 20 % of the steps matched a cosine. One long stable phase serves many budgets.
    """
    begins = 1.0 - decay
    return 1.0 if progress < begins else 1.0 - math.sqrt((progress - begins) / decay)


SCHEDULES: Mapping[str, Schedule] = {"cosine": cosine, "constant": constant, "warmup-stable-decay": warmup_stable_decay}


def learning_rate_at(
    step: int, *, peak: float, steps: int, warmup_steps: int = 0, schedule: str = "cosine", decay_fraction: float | None = None
) -> float:
    """Return the learning rate of step `step` (from 0) out of `steps`.

    Linear warm-up over `warmup_steps` reaches the peak with the last of them; the schedule runs over the rest.
    decay_fraction: share of all `steps` in which warmup-stable-decay comes down. Raises `ValueError` when that schedule has none.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    after_warmup = max(1, steps - warmup_steps)
    if decay_fraction is None and schedule == "warmup-stable-decay":
        raise ValueError("warmup-stable-decay needs a decay_fraction")
    decay = min(1.0, (decay_fraction or 0.0) * steps / after_warmup)
    return peak * SCHEDULES[schedule]((step - warmup_steps) / after_warmup, decay)


def steps_before_decay(steps: int, warmup_steps: int, decay_fraction: float) -> int:
    """Count the steps, out of `steps`, that warmup-stable-decay takes before its decay: warm-up, and then exactly the peak.

    None of their rates depends on `steps`.
    """

    def decays(step: int) -> bool:
        return (
            learning_rate_at(
                step,
                peak=1.0,
                steps=steps,
                warmup_steps=warmup_steps,
                schedule="warmup-stable-decay",
                decay_fraction=decay_fraction,
            )
            < 1.0
        )

    found = min(steps, max(warmup_steps, math.ceil(steps * (1.0 - decay_fraction))))
    while found < steps and not decays(found):
        found += 1
    while found > warmup_steps and decays(found - 1):  # rounding may put the first step of the decay a step earlier
        found -= 1
    return found
