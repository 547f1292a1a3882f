"""From the peak to zero along half a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trainer.schedules.protocol import Schedule

__all__ = ["Cosine"]


@dataclass(frozen=True)
class Cosine(Schedule, name="cosine"):
    """Gives ½ (1 + cos π·x), x the share of the steps after the warm-up: the decay of Smith et al. 2023 (arXiv 2310.16764) for each budget."""

    def share(self, step: int, steps: int, warmup_steps: int) -> float:
        return 0.5 * (1.0 + math.cos(math.pi * ((step - warmup_steps) / max(1, steps - warmup_steps))))
