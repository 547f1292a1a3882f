"""`/api/v1/learning-rate`: how the best learning rate falls with the epoch budget."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from analysis import learning_rate_payload
from api.database import TheDatabase
from api.questions import LearningRateQuestion
from api.studies import trend_of

__all__ = ["router"]

router = APIRouter()

_EXAMPLE = {
    "schema_version": 1,
    "metric": "val_loss",
    "formula": "learning_rate* = c·epochs^-s",
    "status": "ok",
    "slope": {"value": 0.42, "low": 0.31, "high": 0.55},
    "models": [{"family": "nfnet", "model": "nano-F1", "c": {"value": 1.9, "low": 1.5, "high": 2.4}}],
    "runs_used": 18,
    "excluded": [],
}


@router.get(
    "/learning-rate",
    summary="The trend of the best learning rate",
    responses={200: {"content": {"application/json": {"example": _EXAMPLE}}}},
)
def learning_rate(question: Annotated[LearningRateQuestion, Query()], database: TheDatabase) -> dict[str, Any]:
    """The object that `scaling lr --json` prints. 422 while no model has two epoch budgets with three learning rates each."""
    return learning_rate_payload(trend_of(database, question))
