"""What a training tells while it goes on: a record for each kind of event, with one way to a plain dictionary and back.

`train` hands the records to `on_event`. The process that hosts it writes them as lines of JSON, together with kinds of its own
(`orchestrator.messages`). A kind is added as a class, here or there; its `kind` is its name in a line, and nothing else lists it.

Lines outlive versions: a folder is read, and a worker is heard, by a later one. So a field that is added needs a default. A field that
is None by default is left out of the line until it is told: some trainers tell less than others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar, Self

from scaling.records import Record
from trainer.result import TrainResult

__all__ = [
    "Checkpoint",
    "CheckpointFailed",
    "Compiled",
    "Ended",
    "Evaluated",
    "Event",
    "Progress",
    "RanOutOfMemory",
    "Reported",
    "Started",
]


class Event(Record):
    """Tells of something that happened in an attempt, after `step` steps of its run; 0 where the step means nothing.

    kind: its name in a line. is_last: whether it ends its attempt.
    `event["step"]` reads a value of the line, for callbacks that were written when events were dictionaries.
    """

    step: int = 0
    kind: ClassVar[str] = ""
    is_last: ClassVar[bool] = False
    _kinds: ClassVar[dict[str, type[Event]]] = {}

    def __init_subclass__(cls, *, kind: str = "") -> None:
        super().__init_subclass__()
        if kind:
            cls.kind = kind
            Event._kinds[kind] = cls

    def __getitem__(self, name: str) -> Any:
        return (vars(self) | self.to_dict())[name]

    def to_dict(self) -> dict[str, object]:
        """Return the line: `kind` and the fields."""
        return {"kind": self.kind, **super().to_dict()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Event:
        """Read the event of a line, of the class that its `kind` names.

        A line of a kind that this version does not have gives a bare `Event`, on which nobody acts.
        Raises `ValueError` when a field without a default is missing.
        """
        if cls is not Event:
            return super().from_dict(content)
        try:
            known = Event._kinds.get(content["kind"])
            return known.from_dict(content) if known else super().from_dict(content)
        except (KeyError, TypeError) as error:
            raise ValueError(f"an event is not whole: {error} in {content}") from error


class Compiled(Event, kind="compiled"):
    """Tells that the programs of the run's shape are compiled.

    seconds: what it took, tracing included. compiled: programs that XLA built. loaded: programs that came from JAX's cache on disk instead.
    """

    shape: str
    seconds: float
    compiled: int | None = None
    loaded: int | None = None


class Started(Event, kind="started"):
    """Tells that the attempt begins its first step, fresh (step 0) or where an earlier one left off.

    steps: of the whole run. device … packed: what the last bits may depend on. micro_batch: examples that go through the network at once.
    packed: how many runs are trained at once. threads: of the process.
    passed_over: newer checkpoints that could not be used, and why.
    changed: which of device … packed have changed since the checkpoint was written: name → [then, now].
    """

    steps: int
    device: str | None = None
    devices: int | None = None
    processes: int | None = None
    threads: int | None = None
    jaxlib: str | None = None
    micro_batch: int | None = None
    scan: bool | None = None
    remat: str | None = None
    fsdp: bool | None = None
    packed: int | None = None
    passed_over: list[str] | None = None
    changed: dict[str, list[object]] | None = None


class Progress(Event, kind="progress"):
    """Tells that the curves have one more point.

    steps: of the whole run. train_seconds: of this attempt so far. learning_rate: of the last step.
    train_loss: nats, of the last step; None when it is not finite.
    examples_per_second … memory_bytes: as `trainer.clock.Pace` has them, since the point before.
    skipped_examples: training images that could not be read so far, each once; None when there is none.
    digest: of the state, where its trainer has one that is cheap.
    """

    steps: int
    train_seconds: float
    train_loss: float | None
    learning_rate: float | None = None
    examples_per_second: float | None = None
    step_seconds: float | None = None
    mfu: float | None = None
    input_stall: float | None = None
    memory_bytes: int | None = None
    skipped_examples: int | None = None
    digest: str | None = None


class Reported(Event, kind="reported"):
    """Tells what a user's program reported since the point before.

    train_seconds: of this attempt so far. steps: of the whole run, where it said so. metrics: by name, the last value of each; None is NaN or infinite.
    """

    train_seconds: float
    steps: int | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict, hash=False)


class Checkpoint(Event, kind="checkpoint"):
    """Tells that the state after `step` steps is committed; later steps may have been taken meanwhile.

    train_seconds: of this attempt up to that step. checkpoint_seconds: what its loop has spent on checkpoints so far.
    write_seconds: what the writer took for this one. bytes: of its files. digest: of the state, where its trainer has one that is cheap.
    """

    train_seconds: float
    checkpoint_seconds: float
    write_seconds: float | None = None
    bytes: int | None = None
    digest: str | None = None


class CheckpointFailed(Event, kind="checkpoint_failed"):
    """Tells that the storage refused a checkpoint, for `reason`; the next one is tried when it is due. Seconds are as of `Checkpoint`."""

    reason: str
    checkpoint_seconds: float
    train_seconds: float | None = None
    write_seconds: float | None = None


class Evaluated(Event, kind="evaluated"):
    """Tells that the held-out loss was taken after `step` steps.

    split: which one was scored. loss: nats, plain cross-entropy. top1, top5: shares, 0 … 1. examples: how many were scored.
    seconds: what it took. standard_error: of the loss. chance_loss: nats, of guessing by the frequencies of the labels.
    """

    split: str
    loss: float
    top1: float
    top5: float
    examples: int
    seconds: float
    standard_error: float | None = None
    chance_loss: float | None = None


class RanOutOfMemory(Event, kind="out_of_memory"):
    """Tells that a step did not fit into memory; it goes on from the last checkpoint with `micro_batch` examples at once."""

    micro_batch: int | None


class Ended(Event, kind="ended"):
    """Tells that the attempt is over. The fields of its `result` are in the line beside `step`; `digest` is as of `Progress`."""

    result: TrainResult
    digest: str | None = None
    is_last: ClassVar[bool] = True

    def to_dict(self) -> dict[str, object]:
        told = super().to_dict()
        del told["result"]
        return told | self.result.to_dict()

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        return cls(step=content["step"], result=TrainResult.from_dict(content), digest=content.get("digest"))
