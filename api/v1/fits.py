"""`/api/v1/fits`: laws of a metric against compute."""

from __future__ import annotations

from fastapi import APIRouter

from analysis import payload
from analysis.questions import FitsQuestion
from api.schemas.fits import FitsAnswer
from api.studies import fits_of
from api.v1.resource import Resource

__all__ = ["router"]

router = APIRouter()

_EXAMPLE = {
    "schema_version": 1,
    "answer": {"sentence": "val_loss falls as core_hours^-0.310 (95 %: -0.350 … -0.270). …", "law": "power"},
    "the_law": {"law": "power", "on": "frontier"},
    "fits": [
        {
            "law": "power",
            "chosen": True,
            "chosen_of": "frontier",
            "formula": "A·x^-a",
            "on": "frontier",
            "metric": "val_loss",
            "x": "core_hours",
            "objective": "log",
            "status": "ok",
            "lights": {
                "identified": {"ok": True, "reason": "All coefficients are identified by these runs."},
                "forecasts_well": {
                    "ok": True,
                    "reason": "Its forecasts of runs held out were off by ×/÷ 1.047 (one sd), 1.1 times what was to be expected.",
                },
            },
            "forecast_error": 0.0459,
            "coefficients": {
                "A": {"value": 0.0413, "low": 0.0371, "high": 0.0460},
                "a": {"value": 0.31, "low": 0.27, "high": 0.35},
            },
            "runs_used": 12,
            "excluded": [{"id": "3f9a0c52e1b7d604", "reason": "diverged"}],
        }
    ],
    "not_fitted": [],
}


Resource(
    path="fits",
    question=FitsQuestion,
    payload=lambda database, question: payload(fits_of(database, question)),
    answers=FitsAnswer,
    summary="Laws with the intervals of their coefficients",
    description="The object that `scaling fit --json` prints; where no law is named, the one that forecasts best comes first (`the_law`), and `answer` says what it says; of each choice of cells one is `chosen`. A law with too few points is in `not_fitted`; 422 when all of them are.",
    example=_EXAMPLE,
).add_to(router)
