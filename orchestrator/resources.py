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
from dataclasses import field
from typing import Any, ClassVar

from scaling.accelerators import Accelerator, accelerator
from scaling.records import Record

__all__ = ["EarlyStop", "Rehearsal", "Resources", "RunOptions"]


class Resources(Record, kw_only=False):
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


class EarlyStop(Record, kw_only=False):
    """Says when a run may be stopped early: the file's `early_stop`, as `orchestrator.spec.fields.EarlyStopField` explains it."""

    confidence: float
    after: float


class Rehearsal(Record, kw_only=False):
    """Says how fast a run is simulated.

    speed: simulated seconds that pass in a real one. pool: how many simulated chips there are for all runs.
    step_seconds: simulated time of one step; 0 until the plan has estimated it.
    """

    speed: float
    pool: int
    step_seconds: float = 0.0


class RunOptions(Record, kw_only=False):
    """Says how a run is executed.

    execution: what the file says otherwise than `trainer.Execution` has it.
    evaluate_at: shares of the steps, 0 … 1, after which it is evaluated, in order. early_stop: when it may be stopped early; None is never.
    pack: how many runs are trained at once. alike: the same for runs that differ in learning rate and seed alone; None where none is packed.
    trunk: the same for runs that share their first steps; None where steps are not shared. checkpoint_at: steps after which others start from it.
    rehearsal: of a run that is only simulated, else None.
    """

    execution: Mapping[str, Any] = field(default_factory=dict, hash=False)
    evaluate_at: tuple[float, ...] = ()
    early_stop: EarlyStop | None = None
    pack: int = 1
    alike: str | None = None
    trunk: str | None = None
    checkpoint_at: tuple[int, ...] = ()
    rehearsal: Rehearsal | None = None
    _read: ClassVar = {
        "evaluate_at": tuple, "checkpoint_at": tuple, "early_stop": EarlyStop.from_dict, "rehearsal": Rehearsal.from_dict,
    }  # fmt: skip
