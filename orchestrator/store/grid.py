"""Accepting an experiment: which runs it wants, which of them are new, which changed since the last revision.

A run wanted by two experiments is one row. Accepting is one transaction: after it nothing is lost, whatever dies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from orchestrator.store import changes
from orchestrator.store.models import Experiment, ExperimentRun, Revision, Run
from scaling.errors import UsageError
from scaling.outcomes import RunStatus

__all__ = ["Accepted", "Waiting", "accept", "explain", "known_runs", "pause", "waiting_runs"]

_AGAIN = (RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.PAUSED)
"""Statuses that submitting again puts back to pending. A diverged run would diverge again."""


_HOW = ("config", "resources", "estimated_core_hours")
"""How and where a run is done: what a file may change about a run that waits. The config's part of it is where its data lie."""


@dataclass(frozen=True)
class Accepted:
    """What accepting an experiment did. The four lists are run ids and together are all the runs it wants."""

    experiment_id: int
    revision: int
    new: list[str]
    waiting: list[str]
    again: list[str]
    done: list[str]


@dataclass(frozen=True)
class Waiting:
    """A pending run, as far as the order of runs needs it. `cost`: its training FLOPs; `stated_core_hours`: by the MFU of its file."""

    id: str
    family: str
    shape: str
    cost: float
    priority: int
    resources: Mapping[str, Any]
    stated_core_hours: float | None


def waiting_runs(session: Session) -> list[Waiting]:
    """Pending runs that at least one experiment still wants."""
    wanted = select(ExperimentRun.run_id).where(ExperimentRun.removed_in.is_(None))
    query = select(Run.id, Run.family, Run.shape, Run.train_flops, Run.priority, Run.resources, Run.estimated_core_hours)
    return [Waiting(*row) for row in session.execute(query.where(Run.status == RunStatus.PENDING, Run.id.in_(wanted)))]


def pause(session: Session, experiment: str, *, reason: str) -> None:
    """Put aside the pending runs that this experiment wants and no other does."""
    links = select(ExperimentRun.run_id).join(ExperimentRun.experiment).where(ExperimentRun.removed_in.is_(None))
    ours, theirs = links.where(Experiment.name == experiment), links.where(Experiment.name != experiment)
    alone = (Run.status == RunStatus.PENDING) & Run.id.in_(ours) & Run.id.not_in(theirs)
    for run in session.scalars(select(Run).where(alone)):
        run.status, run.reason = RunStatus.PAUSED, reason
    changes.note(session)


def explain(session: Session, reasons: Mapping[str, str]) -> None:
    """Say of pending runs why they wait; an empty reason takes that back."""
    for run_id, reason in reasons.items():
        session.execute(update(Run).where(Run.id == run_id, Run.status == RunStatus.PENDING).values(reason=reason))


def known_runs(session: Session, ids: Sequence[str]) -> dict[str, Run]:
    """Those of `ids` that the store already has."""
    found: dict[str, Run] = {}
    for first in range(0, len(ids), 500):
        found |= {run.id: run for run in session.scalars(select(Run).where(Run.id.in_(ids[first : first + 500])))}
    return found


def accept(
    session: Session,
    *,
    name: str,
    file: str,
    text: str,
    resolved: Mapping[str, Any],
    shared: Mapping[str, Any],
    runs: Sequence[Mapping[str, Any]],
    revise: bool = False,
) -> Accepted:
    """Write down that experiment `name` wants `runs`.

    Args:
        text, resolved: the file as written and as understood; kept as a revision when it differs from the last one.
        shared: the fields that all runs share (data, optimiser, numerics …). When they differ from those of finished runs of this
            experiment, the file describes another study.
        runs: rows with the columns of `models.Run`, `id` among them.
        revise: accept changed shared fields all the same; runs that the file no longer wants leave the experiment.

    Raises:
        UsageError: shared fields changed and `revise` is False; the message names them.
    """
    experiment = session.scalar(select(Experiment).where(Experiment.name == name))
    if experiment is None:
        experiment = Experiment(name=name)
        session.add(experiment)
        session.flush()
    latest = session.scalar(
        select(Revision).where(Revision.experiment_id == experiment.id).order_by(Revision.number.desc()).limit(1)
    )
    if latest is not None and not revise:
        _refuse_another_study(session, experiment, latest, shared)
    number = latest.number if latest else 0
    if latest is None or latest.resolved != resolved:
        number += 1
        session.add(
            Revision(
                experiment_id=experiment.id,
                number=number,
                file=file,
                text=text,
                resolved=dict(resolved),
                recipe_fields=dict(shared),
            )
        )

    ids = [row["id"] for row in runs]
    known = known_runs(session, ids)
    for row in runs:
        run = known.get(row["id"])
        if run is None:
            session.add(Run(**row))
        elif run.status is RunStatus.PENDING or run.status in _AGAIN:
            for name in _HOW:
                setattr(run, name, row.get(name))
    session.flush()
    _link(session, experiment.id, ids, number)
    again = [run_id for run_id, run in known.items() if run.status in _AGAIN]
    for first in range(0, len(again), 500):
        session.execute(
            update(Run)
            .where(Run.id.in_(again[first : first + 500]))
            .values(status=RunStatus.PENDING, reason="", failures=0, ended_at=None)
        )
    changes.note(session)
    return Accepted(
        experiment_id=experiment.id,
        revision=number,
        new=[run_id for run_id in ids if run_id not in known],
        waiting=[run_id for run_id in ids if run_id in known and known[run_id].status in (RunStatus.PENDING, RunStatus.RUNNING)],
        again=again,
        done=[
            run_id
            for run_id in ids
            if run_id in known and known[run_id].status in (RunStatus.FINISHED, RunStatus.DIVERGED, RunStatus.STOPPED)
        ],
    )


def _refuse_another_study(session: Session, experiment: Experiment, latest: Revision, shared: Mapping[str, Any]) -> None:
    changed = sorted(key for key in {*shared, *latest.recipe_fields} if shared.get(key) != latest.recipe_fields.get(key))
    if not changed:
        return
    finished = session.scalar(
        select(Run.id)
        .join(ExperimentRun, ExperimentRun.run_id == Run.id)
        .where(ExperimentRun.experiment_id == experiment.id, ExperimentRun.removed_in.is_(None), Run.status == RunStatus.FINISHED)
        .limit(1)
    )
    if finished is not None:
        what = "; ".join(f"{key}: {latest.recipe_fields.get(key)!r} → {shared.get(key)!r}" for key in changed)
        raise UsageError(
            f"experiment {experiment.name!r} has finished runs with other settings ({what})",
            hint="give the file a new name, or --revise to let this one replace it (finished runs stay in the store)",
        )


def _link(session: Session, experiment_id: int, ids: Sequence[str], number: int) -> None:
    """Make the experiment want exactly `ids`."""
    links = {
        link.run_id: link for link in session.scalars(select(ExperimentRun).where(ExperimentRun.experiment_id == experiment_id))
    }
    wanted = set(ids)
    for run_id in dict.fromkeys(ids):
        link = links.get(run_id)
        if link is None:
            session.add(ExperimentRun(experiment_id=experiment_id, run_id=run_id, added_in=number))
        else:
            link.removed_in = None
    for run_id, link in links.items():
        if run_id not in wanted and link.removed_in is None:
            link.removed_in = number
