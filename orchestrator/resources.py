"""The hardware of a run and the options of its execution: all that may differ between two trainings of one run id.

| | what it says |
|---|---|
| `Resources` | the hardware that a run holds |
| `RunOptions` | how it is executed there |

They are columns of `orchestrator.store.models.Run`, as JSON. Only the standard library and the table of accelerators are needed to read
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar

from scaling.accelerators import Accelerator, accelerator, accelerator_of_device
from scaling.records import Record

__all__ = ["EarlyStop", "Resources", "RunOptions"]


class Resources(Record, kw_only=False):
    """Names the hardware that one run holds.

    accelerator: a name of `scaling.accelerators`, or of `card`. chips: how many of it (cores, for a CPU). topology: of a TPU slice.
    hosts: over how many processes the file splits the chips; None is as many as hold them.
    stated: how many of it there are for all runs, where that is only stated: no node has them, and no clock measures how long they are
    held. card: what is known of the accelerator, where a user declared it: it goes with the run, so that nobody needs the user's file.
    cards: those that a user declared, where the accelerator is `gpu`: whatever GPU there is may be one of them.
    """

    accelerator: str
    chips: int
    topology: str | None = None
    hosts: int | None = None
    stated: int | None = None
    card: Accelerator | None = None
    cards: tuple[Accelerator, ...] | None = None
    _read: ClassVar = {"card": Accelerator.from_dict, "cards": lambda cards: tuple(map(Accelerator.from_dict, cards))}

    @property
    def kind(self) -> Accelerator:
        """Return what is known of the accelerator: as it was declared, else as the table has it. Raises `UnknownName`."""
        return self.card or accelerator(self.accelerator)

    @property
    def cores(self) -> int:
        """Return the accelerator cores, as core-hours count them."""
        return self.chips * self.kind.cores_per_chip

    @property
    def declared(self) -> tuple[Accelerator, ...]:
        """Return the accelerators that a user declared for the run: by them a driver's name is looked up first."""
        return (*([self.card] if self.card else []), *(self.cards or ()))

    def given(self, device: str) -> tuple[str, int]:
        """Return name and cores of what it was given, by what the driver says; its own, unless it is for whatever GPU there is."""
        if not self.kind.is_any:
            return self.accelerator, self.cores
        found = accelerator_of_device(device, self.declared)
        return (found.name, self.chips * found.cores_per_chip) if found else (device, self.cores)


class EarlyStop(Record, kw_only=False):
    """Says when a run may be stopped early: the file's `early_stop`, see `orchestrator.experiments_file.fields.EarlyStopField`."""

    confidence: float
    after: float


class RunOptions(Record, kw_only=False):
    """Says how a run is executed.

    execution: what its trainer is told, see `orchestrator.cluster.trainers`; of `trainer.train`, what differs from `trainer.Execution`.
    evaluate_at: shares of the steps, 0 … 1, after which it is evaluated, in order. early_stop: when it may be stopped early; None is never.
    pack: how many runs are trained at once. alike: the same for runs that differ in learning rate and seed alone; None where none is
    packed.
    trunk: the same for runs that share their first steps; None where steps are not shared. checkpoint_at: steps after which others start
    from it.
    """

    execution: Mapping[str, Any] = field(default_factory=dict, hash=False)
    evaluate_at: tuple[float, ...] = ()
    early_stop: EarlyStop | None = None
    pack: int = 1
    alike: str | None = None
    trunk: str | None = None
    checkpoint_at: tuple[int, ...] = ()
    _read: ClassVar = {"evaluate_at": tuple, "checkpoint_at": tuple, "early_stop": EarlyStop.from_dict}
