"""Plans: the next runs, what they would tell, and what halves an interval."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas.fits import FitAnswer
from api.schemas.part import Answer, AnyRow, Diagnostic, LeftOut, Lights, Part, Uncertain

__all__ = ["HalvingAnswer", "PlanAnswer"]


class Expected(Part):
    """Holds the mean to expect at the target, and one more run there."""

    mean: Uncertain
    new_run: Uncertain


class PlanAnswer(Answer):
    """Answers with the next runs that most reduce the uncertainty of a prediction."""

    metric: str
    status: str
    target: str
    at: dict[str, float]
    law: str
    law_at: dict[str, float]
    lights: Lights
    criterion: str
    share_of_law: float | None
    members: dict[str, float]
    budget_core_hours: float | None
    budget_cost: float | None
    core_hours: float | None
    cost: float | None
    currency: str | None
    candidates: int
    sentence: str
    can_tell: str
    least_width: float | None
    notes: list[str]
    diagnostics: list[Diagnostic]
    now: Expected
    after: Expected
    chosen: Annotated[list[AnyRow], Field(description="The runs to do next: a candidate's columns, and how often it is to be run.")]
    fit: FitAnswer
    forecast: FitAnswer


class UncertaintyPart(Part):
    """Says which share of an interval's variance comes from one thing."""

    part: str
    share: float | None
    words: str


class Way(Part):
    """Says how to halve an interval: what, how much of it, what that costs, and how wide the interval is then."""

    way: str
    times: float | None
    images: float | None
    cost: float | None
    width: float | None
    halves: bool
    words: str
    chosen: list[AnyRow]


class HalvingAnswer(Answer):
    """Answers where the interval of a forecast comes from, and what halves it for least."""

    metric: str
    x: str
    currency: str | None
    at: float
    level: float
    sentence: str
    interval: Uncertain
    on_these_images: Uncertain
    parts: list[UncertaintyPart]
    ways: list[Way]
    cheapest: Way | None
    lights: Lights
    excluded: list[LeftOut]
