"""Learning rate against step, as a share of the peak.

Plain functions of numbers: the step is compiled once and takes the learning rate as an argument, so a schedule costs no compilation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

__all__ = ["SCHEDULES", "learning_rate_at"]


def cosine(progress: float) -> float:
    """½ (1 + cos π·progress): from 1 to 0, the decay of Smith et al. 2023 (arXiv 2310.16764) for each epoch budget."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def constant(progress: float) -> float:
    """1 all the way."""
    del progress
    return 1.0


SCHEDULES: Mapping[str, Callable[[float], float]] = {"cosine": cosine, "constant": constant}


def learning_rate_at(step: int, *, peak: float, steps: int, warmup_steps: int = 0, schedule: str = "cosine") -> float:
    """The learning rate of step `step` (from 0) out of `steps`.

    Linear warm-up over `warmup_steps` reaches the peak with the last of them; the schedule runs over the rest.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    return peak * SCHEDULES[schedule]((step - warmup_steps) / max(1, steps - warmup_steps))
