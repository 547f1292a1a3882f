"""`/api/v1/compare`: two families or recipes at equal compute."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from analysis import payload
from api.database import TheDatabase
from api.questions import CompareQuestion
from api.studies import comparison_of

__all__ = ["router"]

router = APIRouter()

_EXAMPLE = {
    "schema_version": 1,
    "by": "family",
    "a": "nfnet",
    "b": "vit",
    "metric": "val_loss",
    "x": "core_hours",
    "design": "paired",
    "better": "nfnet",
    "withheld": None,
    "caveats": [],
    "at_largest": {"core_hours": 404.0, "log_ratio": {"value": -0.030, "low": -0.042, "high": -0.018}, "p_value": 0.0002},
    "crossing": {
        "core_hours": {"value": 54.0, "low": 40.0, "high": 71.0},
        "overtakes": "nfnet",
        "proven": True,
        "reason": None,
    },
    "ratio": {"value": 0.971, "low": 0.960, "high": 0.983},
    "p_value": 0.0004,
    "speed_up": {"value": 0.78, "low": 0.70, "high": 0.87},
    "runs_used": 60,
    "excluded": [],
}


@router.get(
    "/compare",
    summary="Is one side better at equal compute, and by how much",
    responses={200: {"content": {"application/json": {"example": _EXAMPLE}}}},
)
def compare(question: Annotated[CompareQuestion, Query()], database: TheDatabase) -> dict[str, object]:
    """The object that `scaling compare --json` prints. `better`: the side that is better at the largest shared
    compute, null where that may be noise, and where `withheld` says why it tells what was tried instead. `caveats`: which compute and which learning rates the
    answer is about. `crossing`: from which compute on the side `overtakes` is better; an end that is null is not bounded within
    the shared compute. `ratio`, `p_value`: of the mean over the shared budgets. `speed_up`: how many times the compute of b side a needs to equal it."""
    return payload(comparison_of(database, question))
