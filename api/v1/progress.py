"""`/api/v1/progress`: how far the runs are, once; `/api/v1/events` tells the same as it changes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from analysis.questions import Question
from api.asking import asks
from api.database import TheDatabase
from api.json_answer import answers, json_answer
from api.schemas.progress import ProgressAnswer
from orchestrator.store.progress import experiment_at_hand, progress_of
from scaling.columns import SCHEMA_VERSION

__all__ = ["EXAMPLE", "router"]

router = APIRouter()

EXAMPLE = {
    "schema_version": SCHEMA_VERSION,
    "experiment": "digits",
    "seconds": 210.0,
    "counts": {"pending": 26, "running": 1, "finished": 21},
    "running": [
        {
            "id": "3f9a0c52e1b7d604",
            "family": "nfnet",
            "model": "nano-F1",
            "epochs": 4.0,
            "learning_rate": 0.8,
            "seed": 0,
            "step": 40,
            "steps": 85,
            "train_loss": 1.21,
            "examples_per_second": 2310.0,
            "mfu": 0.041,
        }
    ],
    "core_hours": 0.0104,
    "estimated_core_hours": 0.0205,
    "best_val_loss": 0.0951,
    "eta_seconds": 240.0,
    "has_scheduler": True,
    "examples_per_second": 2310.0,
    "mfu": 0.041,
    "pace": "2,310 examples/s, MFU 4.1 %",
    "sentence": "21 of 48 · about 4 min",
    "total": 48,
    "over": 21,
}


@router.get(
    "/progress",
    summary="How far the runs are",
    operation_id="get_progress",
    responses=answers(ProgressAnswer, EXAMPLE),
)
def progress(question: Annotated[Question, asks(Question)], database: TheDatabase) -> Response:
    """Tell runs by status, core-hours spent and estimated, the time left, and the runs in training with their throughput and MFU.

    Without `experiment` it is of the one that has runs to come, or of the whole store.
    """
    with database.read() as session:
        found = progress_of(session, question.experiment or experiment_at_hand(session))
    return json_answer({"schema_version": SCHEMA_VERSION, **found.to_dict()})
