"""`/runs`: the table of runs, filtered, in pages."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api.database import Database, TheDatabase
from api.pages.tab import Tab
from api.pages.welcome import no_store
from api.questions import RunsQuestion
from api.rendering import render
from api.tables import csv_response, csv_text
from api.v1.runs import page_of_runs
from orchestrator.store import queries
from orchestrator.store.payloads import runs_payload
from scaling.columns import RUN_COLUMNS
from scaling.outcomes import RunStatus

__all__ = ["TAB", "router"]

TAB = Tab(2, "/runs", "Runs")

router = APIRouter()


@router.get("/runs.json")
def runs_as_json(question: Annotated[RunsQuestion, Query()], database: TheDatabase) -> dict[str, object]:
    """All that match, or one page when `limit` or `next` is given."""
    if question.limit or question.next:
        page = page_of_runs(database, question)
        return runs_payload(page.rows, total=page.total, next_page=page.next)
    return runs_payload(_all(database, question))


@router.get("/runs.csv")
def runs_as_csv(question: Annotated[RunsQuestion, Query()], database: TheDatabase) -> Response:
    rows = page_of_runs(database, question).rows if question.limit or question.next else _all(database, question)
    return csv_response(csv_text(rows, (column.name for column in RUN_COLUMNS)), "runs")


@router.get("/runs")
def runs_page(question: Annotated[RunsQuestion, Query()], database: TheDatabase, request: Request) -> Response:
    if (welcome := no_store(request, database)) is not None:
        return welcome
    with database.read() as session:
        experiments = queries.experiments(session)
        models = queries.models(session)
        counts = queries.status_counts(session, question.experiment)
        in_all, left = queries.count_runs(session), queries.interrupted(session, question.experiment)
    return render(
        request,
        "runs.html",
        question=question,
        page=page_of_runs(database, question),
        in_all=in_all,
        counts=counts,
        interrupted=left,
        choices={
            "experiment": [row["name"] for row in experiments],
            "status": [str(status) for status in RunStatus],
            "family": sorted({family for family, _ in models}),
            "model": [model for _, model in models],
        },
    )


def _all(database: Database, question: RunsQuestion) -> list[dict[str, object]]:
    wanted: dict[str, Any] = question.model_dump(include={"experiment", "family", "model"}) | {"status": question.status or ()}
    with database.read() as session:
        return queries.runs(session, **wanted)
