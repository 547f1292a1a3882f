"""One attempt as seen through its events: its progress, what to write down, its end and what that costs.

The scheduler feeds it live events, `recovery` feeds it those it finds in the attempt's folder. Both come to the same end, but for the
seconds before the trainer process took the run, which only the worker knows.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.messages import Alive, Died, Lost, Message, Placed, Raised, Refused, UnheardOf
from orchestrator.scheduling.liveness import Liveness, awake_seconds
from orchestrator.store import Session, ledger
from orchestrator.store.apart import FAULTS_OF_DATA
from orchestrator.store.interruptions import CHECKPOINT_COST
from orchestrator.store.ledger import Charge, Grant
from orchestrator.store.models import Attempt, Run
from orchestrator.store.skipped import SKIPPED
from scaling.outcomes import AttemptOutcome
from trainer import TrainResult
from trainer.events import Checkpoint, CheckpointFailed, Compiled, Ended, Evaluated, Progress, Reported, Started

__all__ = ["AttemptLog", "Ending"]

_logger = logging.getLogger(__name__)

_MOST_SECONDS = 1e10
_SCORES = ("step", "split", "loss", "top1", "top5", "examples", "seconds")
_RESULTS = ("val_loss", "val_top1", "val_top5", "train_loss", "chance_loss", "scores")
_CURVES = ("train_loss", "learning_rate", "examples_per_second", "step_seconds", "mfu", "input_stall", "memory_bytes")


@dataclass(frozen=True)
class Ending:
    """Says how an attempt ended, as `ledger.end_attempt` takes it.

    alone: its run is not packed with others any more. of_the_data: other runs of the same data will end so. by_itself: its process wants to be
    started again.
    """

    outcome: AttemptOutcome
    reason: str
    charge: Charge
    last_step: int | None
    result: Mapping[str, Any] | None = None
    alone: bool = False
    of_the_data: bool = False
    by_itself: bool = False

    def as_arguments(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("of_the_data", "by_itself")}


@dataclass
class AttemptLog:
    """Collects what an attempt's events tell. `take` an event, then `settling.settle` it; `ending` is set once the attempt is over.

    notice: why its node will be taken away, once that is known; then its end is no fault of the run's.
    is_told_over: its process has told its end. is_refused: an event of it could not be written down, which ended it.
    """

    grant: Grant
    step: int = 0
    steps: int = 0
    train_loss: float | None = None
    ending: Ending | None = None
    notice: str | None = None
    liveness: Liveness = field(default_factory=Liveness)
    is_told_over: bool = False
    is_refused: bool = False
    _hung: str | None = None
    _place: dict[str, Any] = field(default_factory=dict)
    _metrics: list[tuple[int, str, float | None]] = field(default_factory=list)
    _evaluations: list[dict[str, Any]] = field(default_factory=list)
    _first_step: int | None = None
    _checkpoint_step: int | None = None
    _checkpoints: list[tuple[int, float]] = field(default_factory=list)
    _train_seconds: float = 0.0
    _train_seconds_at_checkpoint: float = 0.0
    _useful_seconds_stored: float = 0.0
    _checkpoint_seconds: float = 0.0
    _wall_seconds: float = 0.0

    @classmethod
    def reopened(cls, attempt: Attempt, run: Run) -> AttemptLog:
        """Make the log of an attempt that another scheduler began; its events are to be taken from the first one on."""
        return cls(
            Grant(
                run.id,
                attempt.number,
                attempt.token,
                run.config,
                run.resources,
                run.options,
                attempt.resumed_from,
                attempt.first_step,
                run.parent_id,
                attempt.branched_from,
                packed=attempt.packed,
                store=attempt.store,
            )
        )

    def take(self, message: Message, *, node: str | None = None) -> None:
        """Update the log by one event; one that makes no sense ends the attempt. node: Ray's id of where its worker is."""
        self.is_told_over = self.is_told_over or message.event.is_last
        if not self.is_refused:
            try:
                self._take(message, node)
            except FAULTS_OF_DATA as error:
                self.refuse(f"{type(error).__name__}: {error}".splitlines()[0][:200])

    def _take(self, message: Message, node: str | None) -> None:
        event = message.event
        self.liveness.sign(awake_seconds(), trains=isinstance(event, Progress | Alive | Reported))
        if self.grant.resources.stated is None:  # else what it says of its own time is all there is
            seconds = message.wall_seconds or message.elapsed or 0.0
            self._wall_seconds = max(self._wall_seconds, seconds / self.grant.packed)  # the other times are shares already
        match event:
            case Placed():
                self._place = {name: value for name, value in vars(event).items() if name != "step"} | {"node": node}
                if self.grant.resources.kind.is_any:  # core-hours of two cards are not one number, so the run is called by its own
                    name, cores = self.grant.resources.given(event.device)
                    self._place |= {"accelerator": name[:40], "cores": cores}
            case Compiled():
                self._metrics.append((0, "compile_seconds", event.seconds))
            case Started():
                self.step = self._first_step = event.step
                self.steps = event.steps
            case Progress():
                self.step, self.steps, self.train_loss = event.step, event.steps, event.train_loss
                self._train_seconds = event.train_seconds
                self._metrics += [(event.step, name, getattr(event, name)) for name in _CURVES]
                if event.skipped_examples:
                    self._metrics.append((event.step, SKIPPED, event.skipped_examples))
            case Reported():
                self.step, self.steps, self._train_seconds = event.step, event.steps or self.steps, event.train_seconds
                self.train_loss = event.metrics.get("train_loss", self.train_loss)
                self._metrics += [(event.step, name, value) for name, value in event.metrics.items()]
                if (loss := event.metrics.get("val_loss")) is not None:
                    self._evaluations.append(_of_program(event, loss))
            case Checkpoint():
                self.step = max(self.step, event.step)  # it was told in between two points of the curves
                self._checkpoint_step = event.step
                self._checkpoints.append((event.step, event.train_seconds))
                self._train_seconds_at_checkpoint = event.train_seconds  # it was written while later steps were taken
                self._train_seconds = max(self._train_seconds, event.train_seconds)
                if event.write_seconds is not None:
                    self._metrics.append((event.step, CHECKPOINT_COST, self._cost_of(event)))
                self._checkpoint_seconds = event.checkpoint_seconds
            case CheckpointFailed():
                self._checkpoint_seconds = event.checkpoint_seconds
                _logger.warning("run %s: no checkpoint at step %d: %s", self.grant.run_id, event.step, event.reason)
            case Evaluated():
                self._evaluations.append({name: getattr(event, name) for name in _SCORES})
            case Ended():
                self.ending = self._ended(event.result)
            case Raised(storage=True):
                self.ending = self._broken(AttemptOutcome.STORAGE, event.reason)
            case Raised(of_the_pack=True):
                # Which of them it was about, and whether it would have happened without the others, shows when each is done alone.
                reason = f"the pack of {self.grant.packed} raised: {event.reason}; it goes on alone"
                self.ending = replace(self._broken(AttemptOutcome.INTERRUPTED, reason), alone=True)
            case Raised(of_the_group=True):
                pass  # in the folder of one of several hosts: another one's end may be why, which whoever holds them all decides
            case Raised():
                outcome = AttemptOutcome.OUT_OF_MEMORY if event.out_of_memory else AttemptOutcome.RAISED
                self.ending = replace(self._broken(outcome, event.reason), of_the_data=event.of_the_data)
            case Died():
                self.ending = self._broken(AttemptOutcome.DIED, self._hung or event.reason)
            case Lost():
                outcome = AttemptOutcome.PREEMPTED if event.preempted else AttemptOutcome.LOST
                self.ending = self._broken(outcome, event.reason)
            case Refused() | UnheardOf():
                self.ending = self._broken(AttemptOutcome.INTERRUPTED, event.reason)

    def refuse(self, why: str) -> Ending:
        """End the attempt, since something that it told cannot be written down: `why`. Only what is in the store counts then."""
        useful = _seconds(self._useful_seconds_stored)
        train, checkpoint = max(useful, _seconds(self._train_seconds)), _seconds(self._checkpoint_seconds)
        startup = max(0.0, _seconds(self._wall_seconds) - train - checkpoint)
        reason = f"what the run told cannot be written down: {why}".encode(errors="backslashreplace").decode().replace("\0", "\\0")
        charge = Charge(useful, train - useful, startup, 0.0, checkpoint)
        self.is_refused, self.ending = True, Ending(AttemptOutcome.RAISED, reason, charge, None)
        _logger.warning("run %s: %s", self.grant.run_id, reason)
        return self.ending

    def orphaned(self, reason: str) -> Ending:
        """Return the ending of an attempt whose scheduler went, and of which nothing more will be heard."""
        return self._broken(AttemptOutcome.ORPHANED, reason)

    def silence(self) -> str | None:
        """Return the reason why the attempt counts as hung, the first time only; None while it may be at work.

        The caller kills the attempt, which then ends with this reason.
        """
        if self.ending is not None or self._hung is not None:
            return None
        self._hung = self.liveness.judge(awake_seconds())
        return self._hung

    def given_up(self, reason: str) -> Ending:
        """Return the ending of an attempt that did not stop in time: no failure, but steps after its last checkpoint are lost."""
        return self._broken(AttemptOutcome.INTERRUPTED, reason)

    def _cost_of(self, checkpoint: Checkpoint) -> float:
        """Return the seconds until a checkpoint was safe: what it added to the training loop's total, and the writer's."""
        return max(0.0, checkpoint.checkpoint_seconds - self._checkpoint_seconds) + (checkpoint.write_seconds or 0.0)

    def write_progress(self, session: Session) -> None:
        """Write what `take` learnt since the last `written`; nothing counts when the token is no longer the run's."""
        ledger.record(
            session,
            self.grant.token,
            step=self.step or None,
            steps=self.steps or None if self.grant.config.get("program") else None,
            train_loss=self.train_loss,
            first_step=self._first_step,
            place=self._place,
            metrics=self._metrics,
            evaluations=self._evaluations,
            checkpoint_step=self._checkpoint_step,
            checkpoints=self._checkpoints,
        )

    def written(self) -> None:
        """Note that what `write_progress` wrote stays."""
        self._place, self._metrics, self._evaluations, self._checkpoints = {}, [], [], []
        self._first_step = self._checkpoint_step = None
        self._useful_seconds_stored = self._train_seconds_at_checkpoint

    def _ended(self, result: TrainResult) -> Ending:
        """Return the ending that the trainer itself reported; its steps count.

        An interrupted attempt checkpointed first, and a diverged one has no successor. Where the storage refused that checkpoint, the
        steps since the one before count as redone.
        """
        outcome, reason, seconds = result.outcome, result.reason, result.seconds
        if outcome is AttemptOutcome.INTERRUPTED and self.notice:
            outcome, reason = AttemptOutcome.PREEMPTED, f"{self.notice}; {reason}"
        known = seconds.train + seconds.evaluation + seconds.checkpoint
        redone = 0.0
        if result.outcome is AttemptOutcome.INTERRUPTED and (result.checkpoint_step or 0) < result.last_step:
            redone = seconds.train - self._train_seconds_at_checkpoint
        return Ending(
            outcome=outcome,
            reason=reason,
            charge=Charge(
                useful=seconds.train - redone,
                redone=redone,
                startup=max(0.0, self._wall_seconds - known),
                evaluation=seconds.evaluation,
                checkpoint=seconds.checkpoint,
            ),
            last_step=result.last_step,
            result={name: getattr(result, name) for name in _RESULTS}
            | (
                {"examples_seen": result.examples_seen or None, "steps": result.last_step}
                if self.grant.config.get("program")
                else {}
            ),
            by_itself=outcome is AttemptOutcome.INTERRUPTED,
        )

    def _broken(self, outcome: AttemptOutcome, reason: str) -> Ending:
        """Return the ending of an attempt without a result: steps after its last checkpoint are lost and will be done again."""
        if self.notice and outcome in (AttemptOutcome.DIED, AttemptOutcome.LOST):
            outcome, reason = AttemptOutcome.PREEMPTED, f"{self.notice}; {reason}"
        useful, redone = self._train_seconds_at_checkpoint, self._train_seconds - self._train_seconds_at_checkpoint
        rest = max(0.0, self._wall_seconds - self._train_seconds - self._checkpoint_seconds)
        return Ending(outcome, reason, Charge(useful, redone, rest, 0.0, self._checkpoint_seconds), self.step)


def _seconds(told: float) -> float:
    """Return a number of seconds that the ledger takes: 0 where what was told is none."""
    try:
        return float(told) if 0.0 <= told <= _MOST_SECONDS else 0.0
    except TypeError:
        return 0.0


def _of_program(event: Reported, loss: float) -> dict[str, Any]:
    """Build the row of an evaluation that a program reported; how many examples it scored, and how long that took, it does not say."""
    top1, top5 = (event.metrics.get(name) for name in ("val_top1", "val_top5"))
    return {"step": event.step, "split": "validation", "loss": loss, "top1": top1, "top5": top5, "examples": 0, "seconds": 0.0}
