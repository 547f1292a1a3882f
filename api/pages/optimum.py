"""`/frontier/optimum`: best size and epochs against compute; `/frontier/slices`: loss against size at equal compute."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from analysis import payload
from analysis.as_csv import as_csv
from analysis.figures import optimum_figure, slices_figure
from analysis.presentation import figure_json
from analysis.presentation.left_out import by_reason
from api.database import Database, TheDatabase
from api.pages.choices import analysis_choices, families
from api.pages.trouble import attempt
from api.pages.welcome import no_store
from api.questions import OptimumQuestion
from api.rendering import render
from api.studies import optimum_of, slices_at
from api.tables import csv_response

__all__ = ["router"]

router = APIRouter()

Asked = Annotated[OptimumQuestion, Query()]


@router.get("/frontier/optimum.json")
def optimum_as_json(question: Asked, database: TheDatabase) -> dict[str, object]:
    return payload(optimum_of(database, question))


@router.get("/frontier/optimum.csv")
def optimum_as_csv(question: Asked, database: TheDatabase) -> Response:
    return csv_response(optimum_of(database, question).to_csv(), "optimum")


@router.get("/frontier/slices.json")
def slices_as_json(question: Asked, database: TheDatabase) -> dict[str, object]:
    return payload(slices_at(database, question))


@router.get("/frontier/slices.csv")
def slices_as_csv(question: Asked, database: TheDatabase) -> Response:
    return csv_response(as_csv(slices_at(database, question).table), "slices")


@router.get("/frontier/optimum")
def optimum_page(question: Asked, database: TheDatabase, request: Request) -> Response:
    if (welcome := no_store(request, database)) is not None:
        return welcome
    optimum, trouble = attempt(lambda: optimum_of(database, question))
    return render(
        request,
        "optimum.html",
        question=question,
        choices=_choices(database, question),
        optimum=optimum,
        trouble=trouble,
        excluded=by_reason(optimum.excluded) if optimum is not None else [],
        figure=figure_json(optimum_figure(optimum)) if optimum is not None and optimum.recommended is not None else None,
        answered_in=_answered_in(database, question) if optimum is not None and optimum.recommended is None else None,
        command=question.command(database.url),
    )


@router.get("/frontier/slices")
def slices_page(question: Asked, database: TheDatabase, request: Request) -> Response:
    if (welcome := no_store(request, database)) is not None:
        return welcome
    slices, trouble = attempt(lambda: slices_at(database, question))
    optimum = optimum_of(database, question) if slices is not None else None
    return render(
        request,
        "slices.html",
        question=question,
        choices=_choices(database, question),
        slices=slices,
        path=optimum.path("isocompute") if optimum is not None else None,
        trouble=trouble,
        figure=figure_json(slices_figure(slices)) if slices is not None and len(slices.table) else None,
        command=question.command(database.url),
    )


def _answered_in(database: Database, question: OptimumQuestion) -> str | None:
    """Another measure of compute in which an approach finds an optimum: FLOPs, where measured hours are mostly the overhead of small models."""
    other = "train_flops"
    if question.x == other:
        return None
    optimum, _ = attempt(lambda: optimum_of(database, question.model_copy(update={"x": other})))
    return other if optimum is not None and optimum.recommended is not None else None


def _choices(database: Database, question: OptimumQuestion) -> dict[str, object]:
    return {**analysis_choices(database, question), "family": families(database)}
