"""Experiments: what was asked for, how far it is, what it cost."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, JsonValue

from api.schemas.part import Answer, Part

__all__ = ["ExperimentAnswer", "ExperimentRow", "ExperimentsAnswer", "FinetuningProgress", "Scheduler", "SearchProgress", "Skipped"]

Counts = Annotated[dict[str, int], Field(description="Runs by status; only statuses that occur.")]


class FinetuningProgress(Part):
    """Says how far the fine-tuning of an experiment is."""

    runs: Counts
    core_hours: float
    allocated_core_hours: float
    core_hours_ahead: float
    best_val_loss: float | None
    best_top1: float | None


class SearchProgress(Part):
    """Says how far the searches for learning rates of an experiment are; `stuck` and `found` are sentences on cells."""

    cells: int
    settled: int
    given_up: int
    open: int
    trials: int
    stuck: list[str]
    found: list[str]
    core_hours_ahead: float


class Skipped(Part):
    """Counts the runs that skipped training images, and the most images that one skipped."""

    runs: int
    examples: int


class ExperimentRow(Part):
    """Sums up an experiment; core-hours are explained in `scaling docs core_hours`."""

    name: str
    created_at: str
    simulated: bool
    revision: int | None
    file: str | None
    imported_from: str | None
    imported: Annotated[dict[str, JsonValue] | None, Field(description="Of an imported experiment: how its file was read.")]
    runs: Counts
    interrupted: int
    core_hours: float
    inherited_core_hours: float
    spent_core_hours: float
    saved: float
    allocated_core_hours: float
    estimated_core_hours: float | None
    estimate_error: float | None
    budget_core_hours: float | None
    budget_cost: float | None
    cost: float | None
    allocated_cost: float | None
    estimated_cost: float | None
    currency: str | None
    best_val_loss: float | None
    finetuning: FinetuningProgress | None
    no_better_than_guessing: Annotated[list[str], Field(description="Ids of finished runs that have learnt nothing.")]
    searches: SearchProgress | None
    skipped: Skipped | None


class Scheduler(Part):
    """Names the scheduler that is at work."""

    holder: str
    host: str
    pid: int
    acquired_at: str


class ExperimentsAnswer(Answer):
    """Answers with all experiments, newest first."""

    experiments: list[ExperimentRow]
    scheduler: Scheduler | None
    interrupted: Annotated[int, Field(description="Pending runs that a scheduler which is gone was at.")]


class ExperimentAnswer(Answer):
    """Answers with one experiment and the ids of its runs."""

    experiment: ExperimentRow
    run_ids: list[str]
