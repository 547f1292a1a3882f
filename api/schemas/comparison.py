"""Comparisons of two sides at equal compute, and of several in pairs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from api.schemas.part import Answer, AnyRow, Diagnostic, LeftOut, Open, Part, Uncertain

__all__ = ["CompareAnswer", "ComparisonAnswer", "PairwiseAnswer"]


class Detectable(Part):
    """Says which difference would have been found with a probability of `power`."""

    difference: float | None
    power: float


class OnFrontier(Part):
    """Holds the difference of the two frontiers alone."""

    log_ratio: Uncertain
    p_value: float | None


class AtLargest(Open):
    """Holds the difference at the largest compute that both sides share, which stands under its own name."""

    log_ratio: Uncertain
    p_value: float | None
    speed_up: Uncertain
    detectable: Detectable


class Crossing(Open):
    """Says where one side overtakes the other; the compute, with its interval, stands under its own name."""

    overtakes: str | None
    proven: bool
    reason: str | None


class Trend(Part):
    """Says how the log ratio changes with the log of compute."""

    value: float | None
    low: float | None
    high: float | None
    p_value: float | None


class _Comparison(Part):
    by: str
    a: str
    b: str
    metric: str
    x: str
    currency: str | None
    level: float
    design: str
    better: str | None
    withheld: str | None
    caveats: list[str]
    sentence: str
    log_ratio: Uncertain
    ratio: Uncertain
    p_value: float | None
    speed_up: Uncertain
    on_frontier: OnFrontier
    at_largest: AtLargest
    crossing: Crossing
    curve: Annotated[list[AnyRow], Field(description="The ratio along compute, with its band.")]
    trend: Trend
    shared: Annotated[list[float], Field(description="The computes that both sides share, from … to.")]
    observations: int
    degrees_of_freedom: float | None
    noise_std: float | None
    budgets: list[AnyRow]
    runs_used: int
    excluded: list[LeftOut]
    notes: list[str]
    diagnostics: list[Diagnostic]


class ComparisonAnswer(_Comparison):
    """Answers how two sides differ at equal compute."""

    schema_version: int


class Pair(_Comparison):
    """Holds the comparison of two of several sides; what is `of_all` holds for all pairs together."""

    better_of_all: str | None
    p_adjusted: float | None
    detectable_of_all: Detectable


class NotCompared(Part):
    """Says why two sides cannot be compared."""

    a: str
    b: str
    reason: str
    hint: str


class PairwiseAnswer(Answer):
    """Answers how several sides differ, in pairs."""

    by: str
    sides: list[str]
    metric: str
    x: str
    level: float
    best: str | None
    sentence: str
    pairs: list[Pair]
    missing: list[NotCompared]


CompareAnswer: Any = ComparisonAnswer | PairwiseAnswer
"""What `/compare` answers: of two sides the first, of more the second."""
