"""`/experiments`: what was asked for, and how far it is."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from api.answered import of_store
from api.database import TheDatabase
from api.pages.tab import Tab
from api.pages.welcome import no_store
from api.rendering import render
from api.tables import csv_response
from orchestrator.store import queries
from scaling.formulas import csv_text
from scaling.outcomes import RunStatus

__all__ = ["TAB", "router"]

TAB = Tab(3, "/experiments", "Experiments")

_COLUMNS = (
    "name", "created_at", "revision", "file", "core_hours", "inherited_core_hours", "spent_core_hours", "allocated_core_hours",
    "estimated_core_hours", "cost", "allocated_cost", "estimated_cost", "currency", "best_val_loss",
)  # fmt: skip

router = APIRouter(include_in_schema=False)


@router.get("/experiments.csv")
def experiments_as_csv(database: TheDatabase) -> Response:
    with database.read() as session:
        rows = [{**row, **row["runs"]} for row in queries.experiments(session)]
    return csv_response(csv_text(rows, (*_COLUMNS, *(str(status) for status in RunStatus))), "experiments")


@router.get("/experiments")
@of_store
def experiments_page(database: TheDatabase, request: Request) -> Response:
    if (welcome := no_store(request, database)) is not None:
        return welcome
    with database.read() as session:
        rows, scheduler, left = queries.experiments(session), queries.scheduler(session), queries.interrupted(session)
    # Who holds the lease depends on the time, not only on the store.
    known: dict[str, Any] = {"experiments": rows, "scheduler": scheduler, "interrupted": left}
    return render(request, "experiments.html", headers={"Cache-Control": "no-store"}, **known)
