"""Learning-rate schedules, one file each: a file with a subclass of `Schedule` is all that another one takes."""

from __future__ import annotations

from dataclasses import is_dataclass
from importlib import import_module
from pkgutil import iter_modules

from scaling.errors import UnknownName, UsageError
from trainer.schedules.cosine import Cosine
from trainer.schedules.protocol import REGISTERED, Schedule
from trainer.users_code import imported

__all__ = ["Schedule", "learning_rate_at", "names", "schedule_class"]


def names() -> list[str]:
    """List the schedules by name."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return sorted(REGISTERED)


def schedule_class(name: str) -> type[Schedule]:
    """Return the class that holds a schedule's options; a user's own by `package.module:Class`. Raises `UnknownName`, `UsageError`."""
    if ":" in name:
        own = imported(name, "schedule")
        if not (isinstance(own, type) and issubclass(own, Schedule) and is_dataclass(own)):
            raise UsageError(
                f"schedule {name!r} is no class of schedules", hint="let it be a frozen dataclass below trainer.schedules.Schedule"
            )
        return own
    if name not in REGISTERED and name not in names():
        raise UnknownName("schedule", name, names())
    return REGISTERED[name]


def learning_rate_at(step: int, *, peak: float, steps: int, warmup_steps: int = 0, schedule: Schedule | None = None) -> float:
    """Return the learning rate of step `step` (from 0) out of `steps`.

    Linear warm-up over `warmup_steps` reaches the peak with the last of them; the schedule (a cosine if none is given) runs over the rest.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    return peak * (schedule or Cosine()).share(step, steps, warmup_steps)
