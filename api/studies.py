"""The answers to the questions: numbers for JSON, pages and pictures, computed once for each state of the store."""

from __future__ import annotations

from typing import Any

from analysis import Fit, Frontier, LearningRateTrend, fit_all, frontier, learning_rate_trend
from api.database import Database
from api.questions import FitsQuestion, FrontierQuestion, LearningRateQuestion

__all__ = ["fits_of", "frontier_of", "trend_of"]


def frontier_of(database: Database, question: FrontierQuestion) -> Frontier:
    """The compute-optimal frontier. Raises what `analysis.frontier` raises."""
    asked = FrontierQuestion(**question.model_dump(include=set(FrontierQuestion.model_fields)))
    return database.remember(asked, lambda: frontier(database.runs_frame(asked.experiment), metric=asked.metric, x=asked.x))


def fits_of(database: Database, question: FitsQuestion) -> tuple[list[Fit], list[dict[str, Any]]]:
    """Every law on every choice of runs, and those that have too few points for it.

    Raises `TooFewPoints`, of the law that lacks the fewest, when nothing could be fitted; and what `analysis.fit` raises.
    """
    return database.remember(question, lambda: _fit_all(database, question))


def trend_of(database: Database, question: LearningRateQuestion) -> LearningRateTrend:
    """How the best learning rate falls with the epoch budget. Raises what `analysis.learning_rate_trend` raises."""
    return database.remember(
        question, lambda: learning_rate_trend(database.runs_frame(question.experiment), metric=question.metric)
    )


def _fit_all(database: Database, question: FitsQuestion) -> tuple[list[Fit], list[dict[str, Any]]]:
    settings = question.model_dump(include={"metric", "x", "objective", "level", "bootstrap", "seed"})
    return fit_all(database.runs_frame(question.experiment), laws=question.law, on=question.on, **settings)
