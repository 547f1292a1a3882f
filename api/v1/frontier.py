"""`/api/v1/frontier`: the compute-optimal cells."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from analysis import payload
from api.database import TheDatabase
from api.questions import FrontierQuestion
from api.studies import answer_of, frontier_of

__all__ = ["router"]

router = APIRouter()

_POINT = {
    "family": "nfnet",
    "model": "nano-F1",
    "params": 61_034,
    "epochs": 4.0,
    "learning_rate": 0.8,
    "seeds": 2,
    "core_hours": 0.00061,
    "val_loss": 0.1402,
    "val_loss_min": 0.1384,
    "val_loss_max": 0.1420,
    "run_ids": ["3f9a0c52e1b7d604", "b01c6dd29fe84a17"],
    "on_frontier": True,
}


@router.get(
    "/frontier",
    summary="Cells in order of compute, and which of them no other beats",
    responses={
        200: {
            "content": {
                "application/json": {
                    "example": {
                        "schema_version": 1,
                        "answer": {"sentence": "val_loss falls as core_hours^-0.905 (95 %: -0.995 … -0.815). …", "law": "power"},
                        "metric": "val_loss",
                        "x": "core_hours",
                        "points": [_POINT],
                        "best": [{"core_hours_from": 0.00061, "core_hours_to": None, "model": "nano-F1", "epochs": 4.0}],
                        "runs_used": 2,
                        "excluded": [],
                    }
                }
            }
        }
    },
)
def frontier(question: Annotated[FrontierQuestion, Query()], database: TheDatabase) -> dict[str, object]:
    """The object that `scaling frontier --json` prints, without `best_loss` and `frontier_share` of the points. `answer` is null where there is no law."""
    return payload(frontier_of(database, question), answer=answer_of(database, question))
