"""Cells whose learning rates are searched for: which an experiment has, and how far they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.store.models import Experiment, ExperimentRun, Run, Search

__all__ = ["active", "cells", "link", "progress", "want"]


def link(session: Session, experiment_id: int, searches: Sequence[Mapping[str, Any]], *, revision: int) -> None:
    """Make the experiment search exactly these cells: rows with `family`, `model`, `epochs`, `template` and `policy`."""
    known = {_key(search): search for search in session.scalars(select(Search).where(Search.experiment_id == experiment_id))}
    for row in searches:
        search = known.pop((row["family"], row["model"], row["epochs"]), None)
        if search is None:
            session.add(Search(experiment_id=experiment_id, added_in=revision, **row))
        else:
            search.template, search.policy, search.removed_in = dict(row["template"]), dict(row["policy"]), None
    for search in known.values():
        search.removed_in = search.removed_in or revision


def active(session: Session, experiment: str | None = None) -> list[Search]:
    """The searches that experiments (one of them, by name) have, oldest first."""
    query = select(Search).where(Search.removed_in.is_(None)).order_by(Search.id)
    if experiment is not None:
        query = query.join(Experiment, Experiment.id == Search.experiment_id).where(Experiment.name == experiment)
    return list(session.scalars(query))


def want(session: Session, experiment_id: int, rows: Sequence[Mapping[str, Any]], *, revision: int) -> bool:
    """Make the experiment want these runs as well, and add those that the store has not; True when that changed anything."""
    ids = [row["id"] for row in rows]
    there = set(session.scalars(select(Run.id).where(Run.id.in_(ids))))
    links = {
        link.run_id: link
        for link in session.scalars(
            select(ExperimentRun).where(ExperimentRun.experiment_id == experiment_id, ExperimentRun.run_id.in_(ids))
        )
    }
    changed = False
    for row in rows:
        if row["id"] not in there:
            session.add(Run(**row))
            there.add(row["id"])
            changed = True
    session.flush()
    for run_id in dict.fromkeys(ids):
        known = links.get(run_id)
        if known is None:
            session.add(ExperimentRun(experiment_id=experiment_id, run_id=run_id, added_in=revision))
        elif known.removed_in is not None:
            known.removed_in = None
        else:
            continue
        changed = True
    return changed


def cells(session: Session, experiment: str | None = None) -> list[dict[str, Any]]:
    """A row a searched cell: `experiment`, `family`, `model`, `epochs`, `state`, `trials` (rates asked for), `learning_rate` (the one found)."""
    query = (
        select(Search, Experiment.name)
        .join(Experiment, Experiment.id == Search.experiment_id)
        .where(Search.removed_in.is_(None))
        .order_by(Search.id)
    )
    if experiment is not None:
        query = query.where(Experiment.name == experiment)
    names = ("family", "model", "epochs", "state", "trials", "learning_rate")
    return [{"experiment": found, **{name: getattr(search, name) for name in names}} for search, found in session.execute(query)]


def progress(session: Session, experiment: str) -> dict[str, Any] | None:
    """How far an experiment's searches are: `cells`, of them `settled`, `trials` asked for, and `core_hours_ahead`: by estimate, of runs that are not
    asked for yet, at two trials a cell and one run on each seed that is not searched. None when it has none."""
    rows = active(session, experiment)
    if not rows:
        return None
    return {
        "cells": len(rows),
        "settled": sum(row.state == "settled" for row in rows),
        "given_up": sum(row.state == "given-up" for row in rows),
        "trials": sum(row.trials for row in rows),
        "core_hours_ahead": sum(_runs_ahead(row) * (row.template["estimated_core_hours"] or 0.0) for row in rows),
    }


def _runs_ahead(search: Search) -> int:
    if search.state in ("settled", "given-up"):
        return 0
    searched = search.policy["searched_seeds"]
    return max(0, 2 - search.trials) * searched + len(search.policy["seeds"]) - searched


def _key(search: Search) -> tuple[str, str, float]:
    return (search.family, search.model, search.epochs)
