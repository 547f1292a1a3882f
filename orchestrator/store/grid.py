"""Accepts an experiment: finds which runs it wants, which of them are new, and which changed since the last revision.

A run wanted by two experiments is one row. Accepting is one transaction: after it nothing is lost, whatever process dies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from orchestrator.resources import Resources, RunOptions
from orchestrator.store import changes, searches
from orchestrator.store.again import AGAIN
from orchestrator.store.experiments import latest_revision, wanted_runs
from orchestrator.store.finetunings import NO_WEIGHTS
from orchestrator.store.membership import among
from orchestrator.store.models import Experiment, ExperimentRun, Revision, Run, now
from orchestrator.store.renewal import renewed
from orchestrator.store.trunks import reparent
from scaling.errors import UsageError
from scaling.outcomes import RunStatus

__all__ = [
    "HELD",
    "NO_FURTHER",
    "SAID_OF_PENDING",
    "Accepted",
    "PlannedProgram",
    "Waiting",
    "accept",
    "changed_fields",
    "explain",
    "known_statuses",
    "pause",
    "planned_programs",
    "program_copies",
    "refuse_another_study",
    "waiting_runs",
]

HELD = "not started: three runs failed of one fault of these data; mend it and submit again, or `scaling retry` one of the three"
"""Reason of a pending run; see `orchestrator.scheduling.data_faults`."""

NO_FURTHER = "got no further in "
"""How the reason of a pending run begins whose next attempt begins after a pause; see `orchestrator.scheduling.retry_policy`."""

SAID_OF_PENDING = HELD, NO_FURTHER, NO_WEIGHTS
"""How the reasons of pending runs begin that a user may want to know without being asked."""

_RUNS: Any = Run.__table__
_LINKS: Any = ExperimentRun.__table__
_UNSYNCED: Any = {"synchronize_session": False}
"""Rows that a session may hold are not brought up to date: accepting is its transaction's only business."""

_HOW = ("config", "resources", "options", "estimated_core_hours", "parent_id", "parent_step")
"""How and where a run is done: what a file may change about a run that waits. The config's part of it is where its data lie."""


@dataclass(frozen=True)
class Accepted:
    """Says what accepting an experiment did. The four lists hold run ids; together they are all the runs that it wants.

    new: added by it. waiting: pending or running before. again: back to pending. done: finished, diverged or stopped before.
    """

    experiment_id: int
    revision: int
    new: list[str]
    waiting: list[str]
    again: list[str]
    done: list[str]

    @property
    def ahead(self) -> int:
        """Count the runs that are still to be done."""
        return len(self.new) + len(self.waiting) + len(self.again)


@dataclass(frozen=True)
class Waiting:
    """Holds the columns of a pending run that the scheduling order needs, by their names in `models.Run`."""

    id: str
    family: str
    shape: str
    train_flops: float
    epochs: float
    priority: int
    resources: Resources
    options: RunOptions
    estimated_core_hours: float | None
    resume_step: int
    resume_attempt: int | None
    failures: int
    parent_id: str | None
    parent_step: int | None
    steps: int

    @property
    def work(self) -> float:
        """Return its training FLOPs, or its epochs where these are not known: what it costs grows with either."""
        return self.train_flops or self.epochs

    @property
    def is_finetuning(self) -> bool:
        """Say whether it starts from another run's last weights, so that it comes after pre-training."""
        return self.parent_id is not None and self.parent_step is None

    @property
    def parent(self) -> str | None:
        """Return the id of the run that it starts from; None when it has none, or goes on from its own checkpoint."""
        return self.parent_id if self.resume_attempt is None else None

    @property
    def ahead(self) -> float:
        """Return the share of its steps, 0 … 1, that come after its own last checkpoint."""
        return 1.0 - self.resume_step / self.steps if self.steps else 1.0


def waiting_runs(session: Session) -> list[Waiting]:
    """List the pending runs that at least one experiment still wants."""
    query = select(*(getattr(Run, column.name) for column in fields(Waiting)))
    return [Waiting(*row) for row in session.execute(query.where(Run.status == RunStatus.PENDING, Run.id.in_(wanted_runs())))]


def pause(session: Session, experiment: str, *, reason: str) -> None:
    """Pause the pending runs that this experiment wants and no other does."""
    links = wanted_runs().join(ExperimentRun.experiment)
    ours, theirs = links.where(Experiment.name == experiment), links.where(Experiment.name != experiment)
    alone = (Run.status == RunStatus.PENDING) & Run.id.in_(ours) & Run.id.not_in(theirs)
    for run in session.scalars(select(Run).where(alone)):
        run.status, run.reason = RunStatus.PAUSED, reason
    changes.note(session)


def explain(session: Session, reasons: Mapping[str, str]) -> None:
    """Write down why pending runs wait, run id → reason; an empty reason removes it."""
    by_reason: dict[str, list[str]] = {}
    for run_id, reason in reasons.items():
        by_reason.setdefault(reason, []).append(run_id)
    for reason, ids in by_reason.items():
        waiting = update(Run).where(among(session, Run.id, ids), Run.status == RunStatus.PENDING)
        session.execute(waiting.values(reason=reason).execution_options(**_UNSYNCED))


def known_statuses(session: Session, ids: Sequence[str]) -> dict[str, RunStatus]:
    """Map those of `ids` that the store already has to their status."""
    return {run_id: status for run_id, status in session.execute(select(Run.id, Run.status).where(among(session, Run.id, ids)))}  # noqa: C416


@dataclass(frozen=True)
class PlannedProgram:
    """Holds by which program a run of the store is trained: its version, the hash of its files, and the name of the copy of its folder."""

    version: str
    files: str
    copy: str


def planned_programs(session: Session, experiment: str, ids: Sequence[str]) -> set[PlannedProgram]:
    """List the programs of these runs, as far as the store has them, and of those that an experiment wants."""
    wanted = Run.id.in_(wanted_runs().join(ExperimentRun.experiment).where(Experiment.name == experiment))
    found = session.execute(select(Run.config, Run.options).where(among(session, Run.id, ids) | wanted))
    return {
        PlannedProgram(program["version"], files, options.execution.get("copy", files))
        for config, options in found
        if (program := config.get("program")) and (files := options.execution.get("files"))
    }


def program_copies(session: Session, experiment: str, files: str | None) -> set[str]:
    """List the names of the copies of a program's folder that runs of an experiment with these files have, of those that have begun."""
    query = select(Run.options).join(ExperimentRun, ExperimentRun.run_id == Run.id).join(Experiment)
    begun = (Run.status != RunStatus.PENDING) | Run.resume_attempt.is_not(None)
    found = [options.execution for options in session.scalars(query.where(Experiment.name == experiment, begun))]
    return {execution.get("copy", files) for execution in found if execution.get("files") == files}


def accept(
    session: Session,
    *,
    name: str,
    file: str,
    text: str,
    resolved: Mapping[str, Any],
    shared: Mapping[str, Any],
    runs: Sequence[Mapping[str, Any]],
    searched: Sequence[Mapping[str, Any]] = (),
    revise: bool = False,
) -> Accepted:
    """Write down that experiment `name` wants `runs`.

    Args:
        text, resolved: the file as written and as understood; kept as a revision when it differs from the last one.
        shared: the fields that all runs share (data, optimiser, numerics …). When they differ from those of finished runs of this
            experiment, the file describes another study.
        runs: rows with the columns of `models.Run`, `id` among them.
        searched: cells whose learning rates are searched for, as `searches.link` takes them.
        revise: accept changed shared fields all the same; runs that the file no longer wants leave the experiment.

    Raises:
        UsageError: shared fields changed and `revise` is False; the message names them. Or the runs of this name were imported.
    """
    experiment = session.scalar(select(Experiment).where(Experiment.name == name))
    if experiment is None:
        experiment = Experiment(name=name)
        session.add(experiment)
        session.flush()
    latest = latest_revision(session, name)
    if latest is not None:
        _refuse_imported(name, latest)
    if latest is not None and not revise:
        _refuse_another_study(session, name, latest, shared)
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

    ids = list(dict.fromkeys(row["id"] for row in runs))
    had = session.execute(select(Run.id, Run.status, Run.reason).where(among(session, Run.id, ids))).all()
    known = {run_id: status for run_id, status, _ in had}
    rows = [{"parent_id": None, "parent_step": None, **row} for row in runs]
    reparent(session, rows)
    _write_rows(session, rows, known)
    _write_facts(session, rows, known)
    _link(session, experiment.id, ids, number)
    searches.link(session, experiment.id, searched, revision=number)
    again = [run_id for run_id, status in known.items() if status in AGAIN]
    if again:
        afresh = {"status": RunStatus.PENDING, "reason": "", "failures": 0, "ended_at": None}
        session.execute(update(Run).where(among(session, Run.id, again)).values(**afresh).execution_options(**_UNSYNCED))
    if any(reason == HELD for *_, reason in had):  # asked for again: all that were held back are tried anew
        held = update(Run).where(Run.status == RunStatus.PENDING, Run.reason == HELD)
        session.execute(held.values(reason="").execution_options(**_UNSYNCED))
    changes.note(session)
    return Accepted(
        experiment_id=experiment.id,
        revision=number,
        new=[run_id for run_id in ids if run_id not in known],
        waiting=[run_id for run_id in ids if known.get(run_id) in (RunStatus.PENDING, RunStatus.RUNNING)],
        again=again,
        done=[run_id for run_id in ids if known.get(run_id) in (RunStatus.FINISHED, RunStatus.DIVERGED, RunStatus.STOPPED)],
    )


def _write_rows(session: Session, runs: Sequence[Mapping[str, Any]], known: Mapping[str, RunStatus]) -> None:
    """Insert the new runs, in the file's order, and update how pending runs are to be done: a statement each, whatever their number."""
    begun = now()
    new = {
        row["id"]: {**row, "created_at": begun + timedelta(microseconds=place)}
        for place, row in enumerate(runs)
        if row["id"] not in known
    }
    if new:
        parents_first = sorted(new.values(), key=lambda row: row["parent_id"] is not None)
        session.execute(insert(_RUNS), parents_first)
    waiting = [row for row in runs if known.get(row["id"]) is RunStatus.PENDING or known.get(row["id"]) in AGAIN]
    if waiting:
        how: dict[str, Any] = {name: bindparam(name) for name in _HOW}
        given = [{"its_id": row["id"], **{name: row.get(name) for name in _HOW}} for row in renewed(session, waiting)]
        session.execute(update(_RUNS).where(_RUNS.c.id == bindparam("its_id")).values(how), given)


def refuse_another_study(session: Session, name: str, shared: Mapping[str, Any]) -> None:
    """Raise what `accept` would raise for these shared fields; nothing is written."""
    latest = latest_revision(session, name)
    if latest is not None:
        _refuse_another_study(session, name, latest, shared)


def changed_fields(session: Session, name: str, shared: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the shared fields by which a file is another study than the experiment of its name, as they were and as they are.

    None are returned where that has no finished runs, since it may change then.
    """
    latest = latest_revision(session, name)
    return {} if latest is None else _changed_fields(session, latest, shared)


def _changed_fields(session: Session, latest: Revision, shared: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    before = latest.recipe_fields
    changed = {key: (before.get(key), shared.get(key)) for key in sorted({*shared, *before}) if shared.get(key) != before.get(key)}
    ours = Run.id.in_(wanted_runs(latest.experiment_id))
    is_finished = select(Run.id).where(ours, Run.status == RunStatus.FINISHED).limit(1)
    return changed if changed and session.scalar(is_finished) is not None else {}


def _refuse_another_study(session: Session, name: str, latest: Revision, shared: Mapping[str, Any]) -> None:
    _refuse_imported(name, latest)
    if changed := _changed_fields(session, latest, shared):
        what = "; ".join(said for key, (before, after) in changed.items() for said in _differences(key, before, after))
        raise UsageError(
            f"experiment {name!r} has finished runs with other settings ({what})",
            hint="give the file a new name, or --revise to let this one replace it (finished runs stay in the store)",
        )


def _refuse_imported(name: str, latest: Revision) -> None:
    if "imported" in latest.resolved:
        raise UsageError(
            f"experiment {name!r} holds runs that were imported from {latest.file}", hint="give the experiments file another name"
        )


def _differences(key: str, before: Any, after: Any) -> list[str]:
    """Say what has changed of a field: of a mapping those of its keys that did."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        return [said for name in changed for said in _differences(f"{key}.{name}", before.get(name), after.get(name))]
    return [f"{key}: {before!r} → {after!r}"]


def _write_facts(session: Session, runs: Sequence[Mapping[str, Any]], known: Mapping[str, RunStatus]) -> None:
    """Write what the file states of a program's models into runs that the store has: it is in no id, and may be stated later."""
    for name in ("params", "macs"):
        stated = [
            {"its_id": row["id"], name: row[name]}
            for row in runs
            if row["id"] in known and row["config"].get("program") and row.get(name)
        ]
        if stated:
            session.execute(update(_RUNS).where(_RUNS.c.id == bindparam("its_id")).values({name: bindparam(name)}), stated)


def _link(session: Session, experiment_id: int, ids: Sequence[str], number: int) -> None:
    """Make the experiment want exactly `ids`."""
    links = session.execute(
        select(ExperimentRun.run_id, ExperimentRun.removed_in).where(ExperimentRun.experiment_id == experiment_id)
    )
    linked = {run_id: removed_in for run_id, removed_in in links}  # noqa: C416
    new = [{"experiment_id": experiment_id, "run_id": run_id, "added_in": number} for run_id in ids if run_id not in linked]
    if new:
        session.execute(insert(_LINKS), new)
    wanted = set(ids)
    back = [run_id for run_id in ids if linked.get(run_id) is not None]
    gone = [run_id for run_id, removed_in in linked.items() if run_id not in wanted and removed_in is None]
    for some, removed_in in ((back, None), (gone, number)):
        if some:
            ours = update(ExperimentRun).where(ExperimentRun.experiment_id == experiment_id)
            session.execute(
                ours.where(among(session, ExperimentRun.run_id, some)).values(removed_in=removed_in).execution_options(**_UNSYNCED)
            )
