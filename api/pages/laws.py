"""`/frontier/laws`: the laws side by side, the forecast first, and what each says of a larger run."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from analysis import Fit, payload
from analysis.automatic import AUTO
from analysis.choice import best_forecaster
from analysis.figures import frontier_figure
from analysis.presentation import figure_json
from api.database import Database, TheDatabase
from api.pages.choices import analysis_choices, laws_of_one_axis
from api.pages.drawing import drawn
from api.pages.trouble import attempt
from api.pages.welcome import no_store
from api.questions import LawsQuestion
from api.rendering import render
from api.studies import fits_of, frontier_of
from api.tables import csv_response, csv_text

__all__ = ["router"]

router = APIRouter()

Asked = Annotated[LawsQuestion, Query()]

BEYOND = 10.0
"""Where the laws are compared: at so many times the largest compute that was run."""


@router.get("/frontier/laws.json")
def laws_as_json(question: Asked, database: TheDatabase) -> dict[str, object]:
    return payload(fits_of(database, question.fits(_laws())))


@router.get("/frontier/laws.csv")
def laws_as_csv(question: Asked, database: TheDatabase) -> Response:
    rows = [_row(fit) for fit in _fits(database, question)[0]]
    return csv_response(csv_text(rows, rows[0]), "laws")


@router.get("/frontier/laws")
def laws_page(question: Asked, database: TheDatabase, request: Request) -> Response:
    if (welcome := no_store(request, database)) is not None:
        return welcome
    found, trouble = attempt(lambda: _fits(database, question))
    fits, not_fitted = found if found is not None else ([], [])
    figure = database.remember(("laws figure", question), lambda: _figure(database, question, fits)) if fits else None
    return render(
        request,
        "laws.html",
        question=question,
        choices=analysis_choices(database, question),
        rows=[(fit, _row(fit)) for fit in fits],
        law=_chosen(fits),
        on=fits[0].on if fits else question.on or "frontier",
        not_fitted=not_fitted,
        beyond=BEYOND,
        trouble=trouble,
        figure=figure,
        command=question.command(database.url, _laws()),
    )


def _laws() -> list[str]:
    """The forecast first, then every law of one axis."""
    return [AUTO, *laws_of_one_axis()]


def _chosen(fits: list[Fit]) -> str | None:
    """Of the named ones."""
    named = [fit for fit in fits if fit.backtest is None]
    return best_forecaster(named).law if named else None


def _fits(database: Database, question: LawsQuestion) -> tuple[list[Fit], list[dict[str, object]]]:
    return fits_of(database, question.fits(_laws()))


def _figure(database: Database, question: LawsQuestion, fits: list[Fit]) -> object:
    shown = drawn(frontier_of(database, question))
    return figure_json(frontier_figure(shown.frontier, fits, extrapolate=BEYOND, bands=False))


def _row(fit: Fit) -> dict[str, object]:
    largest = fit.x_range[1]
    end = fit.predict([BEYOND * largest], kind="new-run").iloc[0]
    return {
        "law": AUTO if fit.backtest is not None else fit.law,
        "equation": fit.equation(),
        "status": str(fit.status),
        "identified": fit.lights.identified.ok,
        "forecasts_well": fit.lights.forecasts_well.ok,
        "forecast_error": fit.forecast_error,
        "residual_std": fit.residual_std,
        fit.axes[0]: BEYOND * largest,
        "predicted": float(end["mean"]),
        "low": float(end["low"]),
        "high": float(end["high"]),
        "runs_used": fit.runs_used,
    }
