"""The start of an attempt: fresh at step 0, or exactly where an earlier one of the same run left off."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jaxlib
from jax.sharding import Mesh

from scaling.errors import DataError, UsageError
from trainer import checkpoint
from trainer.checkpoint.snapshot import state_from
from trainer.config import TrainConfig
from trainer.distributed import first_says, share_of
from trainer.events import Started
from trainer.finetuning import variables_from_parent
from trainer.program import Program
from trainer.step import TrainState
from trainer.storage import Storage, storage_at
from trainer.trunk import foreign_to_trunk

__all__ = ["History", "Start", "devices_of", "start"]


@dataclass
class History:
    """Holds what a run has recorded so far, over all its attempts; it travels in the checkpoints.

    train_seconds: of the steps up to the checkpoint, each once.
    checkpoints: how many were begun. progress, evaluations: the events of these kinds, as rows.
    skipped: ids of training examples that could not be read, each once; with several processes, those that process 0 met.
    """

    train_seconds: float = 0.0
    checkpoints: int = 0
    progress: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, object]] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, counters: Mapping[str, Any]) -> History:
        """Read the history from a checkpoint's counters."""
        progress, evaluations = list(counters["progress"]), list(counters["evaluations"])
        skipped = list(counters.get("skipped", ()))
        return cls(counters["train_seconds"], counters["checkpoint"], progress, evaluations, skipped)


@dataclass(frozen=True)
class Start:
    """Says where an attempt begins: at `step`, with `state`; `checkpoint_step` is None when it is fresh.

    identity: whose state it is, for the checkpoints to come.
    passed_over: newer checkpoints that could not be used, and why.
    changed: what the last bits may depend on and has changed since the checkpoint was written: name → [then, now].
    """

    step: int
    state: TrainState
    checkpoint_step: int | None
    history: History
    identity: Mapping[str, Any]
    passed_over: list[str]
    changed: dict[str, list[Any]]

    def told(self, steps: int) -> Started:
        """Return the event that tells of the start; `steps` are those of the whole run."""
        place = self.identity["place"]
        return Started(step=self.step, steps=steps, passed_over=self.passed_over, changed=self.changed, **place)


def start(
    config: TrainConfig,
    program: Program,
    storage: Storage,
    resume_from: Mapping[str, Any] | None,
    initial: Mapping[str, Any] | None = None,
) -> Start:
    """Read the checkpoint to start from, if one is named and sound; else start afresh, a fine-tuned run from its parent's checkpoint.

    initial: where that is, as `train` takes it. It is read for a fresh start alone.
    Raises `UsageError` when a fresh start would mix with checkpoints that `storage` holds, `DataError` for those of another run, and when
    the folder to go on from is not there.
    """
    if initial is not None and config.parent is None:
        raise UsageError(
            "`initial` is of a fine-tuned run, and this one has no parent", hint="leave it out, or give TrainConfig a parent"
        )
    identity = _identity(config, program)
    restored, passed_over = _restore(resume_from, program.mesh)
    if restored is not None:
        changed = _compare(restored, config, identity, parent=(resume_from or {}).get("parent"))
        state = program.place(state_from(restored.arrays, program.compiler.saved_shapes, restored.place))
        return Start(restored.step, state, restored.step, History.of(restored.counters), identity, passed_over, changed)
    if resume_from is None and checkpoint.committed(storage):
        raise UsageError(
            f"{storage.url} holds checkpoints already", hint="give every attempt a folder of its own, or resume from this one"
        )
    variables = program.drawn(config)
    if config.parent is not None:
        variables = variables_from_parent(config, initial, network=program.module, drawn=variables)
    return Start(0, program.initial_state(config, variables), None, History(), identity, passed_over, {})


def devices_of(mesh: Mesh | None) -> list[jax.Device]:
    """List all devices that a mesh spans, those of other processes included; without a mesh, the first local one."""
    return list(mesh.devices.flat) if mesh else jax.local_devices()[:1]


def _restore(resume_from: Mapping[str, Any] | None, mesh: Mesh | None) -> tuple[checkpoint.Restored | None, list[str]]:
    """Load the checkpoint to start from. With several processes, process 0 says which one is sound, and all load that."""
    if resume_from is None:
        return None, []
    index, _ = share_of(mesh)
    place, at_most = resume_from["directory"], resume_from.get("step")
    if at_most and not storage_at(place).names(""):
        raise DataError(
            f"{place} is not there, and the run is to go on from its step {at_most}",
            hint="mount the home it lies in, then `scaling retry`; a damaged checkpoint needs nothing, the one before it is used",
        )
    restored, faults = checkpoint.restore(place, at_most=at_most) if index == 0 else (None, [])
    step = first_says(mesh, restored.step if restored else -1)
    if index > 0 and step >= 0:
        restored, faults = checkpoint.restore(place, at_most=step)
        if restored is None or restored.step != step:
            raise OSError(f"process {index} cannot read the checkpoint of step {step} that process 0 read: {'; '.join(faults)}")
    return restored, faults


def _identity(config: TrainConfig, program: Program) -> dict[str, object]:
    """Say whose state a checkpoint is, and what its bits depend on besides."""
    devices, execution = devices_of(program.mesh), program.execution
    return {
        "run": config.run_id(),
        "config": config.to_dict(),
        "rng": {"seed": config.seed, "rule": "fold_in(key(seed), step)"},
        "place": {
            "device": devices[0].device_kind,
            "devices": len(devices),
            "processes": share_of(program.mesh)[1],
            "threads": int(os.environ.get("NPROC") or os.cpu_count() or 1),
            "jaxlib": jaxlib.__version__,
            "micro_batch": program.micro_batch,
            "scan": execution.scan,
            "remat": execution.remat,
            "fsdp": execution.fsdp,
            "packed": program.runs,
        },
    }


def _compare(
    restored: checkpoint.Restored, config: TrainConfig, identity: Mapping[str, Any], *, parent: str | None
) -> dict[str, list[object]]:
    """List what has changed since the checkpoint was written and may change the last bits: name → [then, now].

    parent: the run whose trunk this one may start from.
    Raises `DataError` when it is the checkpoint of another run or of other data, or not one that this run and its parent have in common.
    """
    then, now = restored.counters["config"], identity["config"]
    where = f"the checkpoint of step {restored.step} in {restored.place}"
    if then["data"]["card"]["fingerprint"] != now["data"]["card"]["fingerprint"]:
        was, is_now = then["data"]["card"]["fingerprint"], now["data"]["card"]["fingerprint"]
        raise DataError(
            f"data set {config.data.name} has changed since {where} was written: content {was} then, {is_now} now",
            hint="bring back the data it was trained on, or train from the start",
        )
    if restored.counters["run"] != identity["run"] and parent is not None:
        if (why := foreign_to_trunk(config, then, restored.step)) is not None:
            raise DataError(f"{where} is not one that run {identity['run']} could have: {why}", hint="train it from its first step")
    elif restored.counters["run"] != identity["run"]:
        fields = ", ".join(f"{name} {then.get(name)!r} → {now[name]!r}" for name in now if then.get(name) != now[name])
        raise DataError(f"{where} is of another run: {fields}", hint="resume with the config it was saved under")
    place = {"packed": 1} | restored.counters["place"]
    return {name: [place.get(name), value] for name, value in identity["place"].items() if place.get(name) != value}
