"""What a run is given and how it is done: all that may differ between two trainings of one run id.

| | what it says |
|---|---|
| `Resources` | the hardware that a run holds |
| `RunOptions` | how it is executed there |
| `Rehearsal` | of a run that is only simulated: how fast |

They are columns of `orchestrator.store.models.Run`, as JSON. Only the standard library and the table of accelerators are needed to read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from scaling.accelerators import Accelerator, accelerator

__all__ = ["EarlyStop", "Rehearsal", "Resources", "RunOptions"]


class _Stored:
    def to_dict(self) -> dict[str, Any]:
        """Gives plain JSON values, without the fields that are empty; `from_dict` reads them back."""
        given = {name: value for name, value in vars(self).items() if value not in (None, "", (), {})}
        return {name: value.to_dict() if isinstance(value, _Stored) else value for name, value in given.items()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Reads what `to_dict` gave."""
        return cls(**{name: _READ[name](value) if name in _READ else value for name, value in content.items()})


@dataclass(frozen=True)
class Resources(_Stored):
    """Names the hardware that one run holds.

    accelerator: a name of `scaling.accelerators`. chips: how many of it (cores, for a CPU). topology: of a TPU slice.
    hosts: over how many processes the file splits the chips; None is as many as hold them.
    """

    accelerator: str
    chips: int
    topology: str | None = None
    hosts: int | None = None

    @property
    def kind(self) -> Accelerator:
        """The accelerator by its table entry. Raises `UnknownName`."""
        return accelerator(self.accelerator)

    @property
    def cores(self) -> int:
        """Accelerator cores, as core-hours count them."""
        return self.chips * self.kind.cores_per_chip


@dataclass(frozen=True)
class EarlyStop(_Stored):
    """Says when a run may be stopped early: the file's `early_stop`, as `orchestrator.spec.fields.EarlyStopField` explains it."""

    confidence: float
    after: float


@dataclass(frozen=True)
class Rehearsal(_Stored):
    """Says how fast a run is simulated.

    speed: simulated seconds that pass in a real one. pool: how many simulated chips there are for all runs.
    step_seconds: simulated time of one step; 0 until the plan has estimated it.
    """

    speed: float
    pool: int
    step_seconds: float = 0.0


@dataclass(frozen=True)
class RunOptions(_Stored):
    """Says how a run is executed.

    execution: what the file says otherwise than `trainer.Execution` has it.
    evaluate_at: shares of the steps, 0 … 1, after which it is evaluated, in order. early_stop: when it may be stopped early; None is never.
    pack: how many runs are trained at once. alike: the same for runs that differ in learning rate and seed alone; empty where none is packed.
    trunk: the same for runs that share their first steps; empty where steps are not shared. checkpoint_at: steps after which others start from it.
    rehearsal: of a run that is only simulated, else None.
    """

    execution: Mapping[str, Any] = field(default_factory=dict)
    evaluate_at: tuple[float, ...] = ()
    early_stop: EarlyStop | None = None
    pack: int = 1
    alike: str = ""
    trunk: str = ""
    checkpoint_at: tuple[int, ...] = ()
    rehearsal: Rehearsal | None = None


_READ: Any = {"evaluate_at": tuple, "checkpoint_at": tuple, "early_stop": EarlyStop.from_dict, "rehearsal": Rehearsal.from_dict}
"""What makes a field of its plain value, where that is not the field itself."""
