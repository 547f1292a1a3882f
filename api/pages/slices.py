"""`/frontier/slices`: loss against size at equal compute."""

from __future__ import annotations

from typing import Any

from analysis import frontier, payload
from analysis.as_csv import as_csv
from analysis.figures import slices_figure
from analysis.optimum.slices import Slices, slices_of
from analysis.presentation import figure_json
from analysis.questions import OptimumQuestion
from api.database import Database
from api.pages.choices import families
from api.pages.page import Page
from api.schemas.optimum import SlicesAnswer
from api.studies import optimum_of, runs_of
from api.v1.resource import Resource

__all__ = ["router"]

_EXAMPLE = {
    "schema_version": 1,
    "metric": "val_loss",
    "x": "core_hours",
    "size": "params",
    "slices": [{"core_hours": 0.01, "size": 52_682.0, "model": "nano-F3", "epochs": 7.4, "val_loss": 0.21}],
    "optima": [{"core_hours": 0.01, "sizes": 3, "best_size": 52_682.0, "interior": False, "optimal_size": None}],
}


def _slices(database: Database, question: OptimumQuestion) -> Slices:
    def made() -> Slices:
        optimum, runs = optimum_of(database, question), runs_of(database, question)
        own = runs[runs["family"] == question.family] if question.family else runs
        return slices_of(frontier(own, metric=question.metric, x=question.x), optimum)

    return database.remember(("slices", question), made)


def _context(database: Database, question: OptimumQuestion, slices: Slices | None) -> dict[str, Any]:
    return {
        "choices": {"family": families(database)},
        "path": optimum_of(database, question).path("isocompute") if slices is not None else None,
        "figure": figure_json(slices_figure(slices)) if slices is not None and len(slices.table) else None,
    }


router = Page(
    path="/frontier/slices",
    question=OptimumQuestion,
    answer=_slices,
    context=_context,
    csv=lambda database, question: as_csv(_slices(database, question).table),
    resource=Resource(
        path="slices",
        question=OptimumQuestion,
        payload=lambda database, question: payload(_slices(database, question)),
        answers=SlicesAnswer,
        summary="Loss against size at equal compute",
        description="Each model's loss at equal compute, as run where sizes share budgets, else interpolated, and the minimum of each slice's curve.",
        example=_EXAMPLE,
    ),
).router
