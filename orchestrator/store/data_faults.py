"""Queries for faults of data that concern more than one run: which data the runs of a store read, and which of them failed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.store.grid import HELD
from orchestrator.store.membership import among
from orchestrator.store.models import Run
from scaling.outcomes import RunStatus

__all__ = ["HELD", "Data", "data_held_back", "data_of", "failed_runs", "pending_runs", "still_failed"]

Data = tuple[str, str | None, str]
"""A data set: its name, its path, its fingerprint."""

_PLACES = (("data", "name"), ("data", "options", "path"), ("data", "card", "fingerprint"))
_COLUMNS = [Run.config[place].as_string() for place in _PLACES]


def data_of(config: Mapping[str, Any]) -> Data:
    """Read the data set from a run's config; its fields are empty where the config has no data."""
    data = config.get("data") or {}
    return (data.get("name", ""), (data.get("options") or {}).get("path"), (data.get("card") or {}).get("fingerprint", ""))


def data_held_back(session: Session) -> set[Data]:
    """List the data sets whose pending runs are held back because of a fault of these data."""
    rows = session.execute(select(*_COLUMNS).where(Run.status == RunStatus.PENDING, Run.reason == HELD))
    return {_data(row) for row in rows}


def failed_runs(session: Session) -> list[tuple[str, str, Data]]:
    """List the runs that failed: id, reason, data."""
    rows = session.execute(select(Run.id, Run.reason, *_COLUMNS).where(Run.status == RunStatus.FAILED))
    return [(run_id, reason, _data(data)) for run_id, reason, *data in rows]


def still_failed(session: Session, run_ids: Collection[str]) -> set[str]:
    """Pick those of these runs whose status is still failed: nobody has tried them again."""
    return set(session.scalars(select(Run.id).where(among(session, Run.id, sorted(run_ids)), Run.status == RunStatus.FAILED)))


def pending_runs(session: Session, data: Collection[Data]) -> list[str]:
    """List the ids of the pending runs that read any of these data."""
    rows = session.execute(select(Run.id, *_COLUMNS).where(Run.status == RunStatus.PENDING))
    return [run_id for run_id, *found in rows if _data(found) in data]


def _data(row: Iterable[Any]) -> Data:
    name, path, fingerprint = row
    return (name or "", path, fingerprint or "")
