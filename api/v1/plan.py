"""`/api/v1/plan`: which runs to do next."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from analysis import payload
from api.database import TheDatabase
from api.questions import PlanQuestion
from api.studies import plan_of

__all__ = ["router"]

router = APIRouter()

_EXAMPLE = {
    "schema_version": 1,
    "metric": "val_loss",
    "target": "0.1 core_hours",
    "law": "power",
    "criterion": "c",
    "budget_core_hours": 0.01,
    "core_hours": 0.0098,
    "now": {"mean": {"value": 0.102, "low": 0.087, "high": 0.119}},
    "after": {"mean": {"value": 0.102, "low": 0.092, "high": 0.113}},
    "chosen": [{"model": "nano-F3", "epochs": 16.0, "core_hours": 0.0098, "mean_low": 0.092, "mean_high": 0.113}],
}


@router.get(
    "/plan",
    summary="The next runs that most reduce the uncertainty of a prediction",
    responses={200: {"content": {"application/json": {"example": _EXAMPLE}}}},
)
def plan(question: Annotated[PlanQuestion, Query()], database: TheDatabase) -> dict[str, object]:
    """The object that `scaling plan --json` prints; the candidates are the models that were run, at their epoch budgets and up to four times the
    largest, priced by what their runs took."""
    return payload(plan_of(database, question).plan)
