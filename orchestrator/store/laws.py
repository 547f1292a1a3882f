"""Fits that were shown, kept with their provenance: which runs, which code, when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.store.models import Experiment, Law

__all__ = ["remember"]


def remember(session: Session, *, experiment: str, fits: Iterable[Mapping[str, Any]]) -> None:
    """Keep fits (elements of the `fits` payload). One that says what the last one of its kind said is not kept again."""
    experiment_id = session.scalar(select(Experiment.id).where(Experiment.name == experiment))
    for fit in fits:
        kind = {"experiment_id": experiment_id, "law": fit["law"], "metric": fit["metric"], "x": fit["x"], "on": fit["on"]}
        latest = session.scalar(select(Law).filter_by(**kind).order_by(Law.id.desc()).limit(1))
        if latest is None or latest.fit != fit:
            session.add(Law(**kind, fit=dict(fit), run_ids=list(fit["run_ids"]), code_version=fit["version"]))
