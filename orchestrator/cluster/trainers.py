"""Trainers of runs, behind one protocol: `JaxTrainer` trains, `RehearsedTrainer` follows a stated surface, `program.ProgramTrainer` runs a command.

`trainer_of` chooses. Another one is another class and a line there. It has to train, to tell its events
(`trainer.events`), and to look at `should_stop` at least every few seconds.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.messages import Assignment, Left, Placed
from orchestrator.provenance import code_version
from scaling.accelerators import Accelerator, accelerator_of_device, how_to_add
from trainer.config import TrainConfig
from trainer.events import Event

__all__ = ["JaxTrainer", "RehearsedTrainer", "Trainee", "Trainer", "placed", "trainer_of"]


@dataclass(frozen=True)
class Trainee:
    """Holds one run to train: its assignment and config, where to tell its events, and whether it was asked to checkpoint and end."""

    assignment: Assignment
    config: TrainConfig
    tell: Callable[[Event], None]
    should_stop: Callable[[], bool]


class Trainer(Protocol):
    """Trains the runs of an assignment in the process that hosts it."""

    def prepare(self, first: Assignment) -> Placed:
        """Take the devices for runs like this one, and return what they are. Whatever it raises ends the attempts."""

    def train(self, runs: Sequence[Trainee]) -> Left | None:
        """Train these runs, all at once if there are several; what it raises ends those that have not told `Ended`.

        Returns the last event to tell where another process tells of the training, else None.
        """


def trainer_of(config: TrainConfig) -> Trainer:
    """Choose the trainer of a run by its config."""
    if config.program is not None:
        from orchestrator.cluster.program import ProgramTrainer

        return ProgramTrainer()
    return RehearsedTrainer() if config.model.surface else JaxTrainer()


class JaxTrainer:
    """Trains by `trainer.train_many`: one run, or a pack."""

    def prepare(self, first: Assignment) -> Placed:
        """Join the group's other processes, and keep compiled programs on disk for the next processes of the same shape.

        They lie in the home, or where JAX_COMPILATION_CACHE_DIR says: a folder that several studies share.
        """
        import jax

        if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
            jax.config.update("jax_compilation_cache_dir", first.compile_cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        if (peers := first.group) and not jax.distributed.is_initialized():
            from trainer.distributed import join

            join(peers.coordinator, count=peers.count, index=peers.index)
        devices, threads = jax.local_devices(), int(os.environ.get("NPROC", os.cpu_count() or 1))
        if devices[0].platform != "cpu" and accelerator_of_device(devices[0].device_kind, _declared(first)) is None:
            print(how_to_add(devices[0].device_kind), file=sys.stderr)  # into the log of the attempt
        return placed(devices[0].device_kind, len(devices), threads=threads, jaxlib_version=jax.lib.__version__)

    def train(self, runs: Sequence[Trainee]) -> Left | None:
        """Train one run on all devices of its group, or a pack on one."""
        import jax

        from trainer import Execution, train_many
        from trainer.distributed import mesh_over, whole_mesh

        assignments, first = [run.assignment for run in runs], runs[0].assignment
        alone = whole_mesh() if first.group else mesh_over(jax.local_devices())
        results = train_many(
            [run.config for run in runs],
            directories=[each.directory for each in assignments],
            resume_from=[each.origin for each in assignments],
            initial=[each.weights for each in assignments],
            checkpoint_at=[each.options.checkpoint_at for each in assignments],
            should_stop=lambda index: runs[index].should_stop(),
            on_event=lambda index, event: runs[index].tell(event),
            mesh=alone if len(runs) == 1 else None,
            execution=Execution.from_dict(first.options.execution),
            evaluate_at=first.options.evaluate_at,
            checkpoint_seconds=first.checkpoint_seconds,
            accelerators=_declared(first),
        )
        return Left(step=results[0].last_step, outcome=str(results[0].outcome)) if jax.process_index() > 0 else None


class RehearsedTrainer:
    """Rehearses runs without training and without JAX, with the same process, assignments and events.

    `execution` says how large the model is and how fast it goes, and of a run that is fine-tuned what its parent was: see `trainer.rehearsal`.
    """

    def prepare(self, first: Assignment) -> Placed:
        """Take the chips that the file states."""
        assert first.resources is not None
        return placed(first.resources.accelerator, first.resources.chips, threads=1, jaxlib_version=None)

    def train(self, runs: Sequence[Trainee]) -> None:
        """Let the runs pass, one after another: the plan packs none."""
        from trainer.rehearsal import rehearse

        for run in runs:
            given = run.assignment
            rehearse(
                run.config,
                directory=given.directory,
                resume_from=given.origin,
                should_stop=run.should_stop,
                on_event=run.tell,
                evaluate_at=given.options.evaluate_at,
                checkpoint_seconds=given.checkpoint_seconds,
                checkpoint_at=given.options.checkpoint_at,
                **given.options.execution,
            )


def _declared(given: Assignment) -> tuple[Accelerator, ...]:
    """List the accelerators that the user declared for these runs."""
    return given.resources.declared if given.resources else ()


def placed(device: str, devices: int, *, threads: int, jaxlib_version: str | None) -> Placed:
    """Say where a process is and what it has."""
    return Placed(
        host=socket.gethostname(),
        device=device,
        devices=devices,
        threads=threads,
        jaxlib_version=jaxlib_version,
        code_version=code_version(),
    )
