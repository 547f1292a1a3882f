"""`train_many`: several runs of one shape, trained at once in one program; each as `train` would have trained it.

For small models that leave a device idle. Every run has its own folder, checkpoints, audit, events and result, in the same formats: a run
can be packed in one attempt and alone in the next. Its seconds are its share, 1/K of those that passed.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax

from scaling.errors import OutOfMemory, UsageError
from scaling.outcomes import AttemptOutcome
from trainer import checkpoint, data
from trainer.audit import Recorder
from trainer.clock import Clock, peak_flops
from trainer.compilation import counted_compilation
from trainer.config import TrainConfig
from trainer.data.loader import Loader, open_loader
from trainer.distributed import new_life
from trainer.events import Compiled, Ended, Event
from trainer.execution import Execution
from trainer.journal import Journal
from trainer.memory import is_out_of_memory
from trainer.packed import together
from trainer.packed_loop import Feed, MemberEnding, PackedLoop
from trainer.program import program_for
from trainer.result import TrainResult
from trainer.start import Start, devices_of
from trainer.start import start as start_of
from trainer.storage import storage_at
from trainer.train import train

__all__ = ["train_many"]


def train_many(
    configs: Sequence[TrainConfig],
    *,
    directories: Sequence[str | Path],
    resume_from: Sequence[Mapping[str, Any] | None] | None = None,
    should_stop: Callable[[int], bool] | None = None,
    on_event: Callable[[int, Event], None] | None = None,
    execution: Execution | None = None,
    evaluate_at: Sequence[float] = (),
    checkpoint_seconds: float = 60.0,
    checkpoint_at: Sequence[Sequence[int]] | None = None,
    keep: checkpoint.Keep | None = None,
) -> list[TrainResult]:
    """Train runs that differ in learning rate and seed alone, on one device, step for step together.

    Args:
        configs: of the runs.
        directories, resume_from, checkpoint_at: one a run, each as `train` takes it.
        should_stop: asked with a run's place in `configs` before every step. A run for which it says True is checkpointed and INTERRUPTED;
            the others go on.
        on_event: called with a run's place in `configs` and the event, as `train` gives it. Times are the run's share.
        execution, evaluate_at, checkpoint_seconds, keep: as of `train`, the same for all.

    Returns:
        The results, in the order of `configs`. A run that diverges is DIVERGED and the others go on. A run that stands at another step
        than most of them (its checkpoint was damaged) is INTERRUPTED at once, to go on without them.

    Raises:
        UsageError: the runs differ in more than learning rate and seed, or a batch is accumulated from micro-batches.
        Else as `train`; whatever is raised ends all runs that have not ended yet.
    """
    count = len(configs)
    check_pack(configs, directories)
    origins, pinned = list(resume_from or [None] * count), list(checkpoint_at or [()] * count)
    stop, tell = should_stop or (lambda index: False), on_event or (lambda index, event: None)
    if count == 1:
        result = train(
            configs[0],
            directory=directories[0],
            resume_from=origins[0],
            should_stop=partial(stop, 0),
            on_event=partial(tell, 0),
            execution=execution,
            evaluate_at=evaluate_at,
            checkpoint_seconds=checkpoint_seconds,
            checkpoint_at=pinned[0],
            keep=keep,
        )
        return [result]
    entered, clock, execution = time.perf_counter(), Clock(runs=count), execution or Execution()
    storages = [storage_at(directory) for directory in directories]

    # 1. The data, and the order in which each run sees it.
    dataset = data.load(configs[0].data.name, configs[0].data.options)
    configs[0].data.card.require(dataset.card)
    orders = [data.Order.of(config) for config in configs]

    # 2. The compiled step of all of them.
    with counted_compilation() as compilation:
        program = program_for(configs[0], execution, runs=count)
    for index in range(count):
        tell(index, Compiled(shape=configs[0].shape_id(), **asdict(compilation)))

    # 3. Their states: fresh, or where earlier attempts left off.
    starts = [start_of(*each) for each in zip(configs, [program] * count, storages, origins, strict=True)]
    step = _common_step(starts)
    for index, start in enumerate(starts):
        checkpoint.describe_attempt(storages[index], origins[index], start.identity)
        tell(index, start.told(orders[0].steps))

    with ExitStack() as stack:
        # 4. What each run writes down.
        def journal(index: int) -> Journal:
            start, steps = starts[index], pinned[index]
            kept = replace(keep or checkpoint.Keep(), steps=frozenset(steps))
            writer = stack.enter_context(closing(checkpoint.Writer(storages[index], keep=kept, first_step=start.step)))
            return Journal(
                config=configs[index],
                order=orders[index],
                layout=program.layout,
                start=start,
                recorder=Recorder(directories[index], orders[index], first_step=start.step),
                writer=writer,
                clock=clock,
                life=new_life(None),
                evaluate_at=evaluate_at,
                checkpoint_at=steps,
                peak_flops=peak_flops(devices_of(None)),
                emit=partial(tell, index),
            )

        journals = [journal(index) for index in range(count)]
        results: dict[int, TrainResult] = {}

        def end(index: int, ending: MemberEnding) -> None:
            result = journals[index].result(ending.outcome, ending.reason, step=ending.step, scores=ending.scores, since=entered)
            storages[index].publish("result.json", json.dumps(result.to_dict(), indent=1).encode())
            results[index] = result
            tell(index, Ended(step=ending.step, result=result))

        apart = [index for index, start in enumerate(starts) if start.step != step]
        for index in apart:
            reason = f"it stands at step {starts[index].step}, the runs packed with it at {step}; it goes on without them"
            end(index, MemberEnding(AttemptOutcome.INTERRUPTED, reason, starts[index].step))

        # 5. Step after step, and the held-out losses at the last one.
        seeds = [config.seed for config in configs]
        loaders = {
            seed: stack.enter_context(_loader(dataset, configs[seeds.index(seed)], execution, step, len(set(seeds))))
            for seed in dict.fromkeys(seeds)
        }
        loop = PackedLoop(
            journals=journals,
            program=program,
            execution=execution,
            dataset=dataset,
            feed=Feed(loaders, seeds),
            states=program.placement.put(together([start.state for start in starts])),
            step=step,
            members=[index for index in range(count) if index not in apart],
            checkpoint_interval=checkpoint_seconds,
            on_end=end,
        )
        try:
            loop.run(stop)
        except jax.errors.JaxRuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(
                f"{count} runs of {configs[0].model.name} at once ran out of memory", hint="make execution.pack smaller"
            ) from error
    return [results[index] for index in range(count)]


def check_pack(configs: Sequence[TrainConfig], directories: Sequence[str | Path]) -> None:
    """Raises `UsageError` for runs that cannot be trained together."""
    if not configs or len(directories) != len(configs):
        raise UsageError(f"{len(configs)} runs and {len(directories)} folders", hint="give every run a folder of its own")
    if len({str(directory) for directory in directories}) < len(configs):
        raise UsageError("two runs are to write to one folder", hint="give every run a folder of its own")
    first = replace(configs[0], learning_rate=0.0, seed=0)
    for config in configs[1:]:
        other = replace(config, learning_rate=0.0, seed=0)
        if other != first:
            ours, theirs = first.to_dict(), other.to_dict()
            fields = ", ".join(name for name in ours if ours[name] != theirs[name])
            raise UsageError(
                f"runs that differ in {fields} cannot be trained at once",
                hint="pack runs that differ in learning_rate and seed alone",
            )


def _common_step(starts: Sequence[Start]) -> int:
    """Where most of them stand; of equally many the furthest."""
    counted = Counter(start.step for start in starts)
    return max(counted, key=lambda step: (counted[step], step))


def _loader(dataset: data.Dataset, config: TrainConfig, execution: Execution, first_step: int, loaders: int) -> Loader:
    """Of one seed. The workers of `execution` are shared out among all `loaders`."""
    workers = max(1, execution.workers // loaders) if execution.workers else 0
    return open_loader(
        dataset.train, data.Order.of(config), config=config, execution=replace(execution, workers=workers), first_step=first_step
    )
