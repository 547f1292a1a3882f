"""`/api/v1/outlook`: what to expect at a compute."""

from __future__ import annotations

from fastapi import APIRouter

from analysis import payload
from analysis.questions import OutlookQuestion
from api.schemas.frontier import OutlookAnswer
from api.studies import outlook_of
from api.v1.resource import Resource

__all__ = ["router"]

router = APIRouter()

_EXAMPLE = {
    "schema_version": 1,
    "metric": "val_loss",
    "x": "core_hours",
    "law": "power-floor",
    "level": 0.95,
    "data": "epochs",
    "currency": "USD",
    "outlook": [
        {
            "at": 0.13,
            "times": 10.0,
            "far": False,
            "value": 0.081,
            "low": 0.074,
            "high": 0.09,
            "model": "nano-F3",
            "data": 32.0,
            "most": 0.004,
            "core_hours": 0.13,
            "cost": 0.33,
            "words": {"value": "0.0810 (0.0740 … 0.0900)", "best": "nano-F3 at 32.0 epochs"},
        }
    ],
    "no_model": "",
}


Resource(
    path="outlook",
    question=OutlookQuestion,
    payload=lambda database, question: payload(outlook_of(database, question)),
    answers=OutlookAnswer,
    summary="What to expect at a compute",
    description="The metric at a compute by the law among the runs and by its forecast beyond them, and the best of the models that were run there. With it come what that "
    "choice costs at most against the best size, and core-hours and money of one run. It fits nothing that the page of the frontier has not fitted. "
    "`far`: nothing in the runs tests a forecast there.",
    example=_EXAMPLE,
).add_to(router)
