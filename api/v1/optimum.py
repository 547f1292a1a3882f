"""`/api/v1/optimum`: the best size and epochs against compute, and the slices of equal compute behind them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from analysis import payload
from api.database import TheDatabase
from api.questions import OptimumQuestion
from api.studies import optimum_of, slices_at

__all__ = ["router"]

router = APIRouter()

_EXAMPLE = {
    "schema_version": 1,
    "metric": "val_loss",
    "x": "core_hours",
    "size": "params",
    "recommended": "surface",
    "choice": {"approach": "surface", "rule": "forecasts-larger-budgets", "regret": {"surface": 0.0001, "isocompute": 0.0004}},
    "disagree": [],
    "sentence": "Best size grows as core_hours^0.51 (0.44 … 0.58), best epochs as core_hours^0.49 (0.42 … 0.56) (surface).",
    "approaches": [{"approach": "surface", "status": "ok", "size_exponent": {"value": 0.51, "low": 0.44, "high": 0.58}}],
    "epochs_above_one": {"determined": True, "at": {"value": 0.0021, "low": 0.0017, "high": 0.0026}},
    "runnable": [{"core_hours": 0.01, "model": "nano-F3", "epochs": 8.0}],
    "excluded": [],
}
_SLICES = {
    "schema_version": 1,
    "metric": "val_loss",
    "x": "core_hours",
    "size": "params",
    "slices": [{"core_hours": 0.01, "size": 52_682.0, "model": "nano-F3", "epochs": 7.4, "val_loss": 0.21}],
    "optima": [{"core_hours": 0.01, "sizes": 3, "best_size": 52_682.0, "interior": False, "optimal_size": None}],
}


@router.get(
    "/optimum",
    summary="Best size and epochs against compute, by three approaches",
    responses={200: {"content": {"application/json": {"example": _EXAMPLE}}}},
)
def optimum(question: Annotated[OptimumQuestion, Query()], database: TheDatabase) -> dict[str, object]:
    """The object that `scaling frontier --optimum --json` prints. An approach that refuses says why; 422 with too few sizes or cells."""
    return payload(optimum_of(database, question))


@router.get(
    "/slices",
    summary="Loss against size at equal compute",
    responses={200: {"content": {"application/json": {"example": _SLICES}}}},
)
def slices(question: Annotated[OptimumQuestion, Query()], database: TheDatabase) -> dict[str, object]:
    """Each model's loss at equal compute, as run where sizes share budgets, else interpolated, and the minimum of each slice's curve."""
    return payload(slices_at(database, question))
