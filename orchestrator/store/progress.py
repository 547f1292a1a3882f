"""How far an experiment is, or all of them: runs by status, what was spent, what is in training, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from orchestrator.store import finetunings, lease, searches
from orchestrator.store.experiments import experiment_id, experiment_names, wanted_runs
from orchestrator.store.models import IS_FINETUNED, Attempt, Metric, Run, now
from orchestrator.store.queries import experiment_counts, is_gone
from orchestrator.store.run_sums import counts_shown
from orchestrator.store.time_left import seconds_left
from scaling.outcomes import RunStatus
from scaling.rounding import significant
from scaling.waiting import time_left

__all__ = ["AtWork", "Progress", "experiment_at_hand", "progress_of"]

_SHOWN = 100
"""Most runs in training that are listed."""

_FINAL = tuple(status for status in RunStatus if status.is_final)


@dataclass(frozen=True)
class AtWork:
    """Shows a run in training: how far it is, and what it logged last. `steps` is 0 until they are known."""

    id: str
    family: str
    model: str
    epochs: float
    learning_rate: float
    seed: int
    step: int
    steps: int
    train_loss: float | None
    examples_per_second: float | None
    mfu: float | None


@dataclass(frozen=True)
class Progress:
    """Sums up the progress of an experiment, or of all of a store where `experiment` is None.

    seconds: since the work on it began, under the scheduler that is at work; 0 when none is.
    counts: runs by status, only those that occur. running: at most 100 of those in training.
    core_hours, estimated_core_hours: useful ones so far, and of the whole grid by the plan's estimate.
    best_val_loss: the lowest of pre-training.
    eta_seconds: by measured speeds, see `orchestrator.store.time_left`; None until 2 % of the work is done.
    """

    experiment: str | None
    seconds: float
    counts: dict[str, int]
    running: tuple[AtWork, ...]
    core_hours: float
    estimated_core_hours: float
    best_val_loss: float | None
    eta_seconds: float | None
    has_scheduler: bool = field(default=False)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def over(self) -> int:
        """Count the runs that have a final status."""
        return sum(self.counts.get(str(status), 0) for status in _FINAL)

    @property
    def examples_per_second(self) -> float | None:
        """Return the throughput of all runs in training together; None until one has logged it."""
        logged = [run.examples_per_second for run in self.running if run.examples_per_second is not None]
        return sum(logged) if logged else None

    @property
    def mfu(self) -> float | None:
        """Return the mean model FLOP utilisation of the runs in training; None until one has logged it."""
        logged = [run.mfu for run in self.running if run.mfu is not None]
        return sum(logged) / len(logged) if logged else None

    @property
    def pace(self) -> str:
        """Write `2,310 examples/s, MFU 4.1 %`; empty while nothing was logged."""
        words = [] if self.examples_per_second is None else [f"{float(significant(self.examples_per_second, 3)):,.4g} examples/s"]
        return ", ".join(words + ([] if self.mfu is None else [f"MFU {100 * self.mfu:.3g} %"]))

    @property
    def sentence(self) -> str:
        """Write `21 of 48 · about 4 min`: how many runs are over, and how long the rest will take."""
        left = [] if not self.eta_seconds else [f"about {time_left(self.eta_seconds)}"]
        return " · ".join([f"{self.over:,} of {self.total:,}", *left])

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Progress:
        """Make it again of what `to_dict` returned."""
        running = tuple(AtWork(**{name: run[name] for name in AtWork.__dataclass_fields__}) for run in told["running"])
        return cls(**{name: told[name] for name in cls.__dataclass_fields__} | {"running": running})

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        more = ("examples_per_second", "mfu", "pace", "sentence", "total", "over")
        return {**asdict(self), "running": [asdict(run) for run in self.running], **{name: getattr(self, name) for name in more}}


def experiment_at_hand(session: Session) -> str | None:
    """Name the experiment that has runs to come; None where none has, or several."""
    still = [str(status) for status in RunStatus if not status.is_final]
    found = [name for name, counts in experiment_counts(session).items() if any(counts.get(status) for status in still)]
    return found[0] if len(found) == 1 else None


def progress_of(session: Session, experiment: str | None = None) -> Progress:
    """Sum up how far an experiment is, or the whole store. Raises `UnknownName` when there is no experiment of that name."""
    ids = wanted_runs(None if experiment is None else experiment_id(session, experiment))
    rows = session.execute(_sums().where(Run.id.in_(ids)).group_by(Run.status)).all()
    to_be_chosen = sum(
        _still_to_be_chosen(session, name) for name in (experiment_names(session) if experiment is None else [experiment])
    )
    gone = is_gone(session)
    began = None if gone else _began(session, ids)
    seconds = 0.0 if began is None else max(0.0, (now() - began).total_seconds())
    return Progress(
        experiment=experiment,
        seconds=seconds,
        counts=counts_shown(((row.status, row.runs) for row in rows), gone=gone),
        running=() if gone else tuple(AtWork(**row._mapping) for row in session.execute(_at_work().where(Run.id.in_(ids)))),
        core_hours=sum(row.core_hours for row in rows),
        estimated_core_hours=sum(row.estimated for row in rows) + to_be_chosen,
        best_val_loss=min((row.best for row in rows if row.best is not None), default=None),
        eta_seconds=None if began is None else seconds_left(session, ids, began=began, seconds=seconds, to_be_chosen=to_be_chosen),
        has_scheduler=began is not None or _acquired(session) is not None,
    )


def _sums() -> Any:
    """Return a query for a row a status: how many runs, core-hours estimated and spent, the best loss."""
    return select(
        Run.status,
        func.count().label("runs"),
        func.sum(func.coalesce(Run.estimated_core_hours, 0.0)).label("estimated"),
        func.sum(Run.core_hours).label("core_hours"),
        func.min(case((~IS_FINETUNED, Run.val_loss))).label("best"),
    )


def _still_to_be_chosen(session: Session, experiment: str) -> float:
    """Return the core-hours of runs that an experiment will ask for, by the estimate, once others have told which."""
    known: list[Mapping[str, Any] | None] = [
        searches.progress(session, experiment),
        finetunings.progress(session, experiment, experiment_id(session, experiment)),
    ]
    return sum(float(found["core_hours_ahead"]) for found in known if found)


def _acquired(session: Session) -> datetime | None:
    found = lease.standing(session)
    return None if found is None or lease.is_over(found) else found.acquired_at


def _began(session: Session, ids: Any) -> datetime | None:
    """Return when the first of these runs was begun under the scheduler that is at work; None where there is none yet."""
    acquired = _acquired(session)
    if acquired is None:
        return None
    return session.scalar(select(func.min(Attempt.started_at)).where(Attempt.started_at >= acquired, Attempt.run_id.in_(ids)))


def _at_work() -> Any:
    """Return a query for the runs in training, those that were begun first above."""
    columns = [getattr(Run, name) for name in AtWork.__dataclass_fields__ if name not in _LOGGED]
    return (
        select(*columns, *[_last(name).label(name) for name in _LOGGED])
        .where(Run.status == RunStatus.RUNNING)
        .order_by(Run.created_at, Run.id)
        .limit(_SHOWN)
    )


_LOGGED = ("examples_per_second", "mfu")


def _last(name: str) -> Any:
    """Return the query for the last number of this name that a run has logged; the primary key of the metrics finds it at once."""
    of_run = select(Metric.value).where(Metric.run_id == Run.id, Metric.name == name).correlate(Run)
    return of_run.order_by(Metric.step.desc()).limit(1).scalar_subquery()
