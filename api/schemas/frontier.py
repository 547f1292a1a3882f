"""The frontier: cells in order of compute, what the best costs at most, results of others beside them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api.schemas.fits import LawAnswer
from api.schemas.part import Answer, AnyRow, Diagnostic, LeftOut, Open, Part, Weight

__all__ = ["FrontierAnswer", "Outlook", "OutlookAnswer", "Point", "PricedChoice", "ReferenceRow", "RegretAnswer"]


class Point(Open):
    """Holds a cell. Further columns: what describes it, and `x`, `metric`, `<metric>_min`, `<metric>_max` under their own names."""

    seeds: int
    run_ids: list[str]
    on_frontier: bool


class PricedChoice(Part):
    """Says what a choice of model and data costs at most against the best; `value` and `most` are shares of the metric."""

    kind: Literal["best-so-far", "best-size", "best-model"]
    times: float | None
    at: float | None
    model: str
    size: float | None
    data: float | None
    value: float | None
    most: float | None
    best_size: float | None
    best_data: float | None
    reason: str


class RegretAnswer(Part):
    """Says what the best cell so far costs at most against the best of its compute."""

    sentence: str
    metric: str
    x: str
    family: str | None
    data: str
    level: float
    choices: list[PricedChoice]
    laws: list[Weight]
    reason: str


class ReferenceRow(Open):
    """Holds a result of others. Further columns: the metric, `x` as converted and `stated_<x>` as published."""

    name: str
    series: str
    accelerator: str
    is_bound: bool
    factor: float | None
    factor_to: str
    factor_source: str
    source: str


class FrontierAnswer(Answer):
    """Answers with all cells, and which of them no other beats with as little compute."""

    headline: str | None
    answer: LawAnswer | None
    regret: RegretAnswer | None
    metric: str
    x: str
    currency: str | None
    points: list[Point]
    best: Annotated[list[AnyRow], Field(description="The best cell from `<x>_from` until `<x>_to`, which is null in the last row.")]
    runs_used: int
    cell_columns: list[str]
    notes: list[str]
    diagnostics: list[Diagnostic]
    excluded: list[LeftOut]
    reference_points: Annotated[list[ReferenceRow], Field(default_factory=list, description="Only with `reference`.")]
    reference_notes: Annotated[list[str], Field(default_factory=list, description="Only with `reference`.")]


class OutlookWords(Part):
    """Writes an outlook for people; a text is empty where nothing is known."""

    at: str
    where: str
    value: str
    best: str
    most: str
    price: str


class Outlook(Part):
    """Says what to expect at a compute; `times` the largest run's. `far`: nothing in the runs tests a forecast there."""

    at: float
    times: float
    far: bool
    value: float | None
    low: float | None
    high: float | None
    model: str
    data: float | None
    most: float | None
    core_hours: float | None
    cost: float | None
    words: OutlookWords


class OutlookAnswer(Answer):
    """Answers with what to expect at a compute."""

    metric: str
    x: str
    law: str
    level: float
    data: str
    currency: str | None
    outlook: list[Outlook]
    no_model: Annotated[str, Field(description="Why the best model is not known beyond the runs, or what it costs; else empty.")]
