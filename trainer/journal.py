"""What a run writes down while it trains: its curves, evaluations and checkpoints, and the events that tell of them.

A loop takes the steps and asks its run's journal, between them, to keep them. The journal of a run is the same whether it trains alone or
at once with others.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from scaling.accelerators import Accelerator
from scaling.fault_points import reached
from scaling.outcomes import NO_BETTER_THAN_GUESSING, AttemptOutcome
from trainer import data, models
from trainer.audit import Recorder
from trainer.checkpoint import Keep, NotFinite, Writer, Written
from trainer.checkpoint.snapshot import take_snapshot
from trainer.clock import Clock, Pace, peak_flops
from trainer.config import TrainConfig
from trainer.data.batch import Batch
from trainer.distributed import new_life
from trainer.evaluate import Scores
from trainer.events import Checkpoint, CheckpointFailed, Ended, Evaluated, Event, Progress
from trainer.models.counted import counted
from trainer.program import Program
from trainer.result import TrainResult
from trainer.schedules import learning_rate_at
from trainer.start import Start, devices_of
from trainer.storage import Storage

__all__ = ["Diverged", "Ending", "Journal"]

LOG_POINTS = 50
"""Points on a run's curves; the loss is fetched from the device that often."""


class Diverged(Exception):
    """Raised when a number of a run is not finite; `str` is the reason."""


@dataclass(frozen=True)
class Ending:
    """Says how a run ended, after `step` steps.

    scores: at the last step; None for a run that did not get there, or was asked to stop first.
    """

    outcome: AttemptOutcome
    reason: str
    step: int
    scores: Scores | None = None


class Journal:
    """Keeps what happens to one run in one attempt.

    Args:
        program: what trains it.
        start: where the attempt begins, and what came before.
        storage: of the attempt. keep: which checkpoints stay in it, besides those of `checkpoint_at`.
        clock: of the attempt; some of it may have passed in a loop that ran out of memory.
        evaluate_at: shares of the steps after which the held-out loss is taken, besides the last.
        checkpoint_at: steps after which a checkpoint is due, whatever the clock says.
        accelerators: that a user declared, see `trainer.train`.

    `result` is set by `end`. Close the journal in any case.
    """

    result: TrainResult

    def __init__(
        self,
        *,
        config: TrainConfig,
        program: Program,
        start: Start,
        storage: Storage,
        keep: Keep,
        clock: Clock,
        evaluate_at: Sequence[float],
        checkpoint_at: Sequence[int],
        emit: Callable[[Event], None],
        accelerators: Sequence[Accelerator] = (),
    ) -> None:
        self.config, self.order, self.clock = config, data.Order.of(config), clock
        self.first_step = self.saved_step = start.step
        self.checkpoint_step, self.saved_train_seconds = start.checkpoint_step, clock.train
        self._storage, self._shard, self._layout, self._emit = storage, program.placement.shard, program.layout, emit
        self._writer = Writer(storage, keep=replace(keep, steps=frozenset(checkpoint_at)), first_step=start.step)
        self._recorder = Recorder(storage.url, self.order, shard=self._shard, first_step=start.step)
        self._life = new_life(program.mesh)
        self._identity, self._history = start.identity, start.history
        self._skipped = set(start.history.skipped)
        self._train_seconds_before = start.history.train_seconds - clock.train
        self._evaluate_after = {math.ceil(share * self.order.steps) for share in evaluate_at}
        self._evaluate_after -= {row["step"] for row in start.history.evaluations}
        self._checkpoint_at = frozenset(checkpoint_at)
        self._saved_at = time.perf_counter()
        self._seconds_at: dict[int, float] = {}
        self._log_every = max(1, self.order.steps // LOG_POINTS)
        self._logged = (start.step, clock.train, 0.0)
        self._flops_per_example = _flops_per_example(config, program)
        self._peak_flops = peak_flops(devices_of(program.mesh), accelerators)

    @property
    def train_loss(self) -> float | None:
        """Return the training loss of the last step that was logged, in whichever attempt."""
        return self._history.progress[-1]["train_loss"] if self._history.progress else None

    @property
    def useful_seconds(self) -> float:
        """Return the seconds of training over all attempts, each surviving step once."""
        return self._train_seconds_before + self.clock.train

    def learning_rate(self, step: int) -> float:
        """Return the learning rate that step `step` is taken with."""
        return learning_rate_at(
            step,
            peak=self.config.learning_rate,
            steps=self.order.steps,
            warmup_steps=self.config.warmup_steps,
            schedule=self.config.schedule.schedule,
        )

    # -- curves ------------------------------------------------------------------------------------------------------------------

    def record(self, batch: Batch) -> None:
        """Record for the audit what has entered a step."""
        self._recorder.record_batch(batch)
        self._skipped.update(number for _, number, _ in batch.skipped)

    def is_logged(self, step: int) -> bool:
        """Say whether `report` wants the loss after this step."""
        return step == self.order.steps or step % self._log_every == 0

    def report(self, step: int, loss: float, *, stalled_seconds: float) -> None:
        """Add a point to the curves. Fetching the loss has waited for the device, so the clock is right.

        stalled_seconds: time that the attempt has waited for examples so far.
        """
        seconds = self.clock.train
        before, seconds_before, stalled_before = self._logged
        self._logged = (step, seconds, stalled_seconds)
        pace = Pace.of(
            steps=step - before,
            examples=self.examples_seen(step) - before * self.config.batch_size,
            seconds=seconds - seconds_before,
            stalled_seconds=stalled_seconds - stalled_before,
            flops_per_example=self._flops_per_example,
            peak=self._peak_flops,
        )
        finite = loss if math.isfinite(loss) else None
        row = {"step": step, "train_loss": finite, "learning_rate": self.learning_rate(step - 1), **asdict(pace)}
        self._history.progress.append(row)
        skipped = len(self._skipped) or None
        self._emit(Progress(steps=self.order.steps, train_seconds=seconds, skipped_examples=skipped, **row))

    def examples_seen(self, step: int) -> int:
        """Count the positions consumed before step `step`, since the start of the run."""
        return min(step * self.config.batch_size, self.order.total)

    # -- evaluations -------------------------------------------------------------------------------------------------------------

    def wants_evaluation(self, step: int) -> bool:
        """Say whether the held-out loss is due after `step` steps; false once it was told."""
        return step in self._evaluate_after

    def evaluated(self, step: int, scores: Scores) -> None:
        """Note and tell the held-out loss after `step` steps."""
        self._evaluate_after.discard(step)
        row = {"step": step, "split": "validation", **scores.to_dict()}
        self._history.evaluations.append(row)
        self._emit(Evaluated(**row))

    # -- checkpoints -------------------------------------------------------------------------------------------------------------

    def checkpoint_due(self, interval: float) -> bool:
        """Say whether `interval` seconds have passed since the last checkpoint, and none is being written."""
        return time.perf_counter() - self._saved_at > interval and not self._writer.busy

    def wants_checkpoint(self, step: int) -> bool:
        """Say whether other runs start from the state after `step` steps."""
        return step in self._checkpoint_at

    def wait_anew(self) -> None:
        """Count the time until the next checkpoint from now."""
        self._saved_at = time.perf_counter()

    def checkpoint(self, state: Any, step: int) -> None:
        """Copy the state to the host, and leave the writing to the writer.

        Raises `Diverged` when the checkpoint before had a number that is not finite.
        The device must have got there, and the step's numbers must have been found finite.
        """
        with self.clock.aside("checkpoint"):
            self.take_outcome(wait=True)
            refused = self._flushed()
            train_seconds = self.clock.train
            self._history.checkpoints += 1
            examples = self.examples_seen(step)
            counters = {
                **self._identity,
                "checkpoint": self._history.checkpoints,
                "examples_seen": examples,
                "position": examples,
                "train_seconds": self._train_seconds_before + train_seconds,
                "progress": list(self._history.progress),
                "evaluations": list(self._history.evaluations),
                "skipped": sorted(self._skipped),
            }
            if refused is None:
                self._writer.submit(take_snapshot(state, self._layout, step=step, counters=counters, life=self._life))
            else:
                self._writer.refuse(step, refused)
            self._seconds_at[step] = train_seconds
            self.saved_step = step
            self.wait_anew()

    def _flushed(self) -> OSError | None:
        """Write to disk what entered the steps, before they count. Return why that failed, if it did; it is kept for the next time."""
        try:
            self._recorder.flush()
        except OSError as failure:
            return failure
        return None

    def take_outcome(self, *, wait: bool = False) -> None:
        """Hear what came of the checkpoint begun last, if that is known, and tell it. Raises `Diverged`."""
        if (written := self._writer.take(wait=wait)) is not None:
            self._tell(written)

    def await_last(self) -> None:
        """Wait for the checkpoint of the last step. Raises `OSError` when it was refused, and `Diverged`."""
        with self.clock.aside("checkpoint"):
            written = self._writer.take(wait=True)
        if written is not None:
            self._tell(written)
            if written.failure is not None:
                raise OSError(
                    f"the checkpoint of the last step, {written.step}, cannot be written: {written.failure}"
                    f" (the one before is of step {self.checkpoint_step})"
                ) from written.failure

    def stopped(self) -> str:
        """Wait for the writer after the run was asked to stop. Return the reason, which says when the checkpoint was refused."""
        failure = None
        with self.clock.aside("checkpoint"):
            if (written := self._writer.take(wait=True)) is not None:
                self._tell(written)
                failure = written.failure
        return (
            "asked to stop" if failure is None else f"asked to stop; the checkpoint cannot be written: {failure}{self.last_good()}"
        )

    def _tell(self, written: Written) -> None:
        if isinstance(written.failure, NotFinite):
            raise Diverged(f"{written.failure.array} is not finite after step {written.step}{self.last_good()}")
        train_seconds = self._seconds_at.pop(written.step)
        told: dict[str, Any] = {"step": written.step, "train_seconds": train_seconds, "write_seconds": written.seconds}
        told["checkpoint_seconds"] = self.clock.checkpoint
        if written.failure is not None:
            self.saved_step = self.first_step  # tried again when it is due, or when asked to stop
            self._emit(CheckpointFailed(reason=str(written.failure), **told))
            return
        self.checkpoint_step, self.saved_train_seconds = written.step, train_seconds
        self._emit(Checkpoint(bytes=written.bytes, **told))

    def last_good(self) -> str:
        """Return the end of a sentence about what went wrong: which checkpoint is the last good one."""
        return (
            "; there is no checkpoint"
            if self.checkpoint_step is None
            else f"; the last good checkpoint is of step {self.checkpoint_step}"
        )

    def end(self, ending: Ending) -> None:
        """End the attempt: write its `result`, and tell it."""
        self.result = self._result(ending)
        if self._shard[0] == 0:
            self._storage.publish("result.json", json.dumps(self.result.to_dict(), indent=1).encode())
        reached("result-written")
        self._emit(Ended(step=ending.step, result=self.result))

    def close(self) -> None:
        """Wait for the checkpoint that is being written."""
        self._writer.close()

    def _result(self, ending: Ending) -> TrainResult:
        scores = ending.scores
        result = TrainResult(
            outcome=ending.outcome,
            reason=ending.reason,
            first_step=self.first_step,
            last_step=ending.step,
            checkpoint_step=self.checkpoint_step,
            examples_seen=self.examples_seen(ending.step),
            seconds=self.clock.seconds(),
            train_loss=self.train_loss,
            useful_seconds=self.useful_seconds,
        )
        if ending.outcome is not AttemptOutcome.FINISHED:
            return result
        if scores is None:
            return replace(result, outcome=AttemptOutcome.INTERRUPTED, reason="asked to stop; trained, but not evaluated yet")
        if not math.isfinite(scores.loss):
            return replace(result, outcome=AttemptOutcome.DIVERGED, reason=f"the validation loss is {scores.loss}")
        return replace(
            result,
            reason=_guess(scores),
            val_loss=scores.loss,
            val_top1=scores.top1,
            val_top5=scores.top5,
            chance_loss=scores.chance_loss,
            scores={"val_loss_standard_error": scores.standard_error},
        )

    def not_finite(self, what: str | None, step: int) -> str:
        """Say why the run is over: `what` (`Program.name_non_finite`) was not finite at step `step`."""
        return f"{what} is not finite at step {step} of {self.order.steps}{self.last_good()}"


def _guess(scores: Scores) -> str:
    """Say why a finished run has learnt nothing; empty where it has."""
    if not scores.is_guess:
        return ""
    return (
        f"{NO_BETTER_THAN_GUESSING}: val_loss {scores.loss:.4g} is not two standard errors ({scores.standard_error:.2g}) below chance_loss "
        f"{scores.chance_loss:.4g}, which guessing by the frequencies of the labels has"
    )


def _flops_per_example(config: TrainConfig, program: Program) -> float | None:
    """Return the FLOPs of training on one example, 6 × MACs: forward 2, backward 4 a MAC. None where neither family nor module tells."""
    family, card = models.family(config.model.family), config.data.card
    if family.macs is None:
        macs = counted(program.module, image_shape=card.image_shape).macs
    else:
        macs = family.macs(config.model.name, config.model.options, num_classes=card.num_classes, image_shape=card.image_shape)
    return None if macs is None else 6.0 * macs
