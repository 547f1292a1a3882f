"""The training loop: batch after batch, and between them checkpoints, evaluations, reports and the wish to stop."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import jax
import numpy as np

from scaling.fault_points import reached
from scaling.outcomes import AttemptOutcome
from trainer import data, models
from trainer.audit import Recorder
from trainer.checkpoint import NotFinite, Writer, Written
from trainer.checkpoint.snapshot import take_snapshot
from trainer.clock import Clock, Pace, peak_flops
from trainer.config import TrainConfig
from trainer.data.loader import Loader
from trainer.distributed import Accord
from trainer.evaluate import Scores, evaluate
from trainer.execution import Execution
from trainer.optimizers import learning_rate_at
from trainer.program import Program, StepMetrics
from trainer.start import Start, devices_of

__all__ = ["Event", "Loop"]

Event = dict[str, Any]

LOG_POINTS = 50
"""Points on a run's curves; the loss is fetched from the device that often."""

_LAG = 16
"""Steps that may be under way before the loop waits for the oldest one's word that its numbers are finite."""


class _Diverged(Exception):
    """A number that is none; `str` is the reason."""


class Loop:
    """One attempt's loop. `run` it once, then `finish` it when it got to the end.

    Args:
        execution: who reads the held-out split, and what becomes of an example that cannot be read.
        dataset: its validation split is evaluated.
        batches: this process's share of the batches from `first_step` on. recorder: writes down what was in them.
        start: where the attempt begins, and what came before.
        evaluate_after: steps after which the held-out loss is taken, besides the last.
        checkpoint_at: steps after which a checkpoint is due, whatever the clock says.
        clock: of the attempt; some of it may have passed in a loop that ran out of memory.
    """

    def __init__(
        self,
        *,
        config: TrainConfig,
        program: Program,
        execution: Execution,
        dataset: data.Dataset,
        order: data.Order,
        batches: Loader,
        recorder: Recorder,
        start: Start,
        writer: Writer,
        accord: Accord,
        life: str,
        evaluate_after: Sequence[int],
        checkpoint_at: Sequence[int],
        checkpoint_interval: float,
        clock: Clock,
        emit: Callable[[Event], None],
    ) -> None:
        self.config, self.program, self.dataset, self.order = config, program, dataset, order
        self.step, self.state, self.checkpoint_step = start.step, start.state, start.checkpoint_step
        self.clock = clock
        self.saved_train_seconds = clock.train
        self._batches, self._recorder, self._writer, self._accord, self._life = batches, recorder, writer, accord, life
        self._execution = execution
        self._identity, self._history = start.identity, start.history
        self._train_seconds_before = start.history.train_seconds - clock.train
        self._evaluate_after = set(evaluate_after) - {row["step"] for row in start.history.evaluations}
        self._checkpoint_at = frozenset(checkpoint_at)
        self._interval, self._emit = checkpoint_interval, emit
        self._first_step = self._saved_step = start.step
        self._saved_at = time.perf_counter()
        self._seconds_at: dict[int, float] = {}
        self._unsettled: deque[tuple[int, StepMetrics]] = deque()
        self._log_every = max(1, order.steps // LOG_POINTS)
        self._logged = (start.step, clock.train, batches.stalled_seconds)
        self._flops_per_example = _flops_per_example(config)
        self._peak_flops = peak_flops(devices_of(program.mesh))

    @property
    def train_loss(self) -> float | None:
        """Of the last step that was logged, in whichever attempt."""
        return self._history.progress[-1]["train_loss"] if self._history.progress else None

    @property
    def useful_seconds(self) -> float:
        """Of training, over all attempts, each surviving step once."""
        return self._train_seconds_before + self.clock.train

    def run(self, should_stop: Callable[[], bool]) -> tuple[AttemptOutcome, str]:
        """Until the last step, a request to stop, or a number that is none."""
        self._saved_at = time.perf_counter()
        with self.clock.training():
            try:
                return self._run(should_stop)
            except _Diverged as diverged:
                return AttemptOutcome.DIVERGED, str(diverged)

    def _run(self, should_stop: Callable[[], bool]) -> tuple[AttemptOutcome, str]:
        while self.step < self.order.steps:
            self._settle()
            self._take_outcome()
            if self.step in self._evaluate_after and self._evaluate(should_stop) is None:
                return self._stopped()  # it is evaluated when the run goes on
            due = time.perf_counter() - self._saved_at > self._interval and not self._writer.busy
            stop, due = self._accord.decide(self.step, stop=should_stop(), checkpoint=due)
            if stop:
                return self._stopped()
            if (due or self.step in self._checkpoint_at) and self.step > self._saved_step:
                self._checkpoint()
            self._take_step()
        if self.step > self._saved_step:
            self._checkpoint()
        return AttemptOutcome.FINISHED, ""

    def finish(self, should_stop: Callable[[], bool]) -> Scores | None:
        """The held-out loss at the last step, while its checkpoint is being written; None when asked to stop.

        Raises `OSError` when the checkpoint was refused.
        """
        scores = self._evaluate(should_stop)
        with self.clock.aside("checkpoint"):
            written = self._writer.take(wait=True)
        if written is not None:
            self._tell(written)
            if written.failure is not None:
                raise OSError(
                    f"the checkpoint of the last step, {written.step}, cannot be written: {written.failure}"
                    f" (the one before is of step {self.checkpoint_step})"
                ) from written.failure
        return scores

    # -- a step ------------------------------------------------------------------------------------------------------------------

    def _take_step(self) -> None:
        reached("step")
        if self.step * self.config.batch_size % self.order.examples < self.config.batch_size:
            reached("epoch")
        batch = next(self._batches)
        rate, seed, step = np.float32(self._learning_rate(self.step)), np.uint32(self.config.seed), np.uint32(self.step)
        arrays = self.program.place_batch(*self.program.batch_arrays(batch))
        self.state, metrics = self.program.train_step(self.state, *arrays, rate, seed, step)
        self._recorder.record_batch(batch)
        self.step += 1
        self._unsettled.append((self.step, metrics))
        if self.step == self.order.steps or self.step % self._log_every == 0:
            self._report(float(metrics.loss))

    def _settle(self, *, wait: bool = False) -> None:
        """Hear of steps that are done whether their numbers were finite; of all of them, or of those that have come to it."""
        while self._unsettled:
            step, metrics = self._unsettled[0]
            if not (wait or len(self._unsettled) > _LAG or metrics.finite.is_ready()):  # type: ignore[attr-defined]
                return
            self._unsettled.popleft()
            if not metrics.finite:
                self.step = step
                what = self.program.name_non_finite(metrics)
                raise _Diverged(f"{what} is not finite at step {step} of {self.order.steps}{self._last_good()}")

    def _learning_rate(self, step: int) -> float:
        return learning_rate_at(
            step,
            peak=self.config.learning_rate,
            steps=self.order.steps,
            warmup_steps=self.config.warmup_steps,
            schedule=self.config.schedule.name,
            decay_fraction=self.config.schedule.decay_fraction,
        )

    def _report(self, loss: float) -> None:
        """A point on the curves. Fetching the loss has waited for the device, so the clock is right."""
        step, seconds, stalled = self.step, self.clock.train, self._batches.stalled_seconds
        before, seconds_before, stalled_before = self._logged
        self._logged = (step, seconds, stalled)
        pace = Pace.of(
            steps=step - before,
            examples=min(step * self.config.batch_size, self.order.total) - before * self.config.batch_size,
            seconds=seconds - seconds_before,
            stalled_seconds=stalled - stalled_before,
            flops_per_example=self._flops_per_example,
            peak=self._peak_flops,
        )
        row = {"step": step, "train_loss": loss if math.isfinite(loss) else None, "learning_rate": self._learning_rate(step - 1)}
        row |= asdict(pace)
        self._history.progress.append(row)
        self._emit({"kind": "progress", "steps": self.order.steps, "train_seconds": seconds, **row})

    # -- between steps -----------------------------------------------------------------------------------------------------------

    def _evaluate(self, should_stop: Callable[[], bool]) -> Scores | None:
        jax.block_until_ready(self.state)
        with self.clock.aside("evaluation"):
            scores = evaluate(self.program, self.state.evaluated, self.dataset, self._execution, should_stop=should_stop)
        if scores is None:
            return None
        row = {"step": self.step, "split": "validation", **scores.to_dict()}
        self._history.evaluations.append(row)
        self._emit({"kind": "evaluated", **row})
        return scores

    def _stopped(self) -> tuple[AttemptOutcome, str]:
        """Asked to stop: save what there is to save, and say how far that is."""
        failure = None
        if self.step > self._saved_step:
            self._checkpoint()
        with self.clock.aside("checkpoint"):
            if (written := self._writer.take(wait=True)) is not None:
                self._tell(written)
                failure = written.failure
        if failure is None:
            return AttemptOutcome.INTERRUPTED, "asked to stop"
        return AttemptOutcome.INTERRUPTED, f"asked to stop; the checkpoint cannot be written: {failure}{self._last_good()}"

    def _checkpoint(self) -> None:
        """Copy the state to the host, and leave the writing to the writer."""
        jax.block_until_ready(self.state)
        self._settle(wait=True)
        with self.clock.aside("checkpoint"):
            self._take_outcome(wait=True)
            self._recorder.flush()  # what entered these steps is on disk before the steps count
            train_seconds = self.clock.train
            self._history.checkpoints += 1
            examples = min(self.step * self.config.batch_size, self.order.total)
            counters = {
                **self._identity,
                "checkpoint": self._history.checkpoints,
                "examples_seen": examples,
                "position": examples,
                "train_seconds": self._train_seconds_before + train_seconds,
                "progress": list(self._history.progress),
                "evaluations": list(self._history.evaluations),
            }
            self._writer.submit(take_snapshot(self.state, step=self.step, counters=counters, life=self._life))
            self._seconds_at[self.step] = train_seconds
            self._saved_step, self._saved_at = self.step, time.perf_counter()

    def _take_outcome(self, *, wait: bool = False) -> None:
        if (written := self._writer.take(wait=wait)) is not None:
            self._tell(written)

    def _tell(self, written: Written) -> None:
        if isinstance(written.failure, NotFinite):
            raise _Diverged(f"{written.failure.array} is not finite after step {written.step}{self._last_good()}")
        event: Event = {
            "step": written.step,
            "train_seconds": self._seconds_at.pop(written.step),
            "checkpoint_seconds": self.clock.checkpoint,
            "write_seconds": written.seconds,
        }
        if written.failure is not None:
            self._saved_step = self._first_step  # tried again when it is due, or when asked to stop
            self._emit({"kind": "checkpoint_failed", "reason": str(written.failure), **event})
            return
        self.checkpoint_step, self.saved_train_seconds = written.step, event["train_seconds"]
        self._emit({"kind": "checkpoint", "bytes": written.bytes, **event})

    def _last_good(self) -> str:
        return (
            "; there is no checkpoint"
            if self.checkpoint_step is None
            else f"; the last good checkpoint is of step {self.checkpoint_step}"
        )


def _flops_per_example(config: TrainConfig) -> float:
    """6 × MACs: forward 2, backward 4 a MAC."""
    family, card = models.family(config.model.family), config.data.card
    macs = family.macs(config.model.name, config.model.options, num_classes=card.num_classes, image_shape=card.image_shape)
    return 6.0 * macs
