"""What a schedule's file gives: its options, the learning rate at a step, and which steps runs of several lengths have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias

from annotated_types import Gt, Le

__all__ = ["REGISTERED", "Cooled", "Part", "Schedule"]

Part: TypeAlias = Annotated[float, Gt(0), Le(1)]

REGISTERED: dict[str, type[Schedule]] = {}
"""Schedules by name. A file of `trainer.schedules` that has a subclass of `Schedule` adds it by being imported."""


@dataclass(frozen=True)
class Schedule:
    """Holds the options of a schedule: each kind is a frozen dataclass below this one, whose fields have defaults and bounds.

    Its methods are plain functions of numbers. The compiled step takes the learning rate as an argument, so a schedule costs no compilation.
    Steps count from 0, and those of the warm-up are among them.
    """

    name: ClassVar[str] = ""
    __pydantic_config__: ClassVar = {"allow_inf_nan": False}  # for the experiments file, which checks the bounds

    def __init_subclass__(cls, name: str = "") -> None:
        if name:
            cls.name = name
            REGISTERED[name] = cls

    @abstractmethod
    def share(self, step: int, steps: int, warmup_steps: int) -> float:
        """Return the share of the peak, 0 … 1, at a step after the warm-up, out of `steps`; 1 at the first of them."""

    @property
    def decay_share(self) -> float:
        """Return the share of all steps, at the end, in which the rate comes down after a part that does not depend on their number."""
        return 0.0

    def common_steps(self, steps: int, warmup_steps: int) -> int:
        """Count the first steps, out of `steps`, whose rates do not depend on `steps`; 0 for a schedule that depends on it throughout."""
        del steps, warmup_steps
        return 0

    def check(self, *, warms_up: bool) -> None:
        """Raise `UsageError` for options that do not go together, and for those that a run with or without warm-up cannot have."""


@dataclass(frozen=True)
class Cooled(Schedule):
    """Holds how a schedule comes down in its last steps, whatever their number: runs of several lengths have the steps before in common.

    decay_fraction: share of all steps in which it does.
    """

    decay_fraction: Part = 0.2

    @property
    def decay_share(self) -> float:
        return self.decay_fraction

    def cooled(self, step: int, steps: int, warmup_steps: int) -> float:
        """Return the share of the decay that is done at a step after the warm-up: 0 before it has begun."""
        after_warmup = max(1, steps - warmup_steps)
        progress, decay = (step - warmup_steps) / after_warmup, min(1.0, self.decay_fraction * steps / after_warmup)
        begins = 1.0 - decay
        return 0.0 if progress < begins else (progress - begins) / decay

    def common_steps(self, steps: int, warmup_steps: int) -> int:
        def decays(step: int) -> bool:
            return step >= warmup_steps and self.cooled(step, steps, warmup_steps) > 0.0

        found = min(steps, max(warmup_steps, math.ceil(steps * (1.0 - self.decay_fraction))))
        while found < steps and not decays(found):
            found += 1
        while found > warmup_steps and decays(found - 1):  # rounding may put the first step of the decay a step earlier
            found -= 1
        return found
