"""Choices in the forms of the analysis: metrics, measures of compute, laws, families."""

from __future__ import annotations

from typing import Any

from analysis import law_names
from analysis.automatic import AUTO
from analysis.finetuned import finetuned_metrics
from analysis.laws import law_named
from analysis.questions import CHOSEN, PlanQuestion
from api.database import Database
from orchestrator.store import queries
from orchestrator.store.experiments import experiment_names

__all__ = ["COMPUTE", "LAW_CHOICES", "METRICS", "analysis_choices", "families", "laws_of_one_axis"]

METRICS = ("val_loss", "val_top1_error", "val_top5_error", "train_loss")
COMPUTE = ("core_hours", "allocated_core_hours", "train_flops", "examples_seen")

LAW_CHOICES = ((CHOSEN, "best by forecasts"), (AUTO, "auto: the forecast"))
"""Choices of a law besides the names of laws."""


def analysis_choices(database: Database, question: Any) -> dict[str, object]:
    """Return `experiment`, `metric` and `x` for the macro `choice`; what the link asks for is among them."""
    with database.read() as session:
        experiments = experiment_names(session)[::-1]
    x = getattr(question, "x", None)
    metrics: tuple[str, ...] = METRICS
    if not isinstance(question, PlanQuestion):  # what to pre-train is planned by what pre-training gives
        metrics += finetuned_metrics(database.runs_frame(question.experiment))
    return {"experiment": experiments, "metric": _with(metrics, question.metric), "x": _with(COMPUTE, x) if x else COMPUTE}


def families(database: Database) -> list[str]:
    """List the families of all runs, in alphabetical order."""
    with database.read() as session:
        return sorted({family for family, _ in queries.models(session)})


def laws_of_one_axis() -> list[str]:
    """Name the laws that a chart of one measure of compute can draw."""
    return [name for name in law_names() if len(law_named(name).axes) == 1]


def _with(known: tuple[str, ...], asked: str) -> tuple[str, ...]:
    return known if asked in known else (*known, asked)
