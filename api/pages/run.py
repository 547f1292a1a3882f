"""`/runs/{id}`: one run: its curves, config, attempts and what it cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from analysis.presentation import figure_json
from api.database import TheDatabase
from api.pages.curves import as_table, curve_figures
from api.pages.overlay import MOST
from api.pages.welcome import no_store
from api.problems import naming_a_path
from api.rendering import render
from api.tables import csv_response, csv_route
from api.v1.runs import run_with_curves
from orchestrator.logs import end_of_log, log_of
from orchestrator.store import queries
from scaling.columns import FINETUNING, RECIPE_COLUMNS, model_title
from scaling.formulas import csv_text

__all__ = ["router"]

SPENT_ON = ("useful", "redone", "startup", "evaluation", "checkpoint")
PACE = ("examples_per_second", "step_seconds", "mfu", "input_stall", "memory_bytes", "compile_seconds")

router = APIRouter()


@router.get("/runs/{run_id}.csv", **csv_route("/runs/{run_id}.csv"))
def run_as_csv(run_id: str, database: TheDatabase) -> Response:
    """Answer the curves as CSV: a row for each number that was logged."""
    detail, curves = run_with_curves(database, run_id)
    rows = [{"step": step, "metric": name, "value": value} for name, points in curves.items() for step, value in points]
    return csv_response(csv_text(rows, ("step", "metric", "value")), f"run-{detail['id']}")


@router.get(
    "/runs/{run_id}.log",
    operation_id="run_log",
    tags=["log"],
    summary="The end of a run's log, as text",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def end_of_the_log(run_id: str, database: TheDatabase) -> Response:
    """Answer the last lines of the last attempt's log as text; 404 where it is not on this machine."""
    with naming_a_path(), database.read() as session:
        run = queries.run_detail(session, run_id)
    if (log := _log(run)) is None:
        raise HTTPException(404)
    return Response("\n".join(log), media_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"})


@router.get("/runs/{run_id}", include_in_schema=False)
def run_page(run_id: str, database: TheDatabase, request: Request) -> Response:
    if (welcome := no_store(request, database)) is not None:
        return welcome
    with naming_a_path(), database.read() as session:
        run = queries.run_detail(session, run_id)
        if run["id"] != run_id:  # one run, one link
            return RedirectResponse(f"/runs/{run['id']}", 307)
        curves, alike = queries.metrics(session, run["id"]), queries.siblings(session, run["id"])
    forecast = request.app.state.forecasts.last(run)
    seconds = {name: sum(attempt[f"{name}_seconds"] or 0.0 for attempt in run["attempt_rows"]) for name in SPENT_ON}
    log = _log(run)
    return render(
        request,
        "run.html",
        headers={"Cache-Control": "no-store"} if log is not None else None,  # a log grows between commits
        run=run,
        title=run_title(run),
        siblings=alike if len(alike) > 1 else [],
        siblings_shown=_siblings_beside(alike, run["id"]),
        log=log,
        figures=[
            (title, figure_json(figure), as_table(figure))
            for title, figure in curve_figures(
                curves,
                run["evaluations"],
                run["steps"],
                forecast,
                over=run["config"].get("imported", {}).get("curves_over", "step"),
            )
        ],
        forecast=forecast,
        pace=typical_pace(curves),
        seconds=seconds,
        held_seconds=sum(seconds.values()),
        config=json.dumps(run["config"], indent=2, ensure_ascii=False, default=str),
    )


def _log(run: Mapping[str, Any]) -> list[str] | None:
    """Read the end of the last attempt's log; None where there is none on this machine."""
    return end_of_log(log_of(run["attempt_rows"][-1])) if run["attempt_rows"] else None


def _siblings_beside(alike: Sequence[Mapping[str, Any]], run_id: str) -> list[str]:
    """Return the ids of this run and of the siblings next to it, as many as can be compared."""
    ids = [str(row["id"]) for row in alike]
    first = max(0, min(ids.index(run_id) - MOST // 2, len(ids) - MOST)) if run_id in ids else 0
    return ids[first : first + MOST]


def run_title(run: Mapping[str, Any]) -> str:
    """Write all that tells a run apart: model, data set, epochs, rate, batch size, what of its recipe is not neutral, seed."""
    parts = [model_title(run)]
    parts += [f"on {run['dataset']}"] if run["dataset"] else []
    if run["epochs"] is not None:
        parts.append(f"{run['epochs']:g} epoch{'' if run['epochs'] == 1 else 's'}")
    named = (("learning_rate", "rate"), ("batch_size", "batch"), ("weight_decay", "weight decay"))
    parts += [f"{word} {run[name]:g}" for name, word in named if run.get(name) is not None]
    parts += [
        f"{column.name.replace('_', ' ')} {run[column.name]}" for column in RECIPE_COLUMNS if run.get(column.name) is not None
    ]
    parts += [] if run["seed"] is None else [f"seed {run['seed']}"]
    return " · ".join([*parts, *(["fine-tuned"] if run["stage"] == FINETUNING else [])])


def typical_pace(curves: Mapping[str, Sequence[tuple[int, float | None]]]) -> dict[str, float | None]:
    """Say how fast a run goes: medians over what was logged, of memory and compilation the most; None for what was not logged."""
    logged = {name: [value for _, value in curves.get(name, ()) if value is not None] for name in PACE}
    most = ("memory_bytes", "compile_seconds")
    return {name: (max if name in most else median)(values) if values else None for name, values in logged.items()}
