"""`/api/v1/experiments`: what was asked for, how far it is, what it cost."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from api.database import TheDatabase
from api.json_answer import answers, json_answer
from api.problems import naming_a_path
from api.schemas.experiments import ExperimentAnswer, ExperimentsAnswer
from orchestrator.store import Session, queries
from orchestrator.store.experiments import experiment_names
from orchestrator.store.payloads import experiment_payload, experiments_payload
from scaling.errors import UnknownName

__all__ = ["experiment_row", "router"]

router = APIRouter()

_ROW = {
    "name": "digits",
    "created_at": "2026-03-01T09:30:00+00:00",
    "revision": 1,
    "file": "experiments.yaml",
    "runs": {"finished": 29, "diverged": 1},
    "interrupted": 0,
    "core_hours": 0.0183,
    "inherited_core_hours": 0.0,
    "spent_core_hours": 0.0183,
    "saved": 0.0,
    "allocated_core_hours": 0.0241,
    "estimated_core_hours": 0.0205,
    "cost": 0.00073,
    "allocated_cost": 0.00096,
    "estimated_cost": 0.00082,
    "currency": "USD",
    "best_val_loss": 0.0951,
}


@router.get(
    "/experiments",
    summary="Experiments, newest first",
    operation_id="list_experiments",
    responses=answers(ExperimentsAnswer, {"schema_version": 1, "experiments": [_ROW], "scheduler": None, "interrupted": 0}),
)
def experiments(database: TheDatabase) -> Response:
    """List each experiment with its runs by status and its core-hours: useful, allocated, estimated in all.

    `scheduler` is who is at work, or null; `interrupted` counts the pending runs that a scheduler which is gone was at.
    """
    with database.read() as session:
        rows, scheduler, interrupted = queries.experiments(session), queries.scheduler(session), queries.interrupted(session)
    return json_answer(experiments_payload(rows, scheduler, interrupted))


@router.get(
    "/experiments/{name}",
    summary="One experiment and the ids of its runs",
    operation_id="get_experiment",
    responses=answers(ExperimentAnswer, {"schema_version": 1, "experiment": _ROW, "run_ids": ["3f9a0c52e1b7d604"]}),
)
def experiment(name: str, database: TheDatabase) -> Response:
    with database.read() as session:
        return json_answer(experiment_payload(experiment_row(session, name), queries.wanted_ids(session, name)))


def experiment_row(session: Session, name: str) -> dict[str, Any]:
    """Return the experiment's row of `queries.experiments`. Raises `NotFound`."""
    with naming_a_path():
        found = queries.experiments(session, name)
        if not found:
            raise UnknownName("experiment", name, experiment_names(session))
        return found[0]
