"""`/api/v1/learning-rate`: how the best learning rate falls with the epoch budget and with size."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from analysis import payload
from api.database import TheDatabase
from api.questions import LearningRateQuestion
from api.studies import cell_rate, trend_of

__all__ = ["router"]

router = APIRouter()

_EXAMPLE = {
    "schema_version": 1,
    "metric": "val_loss",
    "formula": "learning_rate* = c·epochs^-(s + u·ln(N/N0))·(N/N0)^-t",
    "reference_params": 4402,
    "status": "ok",
    "slope": {"value": 0.42, "low": 0.31, "high": 0.55, "p_value": 0.0004},
    "size_slope": {"value": 0.11, "low": -0.04, "high": 0.3, "p_value": 0.09},
    "interaction": {"value": 0.05, "low": 0.01, "high": 0.09, "p_value": 0.02},
    "monotone_p_value": 0.8,
    "models": [{"family": "nfnet", "model": "nano-F1", "params": 4402, "c": {"value": 1.9, "low": 1.5, "high": 2.4}}],
    "cell": {
        "model": "nano-F1",
        "epochs": 32,
        "learning_rate": {"value": 0.44, "low": 0.3, "high": 0.65},
        "trials": 2,
    },
    "runs_used": 18,
    "excluded": [],
}


@router.get(
    "/learning-rate",
    summary="The trend of the best learning rate",
    responses={200: {"content": {"application/json": {"example": _EXAMPLE}}}},
)
def learning_rate(question: Annotated[LearningRateQuestion, Query()], database: TheDatabase) -> dict[str, object]:
    """The object that `scaling lr --json` prints. 422 while no model has two epoch budgets with several learning rates each.

    With `at_epochs`, and `at_model` or `at_params`, `cell` is the rate of that cell, run or not, and the trials it would need."""
    return payload(trend_of(database, question), cell=cell_rate(database, question))
