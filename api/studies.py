"""The answers that several pages share: numbers for JSON, pages and pictures, computed once for each state of the store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from analysis import Answer, Fit, Frontier, Optimum, Outlook, Regret, compute_optimal, fit_all, frontier, outlook, regret
from analysis.automatic import AUTO
from analysis.constant import constant
from analysis.design_columns import named_columns
from analysis.finetuned import of_stage
from analysis.fitting.fit_all import Fits
from analysis.outlook import round_computes
from analysis.questions import (
    AnalysisQuestion,
    BesideQuestion,
    ClusteredQuestion,
    FitsQuestion,
    FrontierQuestion,
    OptimumQuestion,
    OutlookQuestion,
    ViewQuestion,
)
from analysis.reading.accelerator_hours import measured_in
from analysis.reading.choice import prepared
from analysis.reading.source import source_of
from analysis.reference_points.beside import References, accelerators_of, references_of
from analysis.reference_points.read import NAMES, TOP1
from api.database import Database
from scaling.errors import DataError, ScalingError, TooFewPoints

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "answer_of",
    "fits_of",
    "frontier_of",
    "notes_of",
    "optimum_of",
    "outlook_of",
    "references_beside",
    "regret_of",
    "runs_of",
    "usual_target",
]

PUBLISHED_ON = accelerators_of(tuple(NAMES), TOP1, "core_hours")
"""Accelerators whose hours a link may convert though no run was trained on them."""


def runs_of(database: Database, question: AnalysisQuestion) -> pd.DataFrame:
    """Return the runs that a question is about, in the order of the command line: rows chosen, then core-hours converted.

    Not to be changed. They carry what `cell` and `clusters` name, as those of a command do. Raises what `analysis.reading` raises for a
    condition or a conversion that makes no sense, `UnknownName` for clusters that are no column.
    """
    runs = prepared(
        database.runs_frame(question.experiment),
        where=question.where,
        price=question.price,
        convert=question.convert,
        cell=question.cell,
        clusters=question.clusters if isinstance(question, ClusteredQuestion) else (),
        of=partial(of_stage, metric=question.metric) if hasattr(question, "metric") else None,
        also=PUBLISHED_ON,
    )
    named_columns(runs, source_of(runs).get("clusters", ()))  # a page that draws no law would take any
    return constant(runs)


def references_beside(database: Database, question: BesideQuestion | ViewQuestion) -> References | None:
    """Return the results of others that a link asks for beside its frontier; None for none. Raises what `references_of` raises."""
    if question.reference is None:
        return None
    which = tuple(NAMES) if question.reference == "all" else (question.reference,)
    return references_of(frontier_of(database, question), which, question.convert, measured_in(runs_of(database, question)))


def notes_of(database: Database, question: object) -> list[str]:
    """Say what was done to the runs before the analysis of a question; empty where that is nothing or makes no sense."""
    if not isinstance(question, AnalysisQuestion):
        return []
    with suppress(ScalingError):
        return list(source_of(runs_of(database, question))["notes"])
    return []


def frontier_of(database: Database, question: FrontierQuestion) -> Frontier:
    """Compute the compute-optimal frontier. Raises what `analysis.frontier` raises."""
    asked = question.plain
    if isinstance(question, ClusteredQuestion) and question.clusters:
        runs_of(database, question)  # refuses a column that does not exist; what is resampled changes no frontier
    return database.remember(asked, lambda: frontier(runs_of(database, asked), metric=asked.metric, x=asked.x))


def fits_of(database: Database, question: FitsQuestion) -> Fits:
    """Fit every law on every choice of runs; list apart those that have too few points for it.

    Raises `TooFewPoints`, of the law that lacks the fewest, when nothing could be fitted; and what `analysis.fit` raises.
    """
    return database.remember(question, lambda: _fit_all(database, question))


def answer_of(database: Database, question: FrontierQuestion) -> Answer | None:
    """Say in a sentence what the law of the runs says; None where the runs allow no law."""
    asked = question if isinstance(question, ClusteredQuestion) else ClusteredQuestion(**vars(question.plain))
    with suppress(TooFewPoints, DataError):
        return fits_of(database, replace(asked.fits(), law=())).fits[0].answer
    return None


def regret_of(database: Database, question: FrontierQuestion) -> Regret:
    """Bound what the best cell costs against the best size and epochs of its compute. Raises what `analysis.regret` raises."""
    asked = question.plain
    return database.remember(("regret", asked), lambda: regret(runs_of(database, asked), metric=asked.metric, x=asked.x))


def outlook_of(database: Database, question: OutlookQuestion | ViewQuestion) -> Outlook:
    """Say what to expect at the target of a link, or where the forecast of its law is. Raises what `fits_of` and `frontier_of` raise."""
    fit, found = fits_of(database, question.fits()).fits[0], frontier_of(database, question)
    return outlook(fit, found, regret_of(database, question), [question.at or usual_target(fit)])


def usual_target(fit: Fit) -> float:
    """Return the compute of which a page says what to expect when nobody names one: that of the answer's forecast, else about the largest run's."""
    answer = None if fit.members is not None else fit.answer
    return round_computes(*fit.x_range)[-1] if answer is None or answer.forecast is None else answer.forecast.at


def optimum_of(database: Database, question: OptimumQuestion) -> Optimum:
    """Compute the best size and epochs against compute. Raises what `analysis.compute_optimal` raises."""
    return database.remember(question, lambda: compute_optimal(runs_of(database, question), **question.settings))


def _fit_all(database: Database, question: FitsQuestion) -> Fits:
    settings = {name: getattr(question, name) for name in ("metric", "objective", "level", "bootstrap", "seed", "pin", "tie")} | {
        "x": question.axes
    }

    def once(law: str, on: Any, make: Callable[[], Fit]) -> Fit:
        chosen = "chosen" if law == AUTO and not question.law else law
        return database.remember(("fit", replace(question, law=(chosen,), on=on)), make)

    return fit_all(runs_of(database, question), laws=question.law, on=question.on, once=once, **settings)
