"""Settles what a pending run keeps when a file asks for it again, perhaps with other options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.resources import RunOptions
from orchestrator.store.membership import among
from orchestrator.store.models import Run

__all__ = ["renewed"]


def renewed(session: Session, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows to write for runs that the store already has: as given, but for what those runs keep.

    A run with a checkpoint of its own keeps what it started from, and the copy of the program that trains it. A run that another experiment's runs start from goes on leaving
    checkpoints for them.
    """
    query = select(Run.id, Run.options, Run.resume_attempt, Run.parent_id, Run.parent_step)
    runs = {run.id: run for run in session.execute(query.where(among(session, Run.id, [row["id"] for row in rows])))}
    written = []
    for row in rows:
        had = runs[row["id"]]
        start = {} if had.resume_attempt is None else {"parent_id": had.parent_id, "parent_step": had.parent_step}
        options = row["options"] if had.resume_attempt is None else _with_its_copy(had.options, row["options"])
        written.append({**row, **start, "options": _kept(had.options, options)})
    return written


def _with_its_copy(had: RunOptions, given: RunOptions) -> RunOptions:
    """Return the given options with the copy of a program's folder that the run had, if it had one of the same program."""
    if "files" not in had.execution or had.execution["files"] != given.execution.get("files"):
        return given
    others = {name: value for name, value in given.execution.items() if name != "copy"}
    return replace(given, execution=others | {name: value for name, value in had.execution.items() if name == "copy"})


def _kept(had: RunOptions, given: RunOptions) -> RunOptions:
    if not had.checkpoint_at:
        return given
    return replace(given, trunk=had.trunk, checkpoint_at=tuple(sorted({*had.checkpoint_at, *given.checkpoint_at})))
