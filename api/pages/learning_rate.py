"""`/learning-rate`: how the best learning rate falls with the epoch budget and with size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from analysis import CellRate, LearningRateTrend, learning_rate_trend, payload
from analysis.figures import learning_rate_figure, losses_of_rates_figure
from analysis.presentation import figure_json
from analysis.questions import LearningRateQuestion
from api.database import Database
from api.pages.drawing import MOST_MARKS
from api.pages.page import Page
from api.pages.tab import Tab
from api.pages.trouble import attempt
from api.schemas.learning_rate import LearningRateAnswer
from api.studies import runs_of
from api.v1.resource import Resource

__all__ = ["TAB", "router"]

TAB = Tab(4, "/learning-rate", "Learning rate")

_EXAMPLE = {
    "schema_version": 1,
    "metric": "val_loss",
    "formula": "learning_rate* = c·epochs^-(s + u·ln(N/N0))·(N/N0)^-t",
    "reference_params": 4402,
    "status": "ok",
    "slope": {"value": 0.42, "low": 0.31, "high": 0.55, "p_value": 0.0004},
    "size_slope": {"value": 0.11, "low": -0.04, "high": 0.3, "p_value": 0.09},
    "interaction": {"value": 0.05, "low": 0.01, "high": 0.09, "p_value": 0.02},
    "monotone_p_value": 0.8,
    "besides": [],
    "models": [{"family": "nfnet", "model": "nano-F1", "params": 4402, "c": {"value": 1.9, "low": 1.5, "high": 2.4}}],
    "cell": {
        "model": "nano-F1",
        "epochs": 32,
        "learning_rate": {"value": 0.44, "low": 0.3, "high": 0.65},
        "trials": 2,
    },
    "runs_used": 18,
    "excluded": [],
}


ROWS_SHOWN = 150
"""Cells in the table of a page, a quarter of a kilobyte each; the CSV has all."""


def _trend(database: Database, question: LearningRateQuestion) -> LearningRateTrend:
    asked = replace(question, at_model=None, at_params=None, at_epochs=None, at_family=None)
    return database.remember(asked, lambda: learning_rate_trend(runs_of(database, asked), metric=asked.metric, level=asked.level))


def _cell(database: Database, question: LearningRateQuestion) -> CellRate | None:
    """Return the best rate of the cell that is asked for, None when none is. Raises what `LearningRateTrend.predict_cell` raises."""
    asked = question.asked_cell
    return _trend(database, question).predict_cell(**asked) if asked else None


def _context(database: Database, question: LearningRateQuestion, trend: LearningRateTrend | None) -> dict[str, Any]:
    if trend is None:
        return {"cell": None, "cell_trouble": None}
    cell, trouble = attempt(lambda: _cell(database, question))  # trouble: half a cell, the form was sent before it was filled in
    of_size = {"at_params": "1e7"} if trend.law.reference_params else {}
    return {
        "choices": {"at_model": trend.models["model"].tolist(), "at_epochs": "8", **of_size},
        "cell": cell,
        "cell_trouble": trouble,
        "rows_shown": ROWS_SHOWN,
        "most_marks": MOST_MARKS,
        "figure": figure_json(learning_rate_figure(trend, cell)),
        "losses": figure_json(losses_of_rates_figure(trend)) if len(trend.points) <= MOST_MARKS else None,
    }


router = Page(
    path=TAB.path,
    question=LearningRateQuestion,
    answer=_trend,
    context=_context,
    resource=Resource(
        path="learning-rate",
        question=LearningRateQuestion,
        payload=lambda database, question: payload(_trend(database, question), cell=_cell(database, question)),
        answers=LearningRateAnswer,
        summary="The trend of the best learning rate",
        description="""The object that `scaling lr --json` prints. 422 while no model has two epoch budgets with several learning rates each.

With `at_epochs`, and `at_model` or `at_params`, `cell` is the rate of that cell, run or not, and the trials it would need.""",
        example=_EXAMPLE,
    ),
).router
