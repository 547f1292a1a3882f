"""`/experiments`: what was asked for, and how far it is."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from api.answered import of_store
from api.database import TheDatabase
from api.pages.tab import Tab
from api.pages.welcome import no_store
from api.rendering import render
from api.tables import csv_response, csv_route
from orchestrator.store import queries
from orchestrator.store.payloads import experiments_csv

__all__ = ["TAB", "router"]

TAB = Tab(3, "/experiments", "Experiments")

router = APIRouter()


@router.get("/experiments.csv", **csv_route("/experiments.csv"))
def experiments_as_csv(database: TheDatabase) -> Response:
    with database.read() as session:
        return csv_response(experiments_csv(queries.experiments(session)), "experiments")


@router.get("/experiments", include_in_schema=False)
@of_store
def experiments_page(database: TheDatabase, request: Request) -> Response:
    if (welcome := no_store(request, database)) is not None:
        return welcome
    with database.read() as session:
        rows, scheduler, left = queries.experiments(session), queries.scheduler(session), queries.interrupted(session)
    # Who holds the lease depends on the time, not only on the store.
    known: dict[str, Any] = {"experiments": rows, "scheduler": scheduler, "interrupted": left}
    return render(request, "experiments.html", headers={"Cache-Control": "no-store"}, **known)
