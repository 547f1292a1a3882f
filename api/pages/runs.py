"""`/runs`: the table of runs, filtered, in pages."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.answered import of_store
from api.database import TheDatabase
from api.pages.tab import Tab
from api.pages.welcome import no_store
from api.rendering import render
from api.tables import csv_response, csv_route
from api.v1.runs import CHOOSABLE, AskedRuns, columns_named, page_of_runs
from orchestrator.store import queries
from orchestrator.store.asked_runs import EXAMPLE, NEWEST, OLDEST, SORTABLE
from orchestrator.store.experiments import experiment_names
from scaling.columns import table_rows
from scaling.formulas import csv_text
from scaling.outcomes import RunStatus

__all__ = ["TAB", "router"]

TAB = Tab(2, "/runs", "Runs")

SHOWN = (
    "status",
    "family",
    "model",
    "epochs",
    "learning_rate",
    "seed",
    "val_loss",
    "val_top1",
    "core_hours",
    "train_flops",
    "step",
    "reason",
)
router = APIRouter()


@router.get("/runs.csv", **csv_route("/runs.csv"))
def runs_as_csv(question: AskedRuns, database: TheDatabase) -> Response:
    """Answer as CSV all runs that match, or one page when `limit` or `next` is given."""
    if question.limit or question.next:
        rows = page_of_runs(database, question).rows
    else:
        with database.read() as session:
            rows = queries.runs(session, **question.wanted, sort=question.sort or OLDEST)
    return csv_response(csv_text(*table_rows(rows)), "runs")


@router.get("/runs", include_in_schema=False)
@of_store
def runs_page(question: AskedRuns, database: TheDatabase, request: Request) -> Response:
    if (welcome := no_store(request, database)) is not None:
        return welcome
    with database.read() as session:
        experiments = experiment_names(session)[::-1]
        models = queries.models(session)
        counts = queries.status_counts(session, question.experiment)
        in_all, left = queries.count_runs(session), queries.interrupted(session, question.experiment)
    families = found if len(found := sorted({family for family, _ in models if family})) > 1 else None
    return render(
        request,
        "runs.html",
        question=question,
        page=page_of_runs(database, question, sort=NEWEST),
        sort=question.sort or NEWEST,
        sortable=SORTABLE,
        columns=columns_named(question.columns or [name for name in SHOWN if name != "family" or families]),
        choosable=CHOOSABLE,
        shown={"status": question.status[0] if question.status and len(question.status) == 1 else None},
        in_all=in_all,
        counts=counts,
        interrupted=left,
        choices={
            "experiment": experiments,
            "status": [str(status) for status in RunStatus],
            "family": families,
            "model": [model for _, model in models if model],
            "q": EXAMPLE,
        },
    )
