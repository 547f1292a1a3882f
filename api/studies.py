"""The answers to the questions: numbers for JSON, pages and pictures, computed once for each state of the store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis import (
    Answer,
    CellRate,
    Comparison,
    Fit,
    Frontier,
    LearningRateTrend,
    NextRuns,
    Optimum,
    compare,
    compute_optimal,
    fit_all,
    frontier,
    learning_rate_trend,
    plan,
)
from analysis.automatic import AUTO
from analysis.design_columns import named_columns
from analysis.fitting.fit_all import Fits
from analysis.optimum.slices import Slices, slices_of
from analysis.planning.neighbours import a_tenth_and_ten_times, neighbouring_cells
from analysis.reading.choice import prepared
from analysis.reading.source import source_of
from api.database import Database
from api.questions import (
    AnalysisQuestion,
    ClusteredQuestion,
    CompareQuestion,
    FitsQuestion,
    FrontierQuestion,
    LearningRateQuestion,
    OptimumQuestion,
    PlanQuestion,
)
from scaling.errors import DataError, ScalingError, TooFewPoints

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Planned",
    "answer_of",
    "cell_rate",
    "comparison_of",
    "fits_of",
    "frontier_of",
    "notes_of",
    "optimum_of",
    "plan_of",
    "runs_of",
    "slices_at",
    "trend_of",
]


def runs_of(database: Database, question: AnalysisQuestion) -> pd.DataFrame:
    """The runs that a question is about, in the order of the command line: rows chosen, then core-hours converted.

    They carry what `cell` and `clusters` name, as those of a command do. Raises what `analysis.reading` raises for a condition or a conversion
    that makes no sense, `UnknownName` for clusters that are no column. Not to be changed.
    """
    runs = prepared(
        database.runs_frame(question.experiment),
        where=question.where,
        convert=question.convert,
        cell=question.cell,
        clusters=question.clusters if isinstance(question, ClusteredQuestion) else (),
    )
    named_columns(runs, source_of(runs).get("clusters", ()))  # a page that draws no law would take any
    return runs


def notes_of(database: Database, question: object) -> list[str]:
    """What was done to the runs before the analysis of a question, in sentences; empty where that is nothing or makes no sense."""
    if not isinstance(question, AnalysisQuestion):
        return []
    with suppress(ScalingError):
        return list(source_of(runs_of(database, question))["notes"])
    return []


def frontier_of(database: Database, question: FrontierQuestion) -> Frontier:
    """The compute-optimal frontier. Raises what `analysis.frontier` raises."""
    asked = question.plain
    if isinstance(question, ClusteredQuestion) and question.clusters:
        runs_of(database, question)  # refuses a column that does not exist; what is resampled changes no frontier
    return database.remember(asked, lambda: frontier(runs_of(database, asked), metric=asked.metric, x=asked.x))


def fits_of(database: Database, question: FitsQuestion) -> Fits:
    """Every law on every choice of runs, and those that have too few points for it.

    Raises `TooFewPoints`, of the law that lacks the fewest, when nothing could be fitted; and what `analysis.fit` raises.
    """
    return database.remember(question, lambda: _fit_all(database, question))


def answer_of(database: Database, question: FrontierQuestion) -> Answer | None:
    """What the law of the runs says, in a sentence; None where the runs allow no law."""
    fitted = FitsQuestion(**question.of_runs, metric=question.metric, x=question.x, on=getattr(question, "on", None))
    with suppress(TooFewPoints, DataError):
        return fits_of(database, fitted)[0][0].answer
    return None


def trend_of(database: Database, question: LearningRateQuestion) -> LearningRateTrend:
    """How the best learning rate falls with epochs and size. Raises what `analysis.learning_rate_trend` raises."""
    asked = question.plain
    return database.remember(asked, lambda: learning_rate_trend(runs_of(database, asked), metric=asked.metric))


def cell_rate(database: Database, question: LearningRateQuestion) -> CellRate | None:
    """The best rate of the cell that is asked for, None when none is. Raises what `LearningRateTrend.predict_cell` raises."""
    asked = question.asked_cell
    return trend_of(database, question).predict_cell(**asked) if asked else None


def optimum_of(database: Database, question: OptimumQuestion) -> Optimum:
    """The best size and epochs against compute. Raises what `analysis.compute_optimal` raises."""
    settings = question.model_dump(include={"metric", "x", "family", "level"})
    return database.remember(question, lambda: compute_optimal(runs_of(database, question), **settings))


def slices_at(database: Database, question: OptimumQuestion) -> Slices:
    """The slices of equal compute behind it."""

    def made() -> Slices:
        optimum, runs = optimum_of(database, question), runs_of(database, question)
        own = runs[runs["family"] == question.family] if question.family else runs
        return slices_of(frontier(own, metric=question.metric, x=question.x), optimum)

    return database.remember(("slices", question), made)


def comparison_of(database: Database, question: CompareQuestion) -> Comparison:
    """Two sides at equal compute. Raises what `analysis.compare` raises."""
    settings = question.model_dump(include={"by", "a", "b", "metric", "x", "level"})
    return database.remember(question, lambda: compare(runs_of(database, question), **settings))


@dataclass(frozen=True)
class Planned:
    """A plan, and the budget and target that it was made for, also where the link left them open."""

    plan: NextRuns
    budget: float
    target: float


def plan_of(database: Database, question: PlanQuestion) -> Planned:
    """The next runs, of cells like those that were run. Raises what `analysis.plan` raises."""
    return database.remember(question, lambda: _plan(database, question))


def _plan(database: Database, question: PlanQuestion) -> Planned:
    runs = runs_of(database, question)
    usual = a_tenth_and_ten_times(frontier(runs, metric=question.metric, x=question.x))
    budget, target = question.budget or usual[0], question.target or usual[1]
    candidates = neighbouring_cells(runs, metric=question.metric)
    settings = question.model_dump(include={"metric", "x", "law", "criterion", "level"})
    return Planned(plan(runs, candidates, budget_core_hours=budget, target=target, **settings), budget, target)


def _fit_all(database: Database, question: FitsQuestion) -> Fits:
    settings = question.model_dump(include={"metric", "objective", "level", "bootstrap", "seed"}) | {"x": question.axes}

    def once(law: str, on: str, make: Callable[[], Fit]) -> Fit:
        chosen = "chosen" if law == AUTO and not question.law else law
        return database.remember(("fit", question.model_copy(update={"law": (chosen,), "on": on})), make)

    return fit_all(runs_of(database, question), laws=question.law, on=question.on, once=once, **settings)
