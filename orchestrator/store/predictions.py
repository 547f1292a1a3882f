"""Predictions that were registered before their run was done. They are added and read, never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from orchestrator.store.experiments import experiment_id
from orchestrator.store.models import Experiment, Prediction
from scaling.errors import UnknownName, UsageError

__all__ = ["register", "registered"]


def register(
    session: Session,
    *,
    name: str,
    experiment: str | None,
    fit: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    code_version: str,
) -> list[dict[str, Any]]:
    """Add predictions under a name, and return them as `registered` does.

    Args:
        name: by which they are scored; no two sets may have the same.
        fit: an element of the `fits` payload: the law, with `run_ids` of the runs behind it.
        rows: a prediction each: `at` and `slope` (input of the law → number), `value`, `mean_low`, `mean_high`, `low` and `high` (of one
            more run).

    Raises:
        UsageError: the name is taken. UnknownName: there is no such experiment.
    """
    name = name.strip()
    if not name or len(name) > 200:
        raise UsageError("a registered prediction needs a name of 1 to 200 characters", hint="--register before-f7plus")
    taken = session.scalar(select(Prediction.created_at).where(Prediction.name == name).limit(1))
    if taken is not None:
        raise UsageError(
            f"{name!r} was registered on {taken:%Y-%m-%d %H:%M} UTC, and registered predictions cannot be changed",
            hint="register under another name; `scaling predict --score` compares both with what comes",
        )
    common = {
        "name": name,
        "experiment_id": None if experiment is None else experiment_id(session, experiment),
        "law": fit["law"],
        "metric": fit["metric"],
        "on": fit["on"],
        "level": fit["level"],
        "fit": dict(fit),
        "run_ids": list(fit["run_ids"]),
        "code_version": code_version,
    }
    added = [Prediction(number=number, **common, **row) for number, row in enumerate(rows, 1)]
    session.add_all(added)
    session.flush()
    return [_row(prediction, experiment) for prediction in added]


def registered(session: Session, *, experiment: str | None = None, name: str | None = None) -> list[dict[str, Any]]:
    """List registered predictions, oldest first. Raises `UnknownName` when no prediction has the name."""
    query = (
        select(Prediction, Experiment.name).outerjoin(Experiment, Experiment.id == Prediction.experiment_id).order_by(Prediction.id)
    )
    if experiment is not None:
        query = query.where(Experiment.name == experiment)
    if name is not None:
        if not session.scalar(select(func.count()).select_from(Prediction).where(Prediction.name == name)):
            raise UnknownName("registered prediction", name, session.scalars(select(Prediction.name).distinct()).all())
        query = query.where(Prediction.name == name)
    return [_row(prediction, found) for prediction, found in session.execute(query)]


def _row(prediction: Prediction, experiment: str | None) -> dict[str, Any]:
    names = ("name", "number", "law", "metric", "on", "at", "value", "mean_low", "mean_high", "low", "high", "level", "slope", "run_ids", "code_version")  # fmt: skip
    return {name: getattr(prediction, name) for name in names} | {
        "experiment": experiment,
        "created_at": prediction.created_at.isoformat(),
    }
