"""`train`: one config in, one trained, evaluated, checkpointed model out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from scaling.errors import OutOfMemory
from scaling.fault_points import reached
from scaling.outcomes import AttemptOutcome
from trainer import checkpoint, data
from trainer.audit import Recorder
from trainer.clock import Clock, peak_flops
from trainer.compilation import counted_compilation
from trainer.config import TrainConfig
from trainer.data.loader import open_loader
from trainer.distributed import Accord, meet, new_life, share_of
from trainer.events import Compiled, Ended, Event, RanOutOfMemory
from trainer.execution import Execution
from trainer.journal import Journal
from trainer.loop import Loop
from trainer.memory import is_out_of_memory
from trainer.program import Program, halved, program_for
from trainer.result import TrainResult
from trainer.start import devices_of
from trainer.start import start as start_of
from trainer.storage import storage_at

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
    checkpoint_at: Sequence[int] = (),
    keep: checkpoint.Keep | None = None,
) -> TrainResult:
    """Train a model from its first step, or from a checkpoint, to its last.

    Args:
        config: what to train.
        directory: this attempt's own folder or fsspec URL; nothing is written outside it.
        resume_from: {"directory": of an earlier attempt, "step": its checkpoint's step}; an unreadable checkpoint falls back to the one
            before it, in that attempt or those before, or to a fresh start. With "parent": a run id, the attempt is of that run, and
            the two must have their steps up to there in common (`trainer.trunk`).
        should_stop: polled before every step and every batch of an evaluation; when it says True the state is checkpointed and the outcome is INTERRUPTED.
        on_event: called, in the caller's thread, with the records of `trainer.events`, each with its `step`: `Compiled`, `Started`,
            `Progress`, `Checkpoint` once one is committed or `CheckpointFailed`, `Evaluated`, `Ended` with the result.
            `match event: case Progress(step=step, train_loss=loss): …` reads one; so does `event["train_loss"]`.
        mesh: devices to split each batch over, of this process or of several; None is one device.
        execution: how it is computed; None is the default of everything.
        evaluate_at: fractions of the run, 0 … 1, after which the held-out loss is taken; it always is at the end.
        checkpoint_seconds: time between checkpoints. One is also committed at the end and when asked to stop.
        checkpoint_at: steps after which one is committed besides, and kept for other runs to start from.
        keep: which checkpoints stay.

    Returns:
        The result; it is also written to `directory/result.json`.

    Raises:
        UsageError, DataError: the config cannot be trained here. OSError: the storage refuses the attempt's folder or the last checkpoint.
        In between, a refused checkpoint is told as an event, and the next one is tried when it is due.
    """
    entered, clock = time.perf_counter(), Clock()
    index, processes = share_of(mesh)
    emit = on_event if on_event and index == 0 else lambda event: None
    storage, execution, stop = storage_at(directory), execution or Execution(), should_stop or (lambda: False)

    # 1. The data, and the order in which this run sees it.
    dataset = data.load(config.data.name, config.data.options)
    config.data.card.require(dataset.card)
    order = data.Order.of(config)

    while True:
        # 2. The compiled step: shared by all runs of this shape.
        with counted_compilation() as compilation:
            program = program_for(config, execution, mesh)
        emit(Compiled(shape=config.shape_id(), **asdict(compilation)))
        meet(mesh, "compiled")

        # 3. The state: fresh, or exactly where an earlier attempt left off.
        start = start_of(config, program, storage, resume_from)
        if index == 0:
            checkpoint.describe_attempt(storage, resume_from, start.identity)
        emit(start.told(order.steps))

        # 4. Step after step, and the held-out loss at the last one.
        keep = replace(keep or checkpoint.Keep(), steps=frozenset(checkpoint_at))
        writer = checkpoint.Writer(storage, keep=keep, first_step=start.step)
        batches = open_loader(
            dataset.train, order, config=config, execution=execution, first_step=start.step, shard=(index, processes)
        )
        journal = Journal(
            config=config,
            order=order,
            layout=program.layout,
            start=start,
            recorder=Recorder(directory, order, shard=(index, processes), first_step=start.step),
            writer=writer,
            clock=clock,
            life=new_life(mesh),
            evaluate_at=evaluate_at,
            checkpoint_at=checkpoint_at,
            peak_flops=peak_flops(devices_of(mesh)),
            emit=emit,
        )
        loop = Loop(
            journal=journal,
            program=program,
            execution=execution,
            dataset=dataset,
            batches=batches,
            start=start,
            accord=Accord(mesh, first_step=start.step),
            checkpoint_interval=checkpoint_seconds,
        )
        try:
            with batches, closing(writer):
                outcome, reason = loop.run(stop)
                scores = loop.finish(stop) if outcome is AttemptOutcome.FINISHED else None
            break
        except jax.errors.JaxRuntimeError as error:
            execution = _on_less_memory(error, program, execution)
            emit(RanOutOfMemory(step=loop.step, micro_batch=execution.micro_batch))
            clock.forget_after(journal.saved_train_seconds)
            if checkpoint.committed(storage):
                resume_from = {"directory": storage.url, "parent": (resume_from or {}).get("parent")}

    result = journal.result(outcome, reason, step=loop.step, scores=scores, since=entered)
    if index == 0:
        storage.publish("result.json", json.dumps(result.to_dict(), indent=1).encode())
    reached("result-written")
    emit(Ended(step=loop.step, result=result))
    return result


def _on_less_memory(error: jax.errors.JaxRuntimeError, program: Program, execution: Execution) -> Execution:
    """How to go on after a step ran out of memory; raises `OutOfMemory` when the run may not, and any other error again."""
    if not is_out_of_memory(error):
        raise error
    smaller = halved(program)
    asks = f"a training step of {program.config.model.name} on {program.micro_batch} examples at once ran out of memory"
    if smaller is None:
        raise OutOfMemory(f"{asks}, and it cannot be split", hint="use more or larger devices, or execution.fsdp") from error
    if execution.on_out_of_memory == "fail":
        raise OutOfMemory(
            asks,
            hint=f"write `execution: {{micro_batch: {smaller.micro_batch}}}`, the same result by accumulation; or `on_out_of_memory: halve`",
        ) from error
    return replace(execution, micro_batch=smaller.micro_batch)
