"""The peak, from the end of the warm-up to the end of the run."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.schedules.protocol import Schedule

__all__ = ["Constant"]


@dataclass(frozen=True)
class Constant(Schedule, name="constant"):
    """Gives 1 at every step: a shorter run is the beginning of a longer one."""

    def share(self, step: int, steps: int, warmup_steps: int) -> float:
        del step, steps, warmup_steps
        return 1.0

    def common_steps(self, steps: int, warmup_steps: int) -> int:
        del warmup_steps
        return max(0, steps - 1)  # a run takes its last step itself, and is evaluated after it
