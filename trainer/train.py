"""`train`: one config in, one trained, evaluated, checkpointed model out."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jaxlib
from jax.sharding import Mesh

from scaling.errors import DataError, UsageError
from scaling.outcomes import AttemptOutcome
from trainer import checkpoint, data, models
from trainer.checkpoint.snapshot import state_from
from trainer.clock import peak_flops
from trainer.config import TrainConfig
from trainer.distributed import Accord, first_says, new_life, share_of
from trainer.execution import Execution
from trainer.loop import Event, History, Loop
from trainer.program import program_for
from trainer.result import Seconds, TrainResult

__all__ = ["train"]


def train(
    config: TrainConfig,
    *,
    directory: str | Path,
    resume_from: Mapping[str, Any] | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_event: Callable[[Event], None] | None = None,
    mesh: Mesh | None = None,
    execution: Execution | None = None,
    evaluate_at: Sequence[float] = (),
    checkpoint_seconds: float = 60.0,
    keep: checkpoint.Keep | None = None,
) -> TrainResult:
    """Train a model from its first step, or from a checkpoint, to its last.

    Args:
        config: what to train.
        directory: this attempt's own folder or fsspec URL; nothing is written outside it.
        resume_from: {"directory": of an earlier attempt, "step": its checkpoint's step}; an unreadable checkpoint falls back to the one
            before it, in that attempt or those before, or to a fresh start.
        should_stop: polled before every step; when it says True the state is checkpointed and the outcome is INTERRUPTED.
        on_event: called, in the caller's thread, with plain dictionaries, each with `kind` and `step`:
            `compiled` (seconds, shape), `started` (steps, device, devices, threads, processes, passed_over, changed),
            `progress` (train_loss, learning_rate, train_seconds and the fields of `clock.Pace`),
            `checkpoint` once one is committed (train_seconds, checkpoint_seconds, write_seconds, bytes), or `checkpoint_failed` (reason),
            `evaluated` (split, loss, top1, top5, examples, seconds), `ended` (the result).
        mesh: devices to split each batch over, of this process or of several; None is one device.
        execution: how it is computed; None is the default of everything.
        evaluate_at: fractions of the run, 0 … 1, after which the held-out loss is taken; it always is at the end.
        checkpoint_seconds: time between checkpoints. One is also committed at the end and when asked to stop.
        keep: which checkpoints stay.

    Returns:
        The result; it is also written to `directory/result.json`.

    Raises:
        UsageError, DataError: the config cannot be trained here. OSError: the storage refuses the attempt's folder or the last checkpoint.
        In between, a refused checkpoint is told as an event, and the next one is tried when it is due.
    """
    entered = time.perf_counter()
    index, _ = share_of(mesh)
    emit = on_event if on_event and index == 0 else lambda event: None
    storage = checkpoint.storage_at(directory)

    # 1. The data, and the order in which this run sees it.
    dataset = data.load(config.data.name, config.data.options)
    if dataset.card.fingerprint != config.data.card.fingerprint:
        raise DataError(
            f"data set {config.data.name} has content {dataset.card.fingerprint} here, the run is of {config.data.card.fingerprint}",
            hint="name the folder that holds the data the run was planned with, or submit the file again for the new data",
        )
    order = data.Order(len(dataset.train), config.schedule.epochs, config.batch_size, config.seed)

    # 2. The compiled step: shared by all runs of this shape.
    program = program_for(config, mesh)
    emit({"kind": "compiled", "step": 0, "seconds": program.compile_seconds, "shape": config.shape_id()})

    # 3. The state: fresh, or exactly where an earlier attempt left off.
    step, state, history = 0, program.initial_state(config), History()
    identity = _identity(config, mesh)
    restored, passed_over = _restore(resume_from, mesh)
    changed: dict[str, Any] = {}
    if restored is not None:
        changed = _compare(restored, config, identity)
        step, state = restored.step, program.place(state_from(restored.arrays, state, restored.place))
        history = History.of(restored.counters)
    elif resume_from is None and checkpoint.committed(storage):
        raise UsageError(
            f"{storage.url} holds checkpoints already", hint="give every attempt a folder of its own, or resume from this one"
        )
    if index == 0:
        checkpoint.describe_attempt(storage, resume_from, identity)
    started = {"steps": order.steps, **identity["place"], "passed_over": passed_over, "changed": changed}
    emit({"kind": "started", "step": step, **started})

    # 4. Step after step.
    writer = checkpoint.Writer(storage, keep=keep or checkpoint.Keep(), first_step=step)
    try:
        loop = Loop(
            config=config,
            program=program,
            dataset=dataset,
            order=order,
            batches=_Batches(dataset, order, step),
            first_step=step,
            state=state,
            checkpoint_step=step if restored else None,
            history=history,
            writer=writer,
            accord=Accord(mesh, first_step=step),
            life=new_life(mesh),
            identity=identity,
            evaluate_after=[math.ceil(fraction * order.steps) for fraction in evaluate_at],
            checkpoint_interval=checkpoint_seconds,
            flops_per_example=_flops_per_example(config),
            peak_flops=peak_flops(list(mesh.devices.flat) if mesh else jax.local_devices()[:1]),
            emit=emit,
        )
        startup = time.perf_counter() - entered
        outcome, reason = loop.run(should_stop or (lambda: False))

        # 5. The held-out loss, at the last step.
        scores = loop.finish() if outcome is AttemptOutcome.FINISHED else None
    finally:
        writer.close()
    result = TrainResult(
        outcome=outcome,
        reason=reason,
        first_step=step,
        last_step=loop.step,
        checkpoint_step=loop.checkpoint_step,
        examples_seen=min(loop.step * config.batch_size, order.total),
        seconds=Seconds(startup, loop.clock.train, loop.clock.evaluation, loop.clock.checkpoint),
        train_loss=loop.train_loss,
        useful_seconds=history.train_seconds + loop.clock.train,
    )
    if scores is not None and math.isfinite(scores.loss):
        result = replace(result, val_loss=scores.loss, val_top1=scores.top1, val_top5=scores.top5)
    elif scores is not None:
        result = replace(result, outcome=AttemptOutcome.DIVERGED, reason=f"the validation loss is {scores.loss}")
    if index == 0:
        storage.publish("result.json", json.dumps(result.to_dict(), indent=1).encode())
    emit({"kind": "ended", "step": loop.step, **result.to_dict()})
    return result


def _restore(resume_from: Mapping[str, Any] | None, mesh: Mesh | None) -> tuple[checkpoint.Restored | None, list[str]]:
    """The checkpoint to start from. With several processes, process 0 says which one is sound, and all load that."""
    if resume_from is None:
        return None, []
    index, _ = share_of(mesh)
    place, at_most = resume_from["directory"], resume_from.get("step")
    restored, faults = checkpoint.restore(place, at_most=at_most) if index == 0 else (None, [])
    step = first_says(mesh, restored.step if restored else -1)
    if index > 0 and step >= 0:
        restored, faults = checkpoint.restore(place, at_most=step)
        if restored is None or restored.step != step:
            raise OSError(f"process {index} cannot read the checkpoint of step {step} that process 0 read: {'; '.join(faults)}")
    return restored, faults


def _identity(config: TrainConfig, mesh: Mesh | None) -> dict[str, Any]:
    """Whose state a checkpoint is, and what its bits depend on besides."""
    devices = list(mesh.devices.flat) if mesh else jax.local_devices()[:1]
    return {
        "run": config.run_id(),
        "config": config.to_dict(),
        "rng": {"seed": config.seed, "rule": "fold_in(key(seed), step)"},
        "place": {
            "device": devices[0].device_kind,
            "devices": len(devices),
            "processes": share_of(mesh)[1],
            "threads": int(os.environ.get("NPROC") or os.cpu_count() or 1),
            "jaxlib": jaxlib.__version__,
        },
    }


def _compare(restored: checkpoint.Restored, config: TrainConfig, identity: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What is other than when the checkpoint was written and may change the last bits: name → [then, now].

    Raises `DataError` when it is the checkpoint of another run, or of other data.
    """
    then, now = restored.counters["config"], identity["config"]
    where = f"the checkpoint of step {restored.step} in {restored.place}"
    if then["data"]["card"]["fingerprint"] != now["data"]["card"]["fingerprint"]:
        was, is_now = then["data"]["card"]["fingerprint"], now["data"]["card"]["fingerprint"]
        raise DataError(
            f"data set {config.data.name} has changed since {where} was written: content {was} then, {is_now} now",
            hint="bring back the data it was trained on, or train from the start",
        )
    if restored.counters["run"] != identity["run"]:
        fields = ", ".join(f"{name} {then.get(name)!r} → {now[name]!r}" for name in now if then.get(name) != now[name])
        raise DataError(f"{where} is of another run: {fields}", hint="resume with the config it was saved under")
    place = restored.counters["place"]
    return {name: [place.get(name), value] for name, value in identity["place"].items() if place.get(name) != value}


def _flops_per_example(config: TrainConfig) -> float:
    """6 × MACs: forward 2, backward 4 a MAC."""
    family, card = models.family(config.model.family), config.data.card
    macs = family.macs(config.model.name, config.model.options, num_classes=card.num_classes, image_shape=card.image_shape)
    return 6.0 * macs


class _Batches:
    def __init__(self, dataset: Any, order: Any, first_step: int) -> None:
        self.dataset, self.order, self.step, self.stalled_seconds = dataset, order, first_step, 0.0

    def __iter__(self) -> Any:
        import numpy as np

        while self.step < self.order.steps:
            t = time.perf_counter()
            images, labels = self.dataset.train.gather(self.order.ids(self.step))
            size = self.order.batch_size
            weights = np.ones(size, np.float32)
            missing = size - len(labels)
            if missing:
                weights[len(labels) :] = 0.0
                images = np.concatenate([images, np.zeros((missing, *images.shape[1:]), images.dtype)])
                labels = np.concatenate([labels, np.zeros(missing, labels.dtype)])
            self.step += 1
            self.stalled_seconds += time.perf_counter() - t
            yield images, labels, weights
