"""`/api/v1/predictions`: predictions that were registered, and what became of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from analysis import payload, score
from api.database import TheDatabase
from api.questions import PredictionsQuestion
from orchestrator.store import predictions as registry

__all__ = ["router"]

router = APIRouter()

_EXAMPLE = {
    "schema_version": 1,
    "sentence": "1 of 1 inside the interval (95 % expected); off by 1.2 % (root mean square); 0 still waiting.",
    "hits": 1,
    "scored": 1,
    "scores": [
        {"name": "before-f7plus", "observed": 0.231, "hit": True, "predicted": {"value": 0.228, "low": 0.215, "high": 0.242}}
    ],
    "waiting": [],
}


@router.get(
    "/predictions",
    summary="Registered predictions against the runs that were done since",
    responses={200: {"content": {"application/json": {"example": _EXAMPLE}}}},
)
def predictions(question: Annotated[PredictionsQuestion, Query()], database: TheDatabase) -> dict[str, object]:
    """The object that `scaling predict --score --json` prints; `waiting` lists those without a run near them."""
    with database.read() as session:
        rows = registry.registered(session, experiment=question.experiment)
    return payload(score(rows, database.runs_frame(None)))
