"""The training loop: batch after batch, and between them checkpoints, evaluations, reports and the wish to stop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import nullcontext

import jax
import numpy as np

from scaling.fault_points import reached
from scaling.outcomes import AttemptOutcome
from trainer import data
from trainer.data.loader import Loader
from trainer.distributed import Accord
from trainer.evaluate import Scores, evaluate
from trainer.execution import Execution
from trainer.journal import Diverged, Journal
from trainer.program import Program, StepMetrics
from trainer.start import Start

__all__ = ["LAG", "Loop"]

LAG = 16
"""Steps that may be under way before a loop waits for the oldest one's word that its numbers are finite."""


class Loop:
    """One attempt's loop. `run` it once, then `finish` it when it got to the end.

    Args:
        journal: of the run; keeps what happens.
        execution: who reads the held-out split, and what becomes of an example that cannot be read.
        dataset: its validation split is evaluated.
        batches: this process's share of the batches from the start's step on.
        checkpoint_interval: seconds between checkpoints.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        program: Program,
        execution: Execution,
        dataset: data.Dataset,
        batches: Loader,
        start: Start,
        accord: Accord,
        checkpoint_interval: float,
    ) -> None:
        self.journal, self.program, self.dataset = journal, program, dataset
        self.step, self.state = start.step, start.state
        self._execution, self._batches, self._accord, self._interval = execution, batches, accord, checkpoint_interval
        self._steps, self._clock = journal.order.steps, journal.clock
        self._unsettled: deque[tuple[int, StepMetrics]] = deque()

    def run(self, should_stop: Callable[[], bool]) -> tuple[AttemptOutcome, str]:
        """Until the last step, a request to stop, or a number that is none."""
        self.journal.wait_anew()
        with self._clock.training() if self.step < self._steps else nullcontext():  # no step, no useful seconds
            try:
                return self._run(should_stop)
            except Diverged as diverged:
                return AttemptOutcome.DIVERGED, str(diverged)

    def _run(self, should_stop: Callable[[], bool]) -> tuple[AttemptOutcome, str]:
        journal = self.journal
        while self.step < self._steps:
            self._settle()
            journal.take_outcome()
            if journal.wants_evaluation(self.step) and self._evaluate(should_stop) is None:
                return self._stopped()  # it is evaluated when the run goes on
            due = journal.checkpoint_due(self._interval)
            stop, due = self._accord.decide(self.step, stop=should_stop(), checkpoint=due)
            if stop:
                return self._stopped()
            if (due or journal.wants_checkpoint(self.step)) and self.step > journal.saved_step:
                self._checkpoint()
            self._take_step()
        if self.step > journal.saved_step:
            self._checkpoint()
        return AttemptOutcome.FINISHED, ""

    def finish(self, should_stop: Callable[[], bool]) -> Scores | None:
        """The held-out loss at the last step, while its checkpoint is being written; None when asked to stop.

        Raises `OSError` when the checkpoint was refused.
        """
        scores = self._evaluate(should_stop)
        self.journal.await_last()
        return scores

    def _take_step(self) -> None:
        reached("step")
        if self.step * self.journal.config.batch_size % self.journal.order.examples < self.journal.config.batch_size:
            reached("epoch")
        batch, journal = next(self._batches), self.journal
        rate, seed, step = np.float32(journal.learning_rate(self.step)), np.uint32(journal.config.seed), np.uint32(self.step)
        arrays = self.program.place_batch(*self.program.batch_arrays(batch))
        self.state, metrics = self.program.train_step(self.state, *arrays, rate, seed, step)
        journal.record(batch)
        self.step += 1
        self._unsettled.append((self.step, metrics))
        if journal.is_logged(self.step):
            journal.report(self.step, float(metrics.loss), stalled_seconds=self._batches.stalled_seconds)

    def _settle(self, *, wait: bool = False) -> None:
        """Hear of steps that are done whether their numbers were finite; of all of them, or of those that have come to it."""
        while self._unsettled:
            step, metrics = self._unsettled[0]
            if not (wait or len(self._unsettled) > LAG or metrics.finite.is_ready()):  # type: ignore[attr-defined]
                return
            self._unsettled.popleft()
            if not metrics.finite:
                self.step = step
                raise self.journal.not_finite(self.program.name_non_finite(metrics), step)

    def _evaluate(self, should_stop: Callable[[], bool]) -> Scores | None:
        jax.block_until_ready(self.state)
        with self._clock.aside("evaluation"):
            scores = evaluate(self.program, self.state.evaluated, self.dataset, self._execution, should_stop=should_stop)
        if scores is not None:
            self.journal.evaluated(self.step, scores)
        return scores

    def _stopped(self) -> tuple[AttemptOutcome, str]:
        """Asked to stop: save what there is to save, and say how far that is."""
        if self.step > self.journal.saved_step:
            self._checkpoint()
        return AttemptOutcome.INTERRUPTED, self.journal.stopped()

    def _checkpoint(self) -> None:
        jax.block_until_ready(self.state)
        self._settle(wait=True)
        self.journal.checkpoint(self.state, self.step)
