"""The training loop of several runs at once: one program takes their steps, each has a journal of its own.

The runs stand at the same step. One whose numbers leave the finite ones is over; the others go on, and its place in the program idles.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TypeVar

import jax
import numpy as np

from scaling.fault_points import reached
from scaling.outcomes import AttemptOutcome
from trainer import data
from trainer.data.batch import Batch
from trainer.data.loader import Loader
from trainer.evaluate import Scores, evaluate
from trainer.execution import Execution
from trainer.journal import Diverged, Journal
from trainer.loop import LAG
from trainer.program import Program, StepMetrics, TrainState

__all__ = ["Feed", "MemberEnding", "PackedLoop"]

T = TypeVar("T")


class Feed:
    """The batches of all runs, step for step. Runs of one seed see the same examples in the same order, so they share a loader."""

    def __init__(self, loaders: Mapping[int, Loader], seeds: Sequence[int]) -> None:
        self._loaders, self._seeds = loaders, seeds

    def __next__(self) -> list[Batch]:
        read = {seed: next(loader) for seed, loader in self._loaders.items()}
        return [read[seed] for seed in self._seeds]

    @property
    def stalled_seconds(self) -> float:
        """Time that was spent waiting for batches."""
        return sum(loader.stalled_seconds for loader in self._loaders.values())


@dataclass(frozen=True)
class MemberEnding:
    """How a run of the pack ended, after `step` steps."""

    outcome: AttemptOutcome
    reason: str
    step: int
    scores: Scores | None = None


class PackedLoop:
    """`run` it once.

    Args:
        journals: one a run, all on one clock.
        program: of as many runs.
        states: of all runs, with a leading axis, on the device.
        step: that the runs stand at. members: those of the runs that do stand there; the others are over before it begins.
        on_end: called with a run's place and how it ended; for all that go on to the end, after the last of them was evaluated.
    """

    def __init__(
        self,
        *,
        journals: Sequence[Journal],
        program: Program,
        execution: Execution,
        dataset: data.Dataset,
        feed: Feed,
        states: TrainState,
        step: int,
        members: Sequence[int],
        checkpoint_interval: float,
        on_end: Callable[[int, MemberEnding], None],
    ) -> None:
        self.step, self.states = step, states
        self._journals, self._program, self._execution, self._dataset = journals, program, execution, dataset
        self._feed, self._interval, self._on_end = feed, checkpoint_interval, on_end
        self._members = list(members)
        self._steps, self._clock = journals[0].order.steps, journals[0].clock
        self._unsettled: deque[tuple[int, StepMetrics]] = deque()

    def run(self, should_stop: Callable[[int], bool]) -> None:
        """Until each run is over: at the last step, at a request to stop, or at a number that is none.

        should_stop: of the run in this place. One that is asked to leaves the others, which go on.

        Raises `OSError` when the checkpoint of the last step was refused.
        """
        self._for_each(Journal.wait_anew)
        with self._clock.training() if self.step < self._steps else nullcontext():  # no step, no useful seconds
            got_there = self._train(should_stop)
        if not got_there:
            endings = self._interrupted(self._members)
        else:
            scores = self._evaluate(lambda: all(map(should_stop, self._members)))
            self._for_each(Journal.await_last)
            endings = {index: MemberEnding(AttemptOutcome.FINISHED, "", self.step, scores.get(index)) for index in self._members}
        for index, ending in endings.items():
            self._on_end(index, ending)

    def _train(self, should_stop: Callable[[int], bool]) -> bool:
        """Whether the runs got to the last step; if not, all were asked to stop. Their last state is with the writers then."""
        while self.step < self._steps and self._members:
            self._settle()
            self._for_each(Journal.take_outcome)
            evaluated = self._evaluate_on_the_way(lambda: all(map(should_stop, self._members)))
            leaving = [index for index in self._members if should_stop(index)]
            if not evaluated or len(leaving) == len(self._members):
                self._checkpoint()
                return False
            if leaving:
                self._checkpoint(leaving)
                still_there = [
                    index for index in leaving if index in self._members
                ]  # the last steps may have shown that one diverged
                for index, ending in self._interrupted(still_there).items():
                    self._members.remove(index)
                    self._on_end(index, ending)
            due = all(journal.checkpoint_due(self._interval) for journal in self._left())
            if due or any(journal.wants_checkpoint(self.step) for journal in self._left()):
                self._checkpoint()
            if self._members:
                self._take_step()
        self._checkpoint()
        return True

    # -- a step ------------------------------------------------------------------------------------------------------------------

    def _take_step(self) -> None:
        reached("step")
        batches = next(self._feed)
        arrays = [np.stack(parts) for parts in zip(*map(self._program.batch_arrays, batches), strict=True)]
        rates = np.array([journal.learning_rate(self.step) for journal in self._journals], np.float32)
        seeds = np.array([journal.config.seed for journal in self._journals], np.uint32)
        self.states, metrics = self._program.train_step(self.states, *arrays, rates, seeds, np.uint32(self.step))
        for index in self._members:
            self._journals[index].record(batches[index])
        self.step += 1
        self._unsettled.append((self.step, metrics))
        if self._journals[0].is_logged(self.step):
            losses, stalled = np.asarray(metrics.loss), self._feed.stalled_seconds / len(self._journals)
            for index in self._members:
                self._journals[index].report(self.step, float(losses[index]), stalled_seconds=stalled)

    def _settle(self, *, wait: bool = False) -> None:
        """Hear of steps that are done whether their numbers were finite; a run is over at its first one that was not."""
        while self._unsettled:
            step, metrics = self._unsettled[0]
            if not (wait or len(self._unsettled) > LAG or metrics.finite.is_ready()):  # type: ignore[attr-defined]
                return
            self._unsettled.popleft()
            finite = np.asarray(metrics.finite)
            for index in [index for index in self._members if not finite[index]]:
                of_run = StepMetrics(*(np.asarray(values)[index] for values in metrics))
                diverged = self._journals[index].not_finite(self._program.name_non_finite(of_run), step)
                self._diverged(index, diverged, step)

    # -- between steps -----------------------------------------------------------------------------------------------------------

    def _evaluate_on_the_way(self, should_stop: Callable[[], bool]) -> bool:
        """False when asked to stop in the middle of it: those that were not told are evaluated when their runs go on."""
        wanting = [index for index in self._members if self._journals[index].wants_evaluation(self.step)]
        return not wanting or len(self._evaluate(should_stop, wanting)) == len(wanting)

    def _evaluate(self, should_stop: Callable[[], bool], members: Sequence[int] | None = None) -> dict[int, Scores]:
        """The held-out loss of each run; of fewer when asked to stop."""
        found: dict[int, Scores] = {}
        jax.block_until_ready(self.states)
        for index in list(self._members if members is None else members):
            with self._clock.aside("evaluation"):
                params = self._program.member(self.states, index).evaluated
                scores = evaluate(self._program, params, self._dataset, self._execution, should_stop=should_stop)
            if scores is None:
                break
            self._journals[index].evaluated(self.step, scores)
            found[index] = scores
        return found

    def _checkpoint(self, members: Sequence[int] | None = None) -> None:
        """Of every run, or of these, that has taken a step since its last one."""
        wanted = set(self._members if members is None else members)
        if all(self._journals[index].saved_step >= self.step for index in wanted):
            return
        jax.block_until_ready(self.states)
        self._settle(wait=True)
        for index in [index for index in self._members if index in wanted]:
            if self._journals[index].saved_step < self.step:
                with self._clock.aside("checkpoint"):
                    state = jax.block_until_ready(self._program.member(self.states, index))
                self._guarded(index, lambda journal, state=state: journal.checkpoint(state, self.step))  # type: ignore[misc]

    def _interrupted(self, members: Sequence[int]) -> dict[int, MemberEnding]:
        """Of runs whose last state is with their writers; not of one whose state proves to be none."""
        reasons = {index: self._guarded(index, Journal.stopped) for index in list(members)}
        return {
            index: MemberEnding(AttemptOutcome.INTERRUPTED, reason, self.step)
            for index, reason in reasons.items()
            if reason is not None
        }

    def _left(self) -> list[Journal]:
        return [self._journals[index] for index in self._members]

    def _for_each(self, act: Callable[[Journal], T]) -> dict[int, T]:
        """What `act` gives for each run that is left after it."""
        answers = {index: self._guarded(index, act) for index in list(self._members)}
        return {index: answer for index, answer in answers.items() if index in self._members}  # type: ignore[misc]

    def _guarded(self, index: int, act: Callable[[Journal], T]) -> T | None:
        """A checkpoint may prove to hold numbers that are none: then the run is over."""
        try:
            return act(self._journals[index])
        except Diverged as diverged:
            self._diverged(index, diverged, self.step)
            return None

    def _diverged(self, index: int, diverged: Diverged, step: int) -> None:
        self._members.remove(index)
        self._on_end(index, MemberEnding(AttemptOutcome.DIVERGED, str(diverged), step))
