"""Constant, and then down: one long stable phase serves many budgets."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trainer.schedules.protocol import Cooled

__all__ = ["WarmupStableDecay"]


@dataclass(frozen=True)
class WarmupStableDecay(Cooled, name="warmup-stable-decay"):
    """Gives 1 until the decay begins, then 1 − √x down to 0, x the share of the decay that is done.

    It is the "constant learning rate and cooldown" of Hägele et al. 2024 (arXiv 2405.18392). Of the forms they compare, 1 − √x gave the
    lowest loss, a linear one the next; decaying over 20 % of the steps matched a cosine.
    """

    def share(self, step: int, steps: int, warmup_steps: int) -> float:
        return 1.0 - math.sqrt(self.cooled(step, steps, warmup_steps))
