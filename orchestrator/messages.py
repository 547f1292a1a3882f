"""Messages between the scheduler, its workers and their trainer processes: assignments to them, and events back.

The kinds of events that a training tells are in `trainer.events`; those that the processes around it tell are here. At the border of a
process everything is a plain dictionary (`to_dict`, `from_dict`), for whoever reads it may be of another version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from orchestrator.resources import Resources, RunOptions
from scaling.records import Record
from trainer.events import Event

__all__ = [
    "Alive",
    "Assignment",
    "Died",
    "Failed",
    "Left",
    "Lost",
    "Message",
    "NumberedMessage",
    "Peers",
    "Placed",
    "Raised",
    "Refused",
    "Resume",
    "UnheardOf",
]


# -- events --------------------------------------------------------------------------------------------------------------------------


class Placed(Event, kind="placed"):
    """Tells that the trainer process has its devices. threads: of its process. jaxlib_version: None where JAX does not train."""

    host: str
    device: str
    devices: int
    threads: int
    jaxlib_version: str | None
    code_version: str


class Alive(Event, kind="alive"):
    """Tells that the training asked whether it should stop, so it goes on. It is not written down."""


class Left(Event, kind="left"):
    """Tells that a process has ended its part of a training with others, where another process tells of the run.

    outcome: an `AttemptOutcome`.
    """

    outcome: str
    is_last: ClassVar[bool] = True


class Failed(Event):
    """Tells that the attempt is over without a result, for `reason`: what the kinds below have in common."""

    reason: str
    is_last: ClassVar[bool] = True


class Raised(Failed, kind="raised"):
    """Tells that the training raised.

    out_of_memory: of the device or the host. storage: the disk refused, or a folder was gone; missing: the attempt's folder is gone now.
    of_the_group: another of the processes that train together may be at fault. of_the_pack: so may another of the runs trained at once.
    of_the_data: every run of the same data will raise it.
    """

    out_of_memory: bool = False
    storage: bool = False
    missing: bool = False
    of_the_group: bool = False
    of_the_pack: bool = False
    of_the_data: bool = False


class Died(Failed, kind="died"):
    """Tells that the trainer process ended without an event, by `signal` or, where that is None, by leaving."""

    signal: int | None


class Lost(Failed, kind="lost"):
    """Tells that the worker is gone. preempted: it was taken away rather than broken."""

    preempted: bool


class Refused(Failed, kind="refused"):
    """Tells that the worker did not begin the attempt."""


class UnheardOf(Failed, kind="unheard-of"):
    """Tells that the worker was never told of the attempt."""


class Message(Record):
    """Puts an event into an envelope that says whose it is; both are written in one line.

    token: of the attempt. elapsed: seconds since its trainer process was told to train. wall_seconds: seconds since its worker told it so.
    """

    event: Event
    token: str
    elapsed: float | None = None
    wall_seconds: float | None = None

    def to_dict(self) -> dict[str, object]:
        envelope = super().to_dict()
        return envelope.pop("event") | envelope

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read the message of a line. Raises `ValueError` as `Event.from_dict`."""
        return super().from_dict({**content, "event": Event.from_dict(content)})


class NumberedMessage(Message):
    """Adds the `number` of the event among all that the worker's mailbox took, from 0."""

    number: int


# -- assignments ---------------------------------------------------------------------------------------------------------------------


class Resume(Record):
    """Names the checkpoint that a run goes on from: that of `step` (the newest, where it is None) in the attempt's folder `directory`.

    written_to: the name of that folder then. saved_seconds: what the steps up to there took. parent: the run that trained them, of a trunk.
    """

    directory: str
    step: int | None = None
    written_to: str | None = None
    saved_seconds: float = 0.0
    parent: str | None = None


class Peers(Record):
    """Places a process among the `count` that train a run together: it is number `index`; number 0 listens at `coordinator` (host:port)."""

    coordinator: str
    count: int
    index: int


class Assignment(Record):
    """Says what a worker is to train, and where: a run, or a `pack` of runs that are trained at once.

    token: of the attempt. run: its id; None of a probe. config: as `TrainConfig.to_dict` has it.
    directory: the attempt's own folder. home: the store's folder around it. compile_cache: folder of compiled programs.
    working_directory: where relative paths start from, and where a user's own code is found.
    checkpoint_seconds: as `trainer.train` takes it. resources, options: the hardware, and how the run is executed there.
    scheduler: who assigns it; a worker that belongs to another ignores it. code_version: of the scheduler; a worker with another one
    refuses.
    missed_seconds: for how long the worker has not found what should be in `home`; see `orchestrator.cluster.missing`.
    weights_from: the checkpoint whose weights a fine-tuning starts from.
    group: of one of several processes that train the run together.
    """

    token: str
    config: Mapping[str, object]
    directory: str
    working_directory: str
    compile_cache: str
    checkpoint_seconds: float
    resources: Resources | None = None
    options: RunOptions = RunOptions()
    run: str | None = None
    scheduler: str | None = None
    code_version: str | None = None
    home: str | None = None
    missed_seconds: float = 0.0
    resume_from: Resume | None = None
    weights_from: Resume | None = None
    group: Peers | None = None
    pack: tuple[Assignment, ...] | None = None
    _read: ClassVar = {
        "resources": Resources.from_dict, "options": RunOptions.from_dict, "resume_from": Resume.from_dict, "weights_from": Resume.from_dict, "group": Peers.from_dict,
        "pack": lambda pack: tuple(map(Assignment.from_dict, pack)),
    }  # fmt: skip

    @classmethod
    def of_all(cls, assignments: Sequence[Assignment]) -> Assignment:
        """Combine several assignments into one, whose runs are trained at once; one alone stays as it is.

        What does not belong to one run is taken from the first.
        """
        return assignments[0] if len(assignments) == 1 else replace(assignments[0], pack=tuple(assignments))

    @property
    def members(self) -> tuple[Assignment, ...]:
        """Return an assignment for each run."""
        return self.pack or (self,)

    @property
    def tokens(self) -> list[str]:
        """List the tokens of the attempts of its runs."""
        return [member.token for member in self.members]

    @property
    def origin(self) -> dict[str, object] | None:
        """Return the checkpoint it goes on from, as `trainer.train` takes it; None for a fresh start."""
        return self.resume_from.to_dict() if self.resume_from else None

    @property
    def weights(self) -> dict[str, object] | None:
        """Return the checkpoint whose weights it starts from, as `trainer.train` takes it; None where it starts from none."""
        return {"directory": self.weights_from.directory, "step": self.weights_from.step} if self.weights_from else None

    @property
    def index(self) -> int:
        """Return the number of this process among those that train the run together."""
        return self.group.index if self.group else 0
