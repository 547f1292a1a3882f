"""`/frontier/trust`: how far to trust a law: what is worth knowing about it, what laws forecast, residuals run by run."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from analysis import Fit
from analysis.as_csv import as_csv
from analysis.figures import backtest_figure, residuals_figure
from analysis.numbers import records
from analysis.presentation import figure_json
from api.database import Database, TheDatabase
from api.pages.choices import LAW_CHOICES, analysis_choices, laws_of_one_axis
from api.pages.drawing import MOST_MARKS
from api.pages.trouble import attempt
from api.pages.welcome import no_store
from api.questions import TrustQuestion
from api.rendering import render
from api.studies import fits_of
from api.tables import csv_response
from scaling.columns import SCHEMA_VERSION

__all__ = ["router"]

router = APIRouter()

Asked = Annotated[TrustQuestion, Query()]

ROWS_SHOWN = 500


@router.get("/frontier/trust.json")
def trust_as_json(question: Asked, database: TheDatabase) -> dict[str, object]:
    fit = _fit(database, question)
    test = fit.tested.to_dict() if fit.tested is not None else None
    return {"schema_version": SCHEMA_VERSION, "fit": fit.to_dict(), "backtest": test, "residuals": records(fit.residuals)}


@router.get("/frontier/trust.csv")
def trust_as_csv(question: Asked, database: TheDatabase) -> Response:
    return csv_response(as_csv(_fit(database, question).residuals), "residuals")


@router.get("/frontier/trust")
def trust_page(question: Asked, database: TheDatabase, request: Request) -> Response:
    if (welcome := no_store(request, database)) is not None:
        return welcome
    fit, trouble = attempt(lambda: _fit(database, question))
    test = fit.tested if fit is not None else None
    return render(
        request,
        "trust.html",
        question=question,
        choices={**analysis_choices(database, question), "law": (*LAW_CHOICES, *laws_of_one_axis())},
        fit=fit,
        on=fit.on if fit is not None else question.on or "frontier",
        trouble=trouble,
        backtest=test,
        untested=fit.untested if fit is not None else None,
        backtest_figure=figure_json(backtest_figure(test)) if test is not None else None,
        residuals=fit.residuals.head(ROWS_SHOWN).to_dict("records") if fit is not None else [],
        figure=figure_json(residuals_figure(fit, height=360)) if fit is not None and fit.runs_used <= MOST_MARKS else None,
        command=question.command(database.url),
    )


def _fit(database: Database, question: TrustQuestion) -> Fit:
    return fits_of(database, question.fits)[0][0]
