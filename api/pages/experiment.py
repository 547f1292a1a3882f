"""`/experiments/{name}`: progress by state, spend against the estimate, and what went wrong with what to do about it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from api.answered import of_store
from api.asking import command_line
from api.database import TheDatabase
from api.pages.welcome import no_store
from api.problems import naming_a_path
from api.rendering import render
from api.tables import csv_response, csv_route
from api.v1.experiments import experiment_row
from api.v1.steering import ACTIONS
from orchestrator.store import queries
from orchestrator.store.grid_cells import grid_cells, troubled
from orchestrator.store.progress import progress_of
from orchestrator.store.steering import Steer, possible
from scaling.columns import table_rows
from scaling.formulas import csv_text
from scaling.outcomes import RunStatus

__all__ = ["router"]

_TROUBLE = (RunStatus.FAILED, RunStatus.DIVERGED, RunStatus.STOPPED, RunStatus.CANCELLED)
_TROUBLE_SHOWN = 200
_MOST_CELLS, _LEAST_BUDGETS = 600, 12
"""Places of the grid that a page shows, about 250 bytes each; and budgets, however many models there are."""
_NAMED = 12
_AT_STEP = re.compile(r"step [0-9,]+")

router = APIRouter()


@router.get("/experiments/{name}.csv", **csv_route("/experiments/{name}.csv"))
@of_store
def experiment_as_csv(name: str, database: TheDatabase) -> Response:
    with naming_a_path(), database.read() as session:
        runs = queries.runs(session, experiment=name)
    return csv_response(csv_text(*table_rows(runs)), "experiment")


@router.get("/experiments/{name}", include_in_schema=False)
@of_store
def experiment_page(name: str, database: TheDatabase, request: Request) -> Response:
    if (welcome := no_store(request, database)) is not None:
        return welcome
    with database.read() as session:
        row, scheduler, revision = experiment_row(session, name), queries.scheduler(session), queries.revision(session, name)
        pace, cells, wrong = progress_of(session, name), grid_cells(session, name), troubled(session, name, _TROUBLE)
        wrong.sort(key=lambda run: _TROUBLE.index(run["status"]))
        shown = {run["id"]: place for place, run in enumerate(wrong[:_TROUBLE_SHOWN])}
        trouble = sorted(queries.runs(session, experiment=name, ids=shown), key=lambda run: shown[run["id"]]) if shown else []
    models = list(dict.fromkeys(cell.model for cell in cells))
    budgets = sorted({cell.epochs for cell in cells}, key=lambda epochs: (epochs is None, epochs or 0.0))
    return render(
        request,
        "experiment.html",
        headers={"Cache-Control": "no-store"},  # who holds the lease depends on the time
        experiment=row,
        actions=[steer for steer in ACTIONS if any(steer in possible(status) for status in row["runs"])],
        pace=pace,
        failures=failures(name, wrong, database.url),
        scheduler=scheduler,
        revision=revision,
        cells={(cell.model, cell.epochs): cell for cell in cells},
        models=models,
        budgets=_spread(budgets, max(_LEAST_BUDGETS, _MOST_CELLS // max(1, len(models)))),
        budget_count=len(budgets),
        trouble=trouble,
        trouble_count=len(wrong),
        has_diverged=any(run["status"] == RunStatus.DIVERGED for run in wrong),
        has_failed=any(run["status"] == RunStatus.FAILED for run in wrong),
    )


def _spread(budgets: list[float | None], most: int) -> list[float | None]:
    """Choose at most so many budgets, evenly from the smallest to the largest."""
    if len(budgets) <= most:
        return budgets
    return [budgets[round(place * (len(budgets) - 1) / (most - 1))] for place in range(most)]


@dataclass(frozen=True)
class Failure:
    """Groups runs that ended with the same status and message. command: retries them; None where they would end so again."""

    status: str
    message: str
    runs: list[str]
    command: str | None


def failures(experiment: str, runs: Iterable[Mapping[str, Any]], db: str) -> list[Failure]:
    """Group the runs that went wrong by status and the first line of their reason, numbers of steps aside; the most frequent first."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for run in runs:
        if run["status"] in _TROUBLE:
            message = run["reason"].partition("\n")[0]
            groups[run["status"], _AT_STEP.sub("step …", message)].append(run)
    found = []
    for (status, message), alike in sorted(
        groups.items(), key=lambda group: (_TROUBLE.index(RunStatus(group[0][0])), -len(group[1]))
    ):
        ids = [str(run["id"]) for run in alike]
        is_retried = Steer.RETRY in possible(status) and not alike[0].get("imported_from")
        which = [run[:8] for run in ids] if len(ids) <= _NAMED else ["--experiment", experiment]
        command = command_line(["scaling", "retry", *which], db) if is_retried else None
        found.append(Failure(status, alike[0]["reason"].partition("\n")[0] if len(alike) == 1 else message, ids, command))
    return found
