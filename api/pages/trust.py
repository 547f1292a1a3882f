"""`/frontier/trust`: how far to trust a law. It shows what is worth knowing about the law, what laws forecast, and residuals run by run."""

from __future__ import annotations

from typing import Annotated, Any

from analysis import Fit
from analysis.as_csv import as_csv
from analysis.figures import backtest_figure, reliability, reliability_figure, residuals_figure
from analysis.numbers import records
from analysis.presentation import figure_json
from analysis.questions import TrustQuestion
from api.answered import of_results
from api.asking import asks
from api.database import Database, TheDatabase
from api.pages.choices import LAW_CHOICES, laws_of_one_axis
from api.pages.drawing import MOST_MARKS
from api.pages.page import Page
from api.studies import fits_of
from scaling.columns import SCHEMA_VERSION

__all__ = ["router"]

ROWS_SHOWN = 250


def _fit(database: Database, question: TrustQuestion) -> Fit:
    return fits_of(database, question.fits()).fits[0]


def _context(database: Database, question: TrustQuestion, fit: Fit | None) -> dict[str, Any]:
    test = fit.tested if fit is not None else None
    return {
        "choices": {"law": (*LAW_CHOICES, *laws_of_one_axis())},
        "shown": {"on": fit.on if fit is not None else question.on or "frontier"},
        "backtest": test,
        "untested": fit.untested if fit is not None else None,
        "backtest_figure": figure_json(backtest_figure(test)) if test is not None else None,
        "reliability_figure": figure_json(reliability_figure(reliability()))
        if test is not None and test.recent is not None
        else None,
        "residuals": fit.residuals.head(ROWS_SHOWN).to_dict("records") if fit is not None else [],
        "figure": figure_json(residuals_figure(fit, height=360)) if fit is not None and fit.runs_used <= MOST_MARKS else None,
    }


router = Page(
    path="/frontier/trust",
    question=TrustQuestion,
    answer=_fit,
    context=_context,
    csv=lambda database, question: as_csv(_fit(database, question).residuals),
    file="residuals",
).router


@router.get("/frontier/trust.json", include_in_schema=False)
@of_results
def trust_as_json(question: Annotated[TrustQuestion, asks(TrustQuestion)], database: TheDatabase) -> dict[str, object]:
    fit = _fit(database, question)
    test = fit.tested.to_dict() if fit.tested is not None else None
    return {"schema_version": SCHEMA_VERSION, "fit": fit.to_dict(), "backtest": test, "residuals": records(fit.residuals)}
