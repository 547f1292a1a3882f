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
from api.rendering import render
from api.tables import csv_response, csv_route
from api.v1.experiments import experiment_named
from api.v1.steering import ACTIONS
from orchestrator.store import queries
from orchestrator.store.progress import progress_of
from orchestrator.store.steering import Steer, possible
from scaling.columns import table_rows
from scaling.formulas import csv_text
from scaling.outcomes import RunStatus

__all__ = ["router"]

_TROUBLE = (RunStatus.FAILED, RunStatus.DIVERGED, RunStatus.STOPPED, RunStatus.CANCELLED)
_TROUBLE_SHOWN = 200
_NAMED = 12
_AT_STEP = re.compile(r"step [0-9,]+")

router = APIRouter()


@dataclass(frozen=True)
class Cell:
    """Counts the runs of one (model, epochs): how many are done, and the best loss among them."""

    finished: int
    runs: int
    best: float | None
    best_run: str | None


@router.get("/experiments/{name}.csv", **csv_route("/experiments/{name}.csv"))
@of_store
def experiment_as_csv(name: str, database: TheDatabase) -> Response:
    _, runs = experiment_named(database, name)
    return csv_response(csv_text(*table_rows(runs)), "experiment")


@router.get("/experiments/{name}", include_in_schema=False)
@of_store
def experiment_page(name: str, database: TheDatabase, request: Request) -> Response:
    if (welcome := no_store(request, database)) is not None:
        return welcome
    row, runs = experiment_named(database, name)
    statuses = {str(run["status"]) for run in runs}
    with database.read() as session:
        scheduler, revision = queries.scheduler(session), queries.revision(session, name)
        pace = progress_of(session, name)
    trouble = sorted((run for run in runs if run["status"] in _TROUBLE), key=lambda run: _TROUBLE.index(run["status"]))
    return render(
        request,
        "experiment.html",
        headers={"Cache-Control": "no-store"},  # who holds the lease depends on the time
        experiment=row,
        actions=[steer for steer in ACTIONS if any(steer in possible(status) for status in statuses)],
        pace=pace,
        failures=failures(name, runs, database.url),
        scheduler=scheduler,
        revision=revision,
        cells=_cells(runs),
        models=list(dict.fromkeys(run["model"] for run in sorted(runs, key=lambda run: (run["family"] or "", run["params"] or 0)))),
        budgets=sorted({run["epochs"] for run in runs}, key=lambda epochs: (epochs is None, epochs)),
        trouble=trouble[:_TROUBLE_SHOWN],
        trouble_count=len(trouble),
        has_diverged=any(run["status"] == RunStatus.DIVERGED for run in trouble),
        has_failed=any(run["status"] == RunStatus.FAILED for run in trouble),
    )


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


def _cells(runs: Iterable[Mapping[str, Any]]) -> dict[tuple[str, float], Cell]:
    groups: dict[tuple[str, float], list[Mapping[str, object]]] = defaultdict(list)
    for run in runs:
        groups[run["model"], run["epochs"]].append(run)
    return {place: _cell(members) for place, members in groups.items()}


def _cell(runs: list[Mapping[str, Any]]) -> Cell:
    finished = [run for run in runs if run["status"] == RunStatus.FINISHED]
    best = min((run for run in finished if run["val_loss"] is not None), key=lambda run: run["val_loss"], default=None)
    return Cell(len(finished), len(runs), best["val_loss"] if best else None, best["id"] if best else None)
