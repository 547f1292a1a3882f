"""`/frontier/optimum`: best size and epochs against compute, by three approaches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from analysis import Optimum, payload
from analysis.figures import optimum_figure
from analysis.presentation import figure_json
from analysis.questions import OptimumQuestion
from api.database import Database
from api.pages.choices import families
from api.pages.page import Page
from api.pages.trouble import attempt
from api.schemas.optimum import OptimumAnswer
from api.studies import optimum_of
from api.v1.resource import Resource
from scaling.errors import UnknownName

__all__ = ["router"]

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


def _context(database: Database, question: OptimumQuestion, optimum: Optimum | None) -> dict[str, Any]:
    answers = optimum is not None and optimum.recommended is not None
    return {
        "choices": {"family": families(database)},
        "figure": figure_json(optimum_figure(optimum)) if optimum is not None and answers else None,
        "answered_in": _answered_in(database, question) if optimum is not None and not answers else None,
    }


def _answered_in(database: Database, question: OptimumQuestion) -> str | None:
    """Name another measure of compute in which an approach finds an optimum; None where none does.

    That is FLOPs, where measured hours are mostly the overhead of small models.
    """
    other = "train_flops"
    if question.x == other:
        return None
    try:
        optimum, _ = attempt(lambda: optimum_of(database, replace(question, x=other)))
    except UnknownName:  # imported runs may not say it
        return None
    return other if optimum is not None and optimum.recommended is not None else None


router = Page(
    path="/frontier/optimum",
    question=OptimumQuestion,
    answer=optimum_of,
    context=_context,
    resource=Resource(
        path="optimum",
        question=OptimumQuestion,
        payload=lambda database, question: payload(optimum_of(database, question)),
        answers=OptimumAnswer,
        summary="Best size and epochs against compute, by three approaches",
        description="The object that `scaling frontier --optimum --json` prints. An approach that refuses says why; 422 with too few sizes or cells.",
        example=_EXAMPLE,
    ),
).router
