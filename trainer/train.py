"""`train`: one config in, one trained, evaluated, checkpointed model out.

The steps are those of `train_many`, for any number of runs of one shape; `train` has one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from scaling.accelerators import Accelerator
from trainer import checkpoint, data
from trainer.clock import Clock
from trainer.compilation import counted_compilation
from trainer.config import TrainConfig
from trainer.distributed import meet, share_of
from trainer.events import Compiled, Event, RanOutOfMemory
from trainer.execution import Execution
from trainer.journal import Journal
from trainer.loop import Loop
from trainer.memory import is_out_of_memory
from trainer.packed import check_alike, packed_program
from trainer.program import program_for
from trainer.result import TrainResult
from trainer.start import start as start_of
from trainer.storage import storage_at

__all__ = ["train", "train_many"]


def train(
    config: TrainConfig,
    *,
    directory: str | Path,
    resume_from: Mapping[str, Any] | None = None,
    initial: Mapping[str, Any] | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_event: Callable[[Event], None] | None = None,
    mesh: Mesh | None = None,
    execution: Execution | None = None,
    evaluate_at: Sequence[float] = (),
    checkpoint_seconds: float = 60.0,
    checkpoint_at: Sequence[int] = (),
    keep: checkpoint.Keep | None = None,
    accelerators: Sequence[Accelerator] = (),
) -> TrainResult:
    """Train a model from its first step, or from a checkpoint, to its last.

    Args:
        config: what to train.
        directory: this attempt's own folder or fsspec URL; nothing is written outside it.
        resume_from: {"directory": of an earlier attempt, "step": its checkpoint's step}; an unreadable checkpoint falls back to the one
            before it, in that attempt or those before, or to a fresh start. With "parent": a run id, the attempt is of that run, and
            the two must have their steps up to there in common (`trainer.trunk`).
        initial: of a run with `config.parent`: {"directory": of the parent's attempt, "step": its checkpoint's step, None for the newest sound one}. It
            is read where the run starts at its first step, so not when it resumes.
        should_stop: polled before every step and every batch of an evaluation; when it says True the state is checkpointed and the outcome
            is INTERRUPTED.
        on_event: called, in the caller's thread, with the records of `trainer.events`, each with its `step`: `Compiled`, `Started`,
            `Progress`, `Checkpoint` once one is committed or `CheckpointFailed`, `Evaluated`, `Ended` with the result.
            `match event: case Progress(step=step, train_loss=loss): …` reads one; so does `event["train_loss"]`.
        mesh: devices to split each batch over, of this process or of several; None is one device.
        execution: how it is computed; None is the default of everything.
        evaluate_at: fractions of the run, 0 … 1, after which the held-out loss is taken; it always is at the end.
        checkpoint_seconds: time between checkpoints. One is also committed at the end and when asked to stop.
        checkpoint_at: steps after which one is committed besides, and kept for other runs to start from.
        keep: which checkpoints stay.
        accelerators: kinds of devices that `scaling.accelerators` does not list, so that the model FLOPs utilisation is known on them.

    Returns:
        The result; it is also written to `directory/result.json`.

    Raises:
        UsageError, DataError: the config cannot be trained here. OSError: the storage refuses the attempt's folder or the last checkpoint.
        In between, a refused checkpoint is told as an event, and the next one is tried when it is due.
    """
    [result] = train_many(
        [config],
        directories=[directory],
        resume_from=[resume_from],
        initial=[initial],
        should_stop=None if should_stop is None else lambda _: should_stop(),
        on_event=None if on_event is None else lambda _, event: on_event(event),
        mesh=mesh,
        execution=execution,
        evaluate_at=evaluate_at,
        checkpoint_seconds=checkpoint_seconds,
        checkpoint_at=[checkpoint_at],
        keep=keep,
        accelerators=accelerators,
    )
    return result


def train_many(
    configs: Sequence[TrainConfig],
    *,
    directories: Sequence[str | Path],
    resume_from: Sequence[Mapping[str, Any] | None] | None = None,
    initial: Sequence[Mapping[str, Any] | None] | None = None,
    should_stop: Callable[[int], bool] | None = None,
    on_event: Callable[[int, Event], None] | None = None,
    mesh: Mesh | None = None,
    execution: Execution | None = None,
    evaluate_at: Sequence[float] = (),
    checkpoint_seconds: float = 60.0,
    checkpoint_at: Sequence[Sequence[int]] | None = None,
    keep: checkpoint.Keep | None = None,
    accelerators: Sequence[Accelerator] = (),
) -> list[TrainResult]:
    """Train runs that differ in learning rate and seed alone, on one device, step for step together (`trainer.packed`).

    Fine-tuned ones may differ in the run that they start from, too.

    Args:
        configs: of the runs.
        directories, resume_from, initial, checkpoint_at: one a run, each as `train` takes it.
        should_stop: asked with a run's place in `configs` before every step. A run for which it says True is checkpointed and INTERRUPTED;
            the others go on.
        on_event: called with a run's place in `configs` and the event, as `train` gives it. Times are the run's share.
        mesh: of a single run alone.
        execution, evaluate_at, checkpoint_seconds, keep, accelerators: as of `train`, the same for all.

    Returns:
        The results, in the order of `configs`. A run that diverges is DIVERGED and the others go on. A run that stands at another step
        than most of them (its checkpoint was damaged) is INTERRUPTED at once, to go on without them.

    Raises:
        UsageError: the runs differ in more than learning rate and seed, or a batch is accumulated from micro-batches.
        Else as `train`; whatever is raised ends all runs that have not ended yet.
    """
    clock, count, main = Clock(runs=len(configs)), len(configs), share_of(mesh)[0] == 0
    check_alike(configs, directories)
    stop, tell = should_stop or (lambda index: False), on_event if on_event and main else lambda index, event: None
    execution, keep, storages = execution or Execution(), keep or checkpoint.Keep(), list(map(storage_at, directories))
    origins, pinned = list(resume_from or [None] * count), checkpoint_at or [()] * count
    parents = initial or [None] * count

    # 1. The data.
    dataset = data.load(configs[0].data.name, configs[0].data.options)
    configs[0].data.card.require(dataset.card)

    while True:
        # 2. The compiled step: shared by all runs of this shape.
        with counted_compilation() as compilation:
            program = (
                packed_program(configs[0], execution, mesh, runs=count) if count > 1 else program_for(configs[0], execution, mesh)
            )
        for index in range(count):
            tell(index, Compiled(shape=configs[0].shape_id(), **asdict(compilation)))
        meet(mesh, "compiled")

        # 3. Their states: fresh, from a pre-trained run's checkpoint, or exactly where an earlier attempt left off.
        starts = [start_of(*each) for each in zip(configs, [program] * count, storages, origins, parents, strict=True)]
        for index, start in enumerate(starts):
            if main:
                checkpoint.describe_attempt(storages[index], origins[index], start.identity)
            tell(index, start.told(data.Order.of(configs[index]).steps))

        # 4. Step after step, and the held-out losses at the last one.
        try:
            with ExitStack() as stack:
                journals = []
                for index, config in enumerate(configs):
                    journal = Journal(
                        config=config,
                        program=program,
                        start=starts[index],
                        storage=storages[index],
                        keep=keep,
                        clock=clock,
                        evaluate_at=evaluate_at,
                        checkpoint_at=pinned[index],
                        emit=partial(tell, index),
                        accelerators=accelerators,
                    )
                    journals.append(stack.enter_context(closing(journal)))
                loop = Loop(
                    journals, program, execution=execution, dataset=dataset, starts=starts, checkpoint_interval=checkpoint_seconds
                )
                endings = stack.enter_context(closing(loop)).run(stop)
            break
        except jax.errors.JaxRuntimeError as error:
            if not is_out_of_memory(error):
                raise
            execution = program.on_less_memory(execution)
            clock.forget_after(journals[0].saved_train_seconds)
            for index, storage in enumerate(storages):
                tell(index, RanOutOfMemory(step=loop.step, micro_batch=execution.micro_batch))
                if checkpoint.committed(storage):
                    origins[index] = {"directory": storage.url, "parent": (origins[index] or {}).get("parent")}

    for index, ending in endings.items():
        journals[index].end(ending)
    return [journal.result for journal in journals]
