"""`train`: one config in, one trained, evaluated, checkpointed model out."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from scaling.errors import DataError
from scaling.outcomes import AttemptOutcome
from trainer import checkpoint, data
from trainer.config import TrainConfig
from trainer.evaluate import evaluate
from trainer.optimizers import learning_rate_at
from trainer.program import Program, TrainState, program_for
from trainer.result import Seconds, TrainResult

__all__ = ["train"]

LOG_POINTS = 50
"""Points on a run's curves; the loss is fetched from the device that often."""

Event = dict[str, Any]


@dataclass(frozen=True)
class _Start:
    """Where an attempt begins: fresh at step 0, or from a checkpoint."""

    step: int
    state: TrainState
    checkpoint_step: int | None


def train(
    config: TrainConfig,
    *,
    directory: str | Path,
    resume_from: Mapping[str, Any] | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_event: Callable[[Event], None] | None = None,
    mesh: Mesh | None = None,
    checkpoint_seconds: float = 60.0,
) -> TrainResult:
    """Train a model from its first step, or from a checkpoint, to its last.

    Args:
        config: what to train.
        directory: this attempt's own folder; nothing is written outside it.
        resume_from: {"directory": folder of an earlier attempt, "step": its checkpoint's step}; an unreadable checkpoint falls back to
            the one before it, or to a fresh start.
        should_stop: polled before every step; when it says True the state is checkpointed and the outcome is INTERRUPTED.
        on_event: called with plain dictionaries, each with `kind` and `step`:
            `compiled` (seconds), `started`, `progress` (train_loss, learning_rate, examples_per_second),
            `checkpoint` (train_seconds), `evaluated` (loss, top1, top5, examples, seconds), `ended` (the result).
        mesh: devices to split each batch over; None is one device.
        checkpoint_seconds: time between checkpoints. One is also committed at the end and when asked to stop.

    Returns:
        The result; it is also written to `directory/result.json`.

    Raises:
        UsageError, DataError: the config cannot be trained here. OSError: the disk refuses a checkpoint.
    """
    entered = time.perf_counter()
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    emit = on_event or (lambda event: None)
    stop = should_stop or (lambda: False)

    # 1. The data, and the order in which this run sees it.
    dataset = data.load(config.data.name, config.data.options)
    if dataset.card.fingerprint != config.data.card.fingerprint:
        raise DataError(
            f"data set {config.data.name} has content {dataset.card.fingerprint} here, the run is of {config.data.card.fingerprint}",
            hint="name the folder that holds the data the run was planned with, or submit the file again for the new data",
        )
    order = data.Order(len(dataset.train), config.schedule.epochs, config.batch_size, config.seed)
    warmup_steps = round(config.schedule.warmup_epochs * len(dataset.train) / config.batch_size)

    # 2. The compiled step: shared by all runs of this shape.
    program = program_for(config, mesh=mesh)
    emit({"kind": "compiled", "step": 0, "seconds": program.compile_seconds, "shape": config.shape_id()})

    # 3. The state: fresh, or exactly where an earlier attempt left off.
    start = _start(program, config, resume_from)
    emit({"kind": "started", "step": start.step, "steps": order.steps, "device": str(jax.devices()[0].device_kind)})

    # 4. Step after step.
    loop = _Loop(config, program, dataset, order, warmup_steps, start, directory, checkpoint_seconds, emit)
    startup = time.perf_counter() - entered
    outcome, reason = loop.run(stop)
    result = TrainResult(
        outcome=outcome,
        reason=reason,
        first_step=start.step,
        last_step=loop.step,
        checkpoint_step=loop.checkpoint_step,
        examples_seen=min(loop.step * config.batch_size, order.total),
        seconds=Seconds(startup, loop.train_seconds, 0.0, loop.checkpoint_seconds),
        train_loss=_finite(loop.train_loss),
    )

    # 5. The held-out loss, at the last step.
    if outcome is AttemptOutcome.FINISHED:
        scores = evaluate(program, loop.state.evaluated, dataset.validation)
        result = replace(result, seconds=replace(result.seconds, evaluation=scores.seconds))
        emit({"kind": "evaluated", "step": loop.step, "split": "validation", **scores.to_dict()})
        if math.isfinite(scores.loss):
            result = replace(result, val_loss=scores.loss, val_top1=scores.top1, val_top5=scores.top5)
        else:
            result = replace(result, outcome=AttemptOutcome.DIVERGED, reason=f"the validation loss is {scores.loss}")

    (directory / "result.json").write_text(json.dumps(result.to_dict(), indent=1))
    emit({"kind": "ended", "step": loop.step, **result.to_dict()})
    return result


class _Loop:
    """The training loop and its clocks. `train_seconds` is the loop without its checkpoints."""

    def __init__(
        self,
        config: TrainConfig,
        program: Program,
        dataset: data.Dataset,
        order: data.Order,
        warmup_steps: int,
        start: _Start,
        directory: Path,
        checkpoint_interval: float,
        emit: Callable[[Event], None],
    ) -> None:
        self.config, self.program, self.dataset, self.order = config, program, dataset, order
        self.warmup_steps, self.directory, self.checkpoint_interval, self.emit = warmup_steps, directory, checkpoint_interval, emit
        self.step, self.state, self.checkpoint_step = start.step, start.state, start.checkpoint_step
        self.train_loss = math.nan
        self.train_seconds = self.checkpoint_seconds = 0.0

    def run(self, should_stop: Callable[[], bool]) -> tuple[AttemptOutcome, str]:
        """Until the last step, a request to stop, or a loss that is no number."""
        self._resumed_at = self._checkpointed_at = time.perf_counter()
        log_every = max(1, self.order.steps // LOG_POINTS)
        logged_step, logged_at, loss = self.step, time.perf_counter(), None
        while self.step < self.order.steps:
            if should_stop():
                self._checkpoint()
                return AttemptOutcome.INTERRUPTED, "asked to stop"
            loss = self._take_step()
            last = self.step == self.order.steps
            if last or self.step % log_every == 0:
                self.train_loss = float(loss)
                now = time.perf_counter()
                rate = (self.step - logged_step) * self.config.batch_size / (now - logged_at)
                logged_step, logged_at = self.step, now
                self.emit(
                    {
                        "kind": "progress",
                        "step": self.step,
                        "steps": self.order.steps,
                        "train_loss": _finite(self.train_loss),
                        "learning_rate": self._learning_rate(self.step - 1),
                        "examples_per_second": rate,
                        "train_seconds": self.train_seconds + now - self._resumed_at,
                    }
                )
                if not math.isfinite(self.train_loss):
                    self._pause_clock()
                    return (
                        AttemptOutcome.DIVERGED,
                        f"the training loss is {self.train_loss} at step {self.step} of {self.order.steps}",
                    )
            if last or time.perf_counter() - self._checkpointed_at > self.checkpoint_interval:
                self._checkpoint()
        self._pause_clock()
        return AttemptOutcome.FINISHED, ""

    def _take_step(self) -> jax.Array:
        ids = self.order.ids(self.step)
        images, labels, weights = _padded(*self.dataset.train.gather(ids), self.config.batch_size)
        rate, seed, step = np.float32(self._learning_rate(self.step)), np.uint32(self.config.seed), np.uint32(self.step)
        self.state, metrics = self.program.train_step(
            self.state, *self.program.place_batch(images, labels, weights), rate, seed, step
        )
        self.step += 1
        return metrics.loss

    def _learning_rate(self, step: int) -> float:
        return learning_rate_at(
            step,
            peak=self.config.learning_rate,
            steps=self.order.steps,
            warmup_steps=self.warmup_steps,
            schedule=self.config.schedule.name,
            decay_fraction=self.config.schedule.decay_fraction,
        )

    def _pause_clock(self) -> None:
        jax.block_until_ready(self.state)
        self.train_seconds += time.perf_counter() - self._resumed_at
        self._resumed_at = time.perf_counter()

    def _checkpoint(self) -> None:
        self._pause_clock()
        checkpoint.save(
            self.directory, self.step, self.state, {"examples_seen": min(self.step * self.config.batch_size, self.order.total)}
        )
        self.checkpoint_step = self.step
        self._checkpointed_at = time.perf_counter()
        self.checkpoint_seconds += self._checkpointed_at - self._resumed_at
        self._resumed_at = self._checkpointed_at
        self.emit(
            {
                "kind": "checkpoint",
                "step": self.step,
                "train_seconds": self.train_seconds,
                "checkpoint_seconds": self.checkpoint_seconds,
            }
        )


def _start(program: Program, config: TrainConfig, resume_from: Mapping[str, Any] | None) -> _Start:
    fresh = program.initial_state(config)
    if resume_from is None:
        return _Start(0, fresh, None)
    restored = checkpoint.restore(Path(resume_from["directory"]), fresh, at_most=resume_from.get("step"))
    if restored is None:
        return _Start(0, fresh, None)
    return _Start(restored.step, program.place(restored.state), restored.step)


def _padded(images: np.ndarray, labels: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A batch of exactly `size`: zeros for what is missing, and weights that say which are real."""
    weights = np.ones(size, np.float32)
    missing = size - len(labels)
    if missing:
        weights[len(labels) :] = 0.0
        images = np.concatenate([images, np.zeros((missing, *images.shape[1:]), images.dtype)])
        labels = np.concatenate([labels, np.zeros(missing, labels.dtype)])
    return images, labels, weights


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
