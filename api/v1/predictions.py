"""`/api/v1/predictions`: predictions that were registered, and what became of them."""

from __future__ import annotations

from fastapi import APIRouter

from analysis import payload, score
from analysis.questions import Question
from api.database import Database
from api.schemas.predictions import PredictionsAnswer
from api.v1.resource import Resource
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


def _scores(database: Database, question: Question) -> dict[str, object]:
    with database.read() as session:
        rows = registry.registered(session, experiment=question.experiment)
    return payload(score(rows, database.runs_frame(None)))


Resource(
    path="predictions",
    question=Question,
    payload=_scores,
    answers=PredictionsAnswer,
    summary="Registered predictions against the runs that were done since",
    description="The object that `scaling predict --score --json` prints; `waiting` lists those without a run near them.",
    example=_EXAMPLE,
).add_to(router)
