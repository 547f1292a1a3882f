"""Reciprocal square root with a linear cool-down, as the largest Vision Transformers were trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt

from scaling.errors import UsageError
from trainer.schedules.protocol import Cooled

__all__ = ["ReciprocalSquareRoot"]


@dataclass(frozen=True)
class ReciprocalSquareRoot(Cooled, name="rsqrt"):
    """Gives 1 / √(1 + t / timescale) at t steps after the warm-up, and brings it down to 0 linearly over the last steps.

    Zhai et al. 2022 (arXiv 2106.04560), sec. 3.5: like a constant rate it can go on for ever, and each budget is a cool-down of one run.
    timescale_steps: steps in which it falls to 1/√2; None: as many as the warm-up has.
    """

    timescale_steps: Annotated[int, Gt(0)] | None = None

    def share(self, step: int, steps: int, warmup_steps: int) -> float:
        endless = 1.0 / math.sqrt(1.0 + (step - warmup_steps) / (self.timescale_steps or max(1, warmup_steps)))
        return endless * (1.0 - self.cooled(step, steps, warmup_steps))

    def check(self, *, warms_up: bool) -> None:
        if self.timescale_steps is None and not warms_up:
            raise UsageError("rsqrt falls over as many steps as the warm-up has: give it a warm-up, or `timescale_steps`")
