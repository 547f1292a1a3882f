"""`/frontier/laws`: the laws side by side, the forecast first, and what each says of a larger run."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Response
from fastapi.responses import RedirectResponse

from analysis import Fit
from analysis.automatic import AUTO
from analysis.choice import best_forecaster
from analysis.figures import frontier_figure
from analysis.fitting.fit_all import Fits
from analysis.presentation import figure_json
from analysis.questions import LawsQuestion
from api.asking import asks, command_line
from api.database import Database
from api.pages.choices import laws_of_one_axis
from api.pages.drawing import drawn
from api.pages.page import Page
from api.rendering import link
from api.studies import fits_of, frontier_of
from scaling.formulas import csv_text

__all__ = ["router"]

BEYOND = 10.0
"""Where the laws are compared: at so many times the largest compute that was run."""


def _laws() -> list[str]:
    """Name the forecast first, then every law of one axis."""
    return [AUTO, *laws_of_one_axis()]


def _chosen(fits: list[Fit]) -> str | None:
    """Name the law that forecasts best among the named ones."""
    named = [fit for fit in fits if fit.backtest is None]
    return best_forecaster(named).law if named else None


def _fits(database: Database, question: LawsQuestion) -> Fits:
    return fits_of(database, question.fits(_laws()))


def _context(database: Database, question: LawsQuestion, found: Fits | None) -> dict[str, Any]:
    fits = found.fits if found is not None else []
    return {
        "rows": [(fit, _row(fit)) for fit in fits],
        "law": _chosen(fits),
        "shown": {"on": fits[0].on if fits else question.on or "frontier"},
        "not_fitted": found.not_fitted if found is not None else [],
        "beyond": BEYOND,
        "figure": database.remember(("laws figure", question), lambda: _figure(database, question, fits)) if fits else None,
        "command": command_line(question.fits(_laws()).words(), database.url),
    }


def _csv(database: Database, question: LawsQuestion) -> str:
    rows = [_row(fit) for fit in _fits(database, question).fits]
    return csv_text(rows, rows[0])


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


router = Page(path="/frontier/laws", question=LawsQuestion, answer=_fits, context=_context, csv=_csv).router


@router.get("/frontier/laws.json", include_in_schema=False)
def laws_as_json(question: Annotated[LawsQuestion, asks(LawsQuestion)]) -> Response:
    return RedirectResponse(link("/api/v1/fits", question.fits(_laws())), 307)
