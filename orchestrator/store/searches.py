"""Cells whose learning rates are searched for: which of them an experiment has, and their progress."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from orchestrator.store.again import AGAIN
from orchestrator.store.experiments import wanted_runs
from orchestrator.store.membership import among
from orchestrator.store.models import IS_FINETUNED, Experiment, ExperimentRun, Revision, Run, Search
from orchestrator.store.renewal import renewed
from scaling.columns import PRETRAINING
from scaling.outcomes import RunStatus

__all__ = [
    "Asked",
    "active",
    "all_of_experiment",
    "cancel",
    "cells",
    "ended_run",
    "ended_runs",
    "experiments_with_grids",
    "latest_revision_number",
    "link",
    "of_experiment",
    "progress",
    "reopen",
    "searched_besides",
    "searching",
    "trials",
    "want",
]

_HOW = ("config", "resources", "options", "estimated_core_hours")
_OPEN = ("waiting", "searching")
_CANCELLED = "cancelled"
_ENDED = select(Run.id, Run.status, Run.val_loss, Run.reason)


@dataclass(frozen=True)
class Asked:
    """Says what asking for runs changed. added: an experiment wants a run that it did not. put_back: a run is pending again."""

    added: bool
    put_back: bool

    @property
    def anything(self) -> bool:
        return self.added or self.put_back


def link(
    session: Session, experiment_id: int, searches: Sequence[Mapping[str, Any]], *, revision: int, stage: str = PRETRAINING
) -> bool:
    """Make the experiment search exactly these cells of a stage: rows with `family`, `model`, `epochs`, `template` and `policy`.

    Returns True when one of them is new or has changed.
    """
    ours, changed = select(Search).where(Search.experiment_id == experiment_id, Search.stage == stage), False
    known = {_key(search): search for search in session.scalars(ours)}
    for row in searches:
        search = known.pop((row["family"], row["model"], row["epochs"]), None)
        if search is None:
            session.add(Search(experiment_id=experiment_id, added_in=revision, stage=stage, **row))
            changed = True
        else:
            before = (search.template, search.policy, search.removed_in)
            changed |= before != (row["template"], row["policy"], None)
            search.template, search.policy, search.removed_in = dict(row["template"]), dict(row["policy"]), None
            search.state = "waiting" if search.state == _CANCELLED else search.state
    for search in known.values():
        search.removed_in = search.removed_in or revision
    return changed


def active(session: Session, experiment: str | None = None) -> list[Search]:
    """List the searches that experiments (one of them, by name) have, oldest first."""
    query = select(Search).where(Search.removed_in.is_(None)).order_by(Search.id)
    if experiment is not None:
        query = query.join(Experiment, Experiment.id == Search.experiment_id).where(Experiment.name == experiment)
    return list(session.scalars(query))


def searching(session: Session) -> list[int]:
    """List the ids of the experiments that have searches which were not cancelled."""
    query = select(Search.experiment_id).where(Search.removed_in.is_(None), Search.state != _CANCELLED)
    return sorted(set(session.scalars(query)))


def of_experiment(session: Session, experiment_id: int) -> list[Search]:
    """List the searches of an experiment, open or over, but for cancelled ones."""
    query = select(Search).where(Search.experiment_id == experiment_id, Search.removed_in.is_(None), Search.state != _CANCELLED)
    return list(session.scalars(query.order_by(Search.id)))


def all_of_experiment(session: Session, experiment_id: int | None) -> list[Search]:
    """List the searches of an experiment, cancelled ones as well."""
    return list(session.scalars(select(Search).where(Search.experiment_id == experiment_id, Search.removed_in.is_(None))))


def latest_revision_number(session: Session, experiment_id: int) -> int:
    """Return the number of the latest version of an experiment's file; 1 where there is none."""
    numbers = select(Revision.number).where(Revision.experiment_id == experiment_id)
    return session.scalar(numbers.order_by(Revision.number.desc()).limit(1)) or 1


def trials(session: Session, experiment_id: int | None) -> Sequence[Row[str, str, str, float, float, int, int, float | None]]:
    """List the runs that an experiment wants: `id`, `family`, `model`, `epochs`, `learning_rate`, `seed`, `batch_size`, `weight_decay`."""
    columns = select(Run.id, Run.family, Run.model, Run.epochs, Run.learning_rate, Run.seed, Run.batch_size, Run.weight_decay)
    return session.execute(columns.where(Run.id.in_(_wanted(experiment_id)))).all()


def ended_runs(session: Session, experiment_id: int | None) -> Sequence[Row[str, RunStatus, float | None, str]]:
    """List id, status, validation loss and reason of the runs that an experiment wants."""
    return session.execute(_ENDED.where(Run.id.in_(_wanted(experiment_id)))).all()


def ended_run(session: Session, run_id: str) -> Row[str, RunStatus, float | None, str] | None:
    """Return id, status, validation loss and reason of one run, whoever wants it; None where there is none of that id."""
    return session.execute(_ENDED.where(Run.id == run_id)).one_or_none()


def experiments_with_grids(
    session: Session, run_ids: Collection[str], *, key: tuple[str, str, float, str]
) -> Sequence[Row[int, str]]:
    """List which experiments want which of these runs, but for those that search the cell `key`: family, model, epochs, stage."""
    family, model, epochs, stage = key
    searched = select(Search.experiment_id).where(
        Search.family == family, Search.model == model, Search.epochs == epochs, Search.stage == stage, Search.removed_in.is_(None)
    )
    links = select(ExperimentRun.experiment_id, ExperimentRun.run_id).where(
        ExperimentRun.run_id.in_(list(run_ids)), ExperimentRun.removed_in.is_(None), ExperimentRun.experiment_id.not_in(searched)
    )
    return session.execute(links).all()


def _wanted(experiment_id: int | None) -> Select[str]:
    """Return a query for the ids of the runs that an experiment wants; of none where there is no experiment yet.

    `wanted_runs` would take None for all experiments.
    """
    return wanted_runs(-1 if experiment_id is None else experiment_id)


def cancel(session: Session, experiment_id: int | None) -> None:
    """End the open searches of an experiment (of all, where None), until `reopen` or until it is submitted again."""
    _change(session, experiment_id, _OPEN, _CANCELLED)


def reopen(session: Session, experiment_id: int | None) -> None:
    """Open cancelled searches again."""
    _change(session, experiment_id, (_CANCELLED,), "waiting")


def _change(session: Session, experiment_id: int | None, states: Sequence[str], state: str) -> None:
    query = select(Search).where(Search.removed_in.is_(None), Search.state.in_(states))
    for search in session.scalars(query if experiment_id is None else query.where(Search.experiment_id == experiment_id)):
        search.state, search.reason = state, ""


def want(session: Session, experiment_id: int, rows: Sequence[Mapping[str, Any]], *, revision: int, renew: bool = False) -> Asked:
    """Make the experiment want these runs as well, and add those that the store does not have.

    A run that failed, was cancelled or was paused before the experiment wanted it is pending again, as when it is submitted. So is one that
    was stopped early, whoever stopped it: a search has no use for a part of it.

    renew: where and how the pending ones are done is what the rows say, as of those that `grid.accept` is given.
    """
    ids = list(dict.fromkeys(row["id"] for row in rows))
    query = select(Run).where(among(session, Run.id, ids)).execution_options(populate_existing=True)
    there = {run.id: run for run in session.scalars(query)}
    links = {
        link.run_id: link
        for link in session.scalars(
            select(ExperimentRun).where(ExperimentRun.experiment_id == experiment_id, among(session, ExperimentRun.run_id, ids))
        )
    }
    session.add_all({row["id"]: Run(**row) for row in rows if row["id"] not in there}.values())
    session.flush()
    added = put_back = False
    for run_id in ids:
        link, run = links.get(run_id), there.get(run_id)
        is_new = link is None or link.removed_in is not None
        if link is None:
            session.add(ExperimentRun(experiment_id=experiment_id, run_id=run_id, added_in=revision))
        else:
            link.removed_in = None
        added |= is_new
        if run is not None and (run.status is RunStatus.STOPPED or (is_new and run.status in AGAIN)):
            run.status, run.reason, run.failures, run.ended_at = RunStatus.PENDING, "", 0, None
            put_back = True
    if renew:
        waiting = [row for row in rows if row["id"] in there and there[row["id"]].status is RunStatus.PENDING]
        for row in renewed(session, waiting):
            for name in _HOW:
                setattr(there[row["id"]], name, row[name])
    return Asked(added, put_back)


def cells(session: Session, experiment: str | None = None) -> list[dict[str, Any]]:
    """List the searched cells, a row each.

    A row has `experiment`, `family`, `model`, `epochs` of pre-training, `stage`, `state`, `trials` (asked for), `learning_rate` (the one found), `second` (the name of
    what is searched for besides; empty for nothing), `second_value` (the one found), and `reason` (why it was given up, or goes no further).
    """
    query = (
        select(Search, Experiment.name)
        .join(Experiment, Experiment.id == Search.experiment_id)
        .where(Search.removed_in.is_(None))
        .order_by(Search.id)
    )
    if experiment is not None:
        query = query.where(Experiment.name == experiment)
    names = ("family", "model", "epochs", "stage", "state", "trials", "learning_rate", "reason")
    return [
        {"experiment": found, **{name: getattr(search, name) for name in names}}
        | {"second": (search.policy.get("second") or {}).get("name", ""), "second_value": search.second}
        for search, found in session.execute(query)
    ]


def searched_besides(session: Session, experiment: str | None = None, *, runs: Collection[str] | None = None) -> dict[str, str]:
    """Map the runs of cells with a second setting to its name, where an experiment (this one) searches for it and wants the run.

    runs: only these ids.
    """
    query = select(Search.experiment_id, Search.family, Search.model, Search.epochs, Search.policy).where(
        Search.removed_in.is_(None), Search.stage == PRETRAINING
    )
    if experiment is not None:
        query = query.join(Experiment, Experiment.id == Search.experiment_id).where(Experiment.name == experiment)
    names = {tuple(cell): policy["second"]["name"] for *cell, policy in session.execute(query) if policy.get("second")}
    if not names:
        return {}
    links = (
        select(ExperimentRun.experiment_id, Run.family, Run.model, Run.epochs, Run.id)
        .join(Run, Run.id == ExperimentRun.run_id)
        .where(ExperimentRun.removed_in.is_(None), ExperimentRun.experiment_id.in_({cell[0] for cell in names}))
        .where(~IS_FINETUNED)
    )
    links = links if runs is None else links.where(among(session, Run.id, runs))
    found: dict[str, set[str]] = {}
    for owner, family, model, epochs, run_id in session.execute(links):
        if name := names.get((owner, family, model, epochs)):
            found.setdefault(run_id, set()).add(name)
    return {run_id: ",".join(sorted(told)) for run_id, told in found.items()}


def progress(session: Session, experiment: str) -> dict[str, Any] | None:
    """Sum up the progress of an experiment's searches; None when it has none.

    - `cells`: how many; of them `settled`, `given_up` and `open`
    - `trials`: how many were asked for
    - `stuck`: a sentence on each cell that was given up or goes no further
    - `found`: a sentence on each cell where a second setting was found too
    - `core_hours_ahead`: estimate for runs not asked for yet: two trials a cell, five where a second setting
      is searched for, and one run on each seed that is not searched
    """
    rows = active(session, experiment)
    if not rows:
        return None
    return {
        "cells": len(rows),
        "settled": sum(row.state == "settled" for row in rows),
        "given_up": sum(row.state == "given-up" for row in rows),
        "open": sum(row.state in _OPEN for row in rows),
        "trials": sum(row.trials for row in rows),
        "stuck": [
            f"{row.model}, {row.epochs:g} epoch{'' if row.epochs == 1 else 's'}: {row.state.replace('-', ' ')}, {row.reason}"
            for row in rows
            if row.reason
        ],
        "found": [_found(row) for row in rows if row.second is not None and row.learning_rate is not None],
        "core_hours_ahead": sum(_runs_ahead(row) * (row.template["estimated_core_hours"] or 0.0) for row in rows),
    }


def _found(row: Search) -> str:
    name = row.policy["second"]["name"].replace("_", " ")
    return f"{row.model}, {row.epochs:g} epochs: learning rate {row.learning_rate:g}, {name} {row.second:g}"


def _runs_ahead(search: Search) -> int:
    if search.state not in _OPEN:
        return 0
    searched = search.policy["searched_seeds"]
    expected = 5 if search.policy.get("second") else 2
    return max(0, expected - search.trials) * searched + len(search.policy["seeds"]) - searched


def _key(search: Search) -> tuple[str, str, float]:
    return (search.family, search.model, search.epochs)
