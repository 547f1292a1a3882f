"""The training loop: batch after batch, and between them checkpoints, evaluations, reports and requests to stop.

It is the same for one run and for several that one program trains at once. They are at the same step, and each has a journal of its own.
A run with a number that is not finite is over, and so is one that is asked to stop; the others go on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TypeVar

import jax
import numpy as np

from scaling.fault_points import reached
from scaling.outcomes import AttemptOutcome
from trainer import data
from trainer.data.loader import Loader, open_loader
from trainer.distributed import Accord
from trainer.evaluate import Scores, evaluate
from trainer.execution import Execution
from trainer.journal import Diverged, Ending, Journal
from trainer.program import Program, StepMetrics
from trainer.start import Start

__all__ = ["LAG", "Loop"]

LAG = 16
"""Steps that may be under way before a loop waits until the oldest one has said whether its numbers are finite."""

T = TypeVar("T")


class Loop:
    """Takes the steps of one attempt of each run. `run` it once, and `close` it.

    Args:
        journals: one a run, all on one clock; they keep what happens. Below, a run is known by its place among them.
        program: of as many runs.
        execution: who reads the examples, and what becomes of one that cannot be read.
        dataset: the runs are trained on one split and evaluated on the other.
        starts: where each run begins.
        checkpoint_interval: seconds between checkpoints.
    """

    def __init__(
        self,
        journals: Sequence[Journal],
        program: Program,
        *,
        execution: Execution,
        dataset: data.Dataset,
        starts: Sequence[Start],
        checkpoint_interval: float,
    ) -> None:
        self._journals, self._program, self._execution, self._dataset = journals, program, execution, dataset
        self.state, self.step, self._apart = program.begin(starts)
        self._members = [index for index in range(len(journals)) if index not in self._apart]
        self._endings: dict[int, Ending] = {}
        self._interval, self._accord = checkpoint_interval, Accord(program.mesh, first_step=self.step)
        self._loaders = self._open_loaders()
        self._seeds = [journal.config.seed for journal in journals]
        self._order, self._clock = journals[0].order, journals[0].clock
        self._unsettled: deque[tuple[int, StepMetrics]] = deque()

    def run(self, should_stop: Callable[[int], bool]) -> dict[int, Ending]:
        """Train until each run is over: at the last step, at a request to stop, or at a number that is not finite.

        should_stop: asked with a run's place.

        Returns the endings of the runs that were not over before the loop was; the journals of the others were told when they were over.
        Raises `OSError` when the checkpoint of the last step was refused.
        """
        for index, reason in self._apart.items():
            self._journals[index].end(Ending(AttemptOutcome.INTERRUPTED, reason, self._journals[index].first_step))
        self._each(Journal.wait_anew)
        with self._clock.training() if self.step < self._order.steps else nullcontext():  # no step, no useful seconds
            got_there = self._train(should_stop)
        if got_there:
            scores = self._evaluate(should_stop, self._members)  # while the last checkpoints are being written
            self._each(Journal.await_last)
            endings = {index: Ending(AttemptOutcome.FINISHED, "", self.step, scores.get(index)) for index in self._members}
        else:
            reasons = self._each(Journal.stopped)
            endings = {index: Ending(AttemptOutcome.INTERRUPTED, reason, self.step) for index, reason in reasons.items()}
        return self._endings | endings

    def close(self) -> None:
        """Stop reading ahead."""
        for loader in self._loaders.values():
            loader.close()

    def _open_loaders(self) -> dict[int, Loader]:
        """Open one loader a seed: runs of one seed see the same batches. The loaders share the workers among them."""
        by_seed = {journal.config.seed: journal for journal in self._journals}
        workers = self._execution.workers and max(1, self._execution.workers // len(by_seed))
        execution, examples, shard = replace(self._execution, workers=workers), self._dataset.train, self._program.placement.shard
        return {
            seed: open_loader(
                examples, journal.order, config=journal.config, execution=execution, first_step=self.step, shard=shard
            )
            for seed, journal in by_seed.items()
        }

    def _train(self, should_stop: Callable[[int], bool]) -> bool:
        """Take the steps, and say whether the runs got to the last one; if not, all were asked to stop.

        Their last state is with the writers then.
        """
        while self._members and self.step < self._order.steps:
            self._settle()
            self._each(Journal.take_outcome)
            wanting = [index for index in self._members if self._journals[index].wants_evaluation(self.step)]
            # What was asked to stop in the middle of an evaluation is evaluated when it goes on.
            if len(self._evaluate(should_stop, wanting)) < len(wanting) or self._asked_to_stop(should_stop):
                self._checkpoint(self._members)
                return False
            if self._members:
                self._take_step()
        self._checkpoint(self._members)
        return True

    def _asked_to_stop(self, should_stop: Callable[[int], bool]) -> bool:
        """Say whether all are to stop. If not, let those go that were asked to, and checkpoint what is due."""
        if not self._members:
            return False
        due = all(self._journals[index].checkpoint_due(self._interval) for index in self._members)
        leaving = [index for index in self._members if should_stop(index)]
        stop, due = self._accord.decide(self.step, stop=leaving == self._members, checkpoint=due)
        if stop:
            return True
        if leaving and leaving != self._members:
            self._checkpoint(leaving)
            for index, reason in self._each(Journal.stopped, leaving).items():
                self._leave(index, Ending(AttemptOutcome.INTERRUPTED, reason, self.step))
        if due or any(self._journals[index].wants_checkpoint(self.step) for index in self._members):
            self._checkpoint(self._members)
        return False

    def _take_step(self) -> None:
        reached("step")
        batch_size = self._journals[0].config.batch_size
        if self.step * batch_size % self._order.examples < batch_size:
            reached("epoch")
        read = {seed: next(loader) for seed, loader in self._loaders.items()}
        batches = [read[seed] for seed in self._seeds]
        rates = [journal.learning_rate(self.step) for journal in self._journals]
        self.state, metrics = self._program.take_step(self.state, batches, rates, self._seeds, self.step)
        for index in self._members:
            self._journals[index].record(batches[index])
        self.step += 1
        self._unsettled.append((self.step, metrics))
        if self._journals[0].is_logged(self.step):
            losses = np.asarray(metrics.loss).reshape(-1)
            stalled = sum(loader.stalled_seconds for loader in self._loaders.values()) / len(self._journals)
            for index in self._members:
                self._journals[index].report(self.step, float(losses[index]), stalled_seconds=stalled)

    def _settle(self, *, wait: bool = False) -> None:
        """Check whether the numbers of the steps that are done were finite. wait: of all steps under way.

        A run is over at its first step whose numbers were not.
        """
        while self._unsettled and self._members:
            step, metrics = self._unsettled[0]
            if not (wait or len(self._unsettled) > LAG or metrics.finite.is_ready()):  # type: ignore[attr-defined]
                return
            self._unsettled.popleft()
            finite = np.asarray(metrics.finite).reshape(-1)
            for index in [index for index in self._members if not finite[index]]:
                what = self._program.name_non_finite(self._program.metrics_of(metrics, index))
                self._leave(index, Ending(AttemptOutcome.DIVERGED, self._journals[index].not_finite(what, step), step))

    def _evaluate(self, should_stop: Callable[[int], bool], members: Sequence[int]) -> dict[int, Scores]:
        """Take the held-out loss of each of these runs; of fewer when all were asked to stop."""
        found: dict[int, Scores] = {}
        if members:
            jax.block_until_ready(self.state)
        for index in members:
            with self._clock.aside("evaluation"):
                variables = self._program.member(self.state, index).evaluated
                scores = evaluate(
                    self._program,
                    variables,
                    self._dataset,
                    self._execution,
                    should_stop=lambda: all(map(should_stop, self._members)),
                )
            if scores is None:
                break
            self._journals[index].evaluated(self.step, scores)
            found[index] = scores
        return found

    def _checkpoint(self, members: Sequence[int]) -> None:
        """Checkpoint each of these runs that has taken a step since its last one."""
        wanted = [index for index in members if self._journals[index].saved_step < self.step]
        if not wanted:
            return
        jax.block_until_ready(self.state)
        self._settle(wait=True)
        for index in [index for index in wanted if index in self._members]:
            with self._clock.aside("checkpoint"):
                state = jax.block_until_ready(self._program.member(self.state, index))
            self._each(partial(Journal.checkpoint, state=state, step=self.step), [index])

    def _each(self, act: Callable[[Journal], T], members: Sequence[int] | None = None) -> dict[int, T]:
        """Return what `act` gives for all runs, or for these.

        A run is over when its checkpoint proves to hold a number that is not finite.
        """
        answers: dict[int, T] = {}
        for index in [index for index in self._members if members is None or index in members]:
            try:
                answers[index] = act(self._journals[index])
            except Diverged as diverged:
                self._leave(index, Ending(AttemptOutcome.DIVERGED, str(diverged), self.step))
        return answers

    def _leave(self, index: int, ending: Ending) -> None:
        """Take a run that is over out of the loop. It is told at once when others go on, else when its writer is closed."""
        self._members.remove(index)
        if self._members:
            self._journals[index].end(ending)
        else:
            self._endings[index] = ending
