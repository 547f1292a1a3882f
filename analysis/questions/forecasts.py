"""Questions beyond the runs: what to expect at a compute, and which runs would make it surer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from analysis.questions.cells import ClusteredQuestion, DrawnQuestion
from analysis.questions.laws import TrustQuestion
from analysis.questions.parameters import SURFACE, FittedTo, Level, Objective, Pin, Tie, X
from analysis.questions.question import Asked


@dataclass(frozen=True)
class PredictQuestion(DrawnQuestion):
    """Asks for the metric at budgets that may lie beyond the data."""

    COMMAND: ClassVar[tuple[str, ...]] = ("predict",)
    FORM: ClassVar[tuple[str, ...]] = ("at", "law", "on", "metric", "x", "objective")

    at: Annotated[
        tuple[str, ...],
        Asked("Where to predict, in the unit of `x`; repeatable. For a surface a number for each input: 1e9,2e10.", shape="X"),
    ] = ()
    law: Annotated[str, Asked("A law, or auto: the forecast, of the laws that did best in the back-test.")] = "auto"
    on: FittedTo = None
    x: Annotated[str, Asked(X, is_column=True, more=f"{SURFACE} Default: what the law is of.")] = "core_hours"
    objective: Objective = "log"
    pin: Pin = ()
    tie: Tie = ()


@dataclass(frozen=True)
class OutlookQuestion(TrustQuestion):
    """Asks what to expect at a compute: of a law, with the best model there."""

    COMMAND: ClassVar[tuple[str, ...]] = ("predict",)

    at: Annotated[
        float | None,
        Asked("Compute, in the unit of `x`; when left out, where the forecast of the law is.", "Target ({x})", above=0),
    ] = None


@dataclass(frozen=True)
class HalvingQuestion(ClusteredQuestion):
    """Asks where the interval of a forecast comes from, and what halves it for least."""

    COMMAND: ClassVar[tuple[str, ...]] = ("plan", "--halve")
    FORM: ClassVar[tuple[str, ...]] = ("experiment", "target", "metric", "x")

    target: Annotated[
        float | None,
        Asked("Compute at which the metric should be known; ten times the largest run when left out.", "Target ({x})", above=0),
    ] = None


@dataclass(frozen=True)
class PlanQuestion(ClusteredQuestion):
    """Asks for the next runs: what they should make sure of, and for how much."""

    COMMAND: ClassVar[tuple[str, ...]] = ("plan",)
    FORM: ClassVar[tuple[str, ...]] = ("experiment", "budget", "target", "metric", "x", "law", "criterion")

    budget: Annotated[
        str | None,
        Asked("Core-hours to spend, or money, 500 USD; a tenth of what the finished runs took when left out.", "Budget"),
    ] = None
    target: Annotated[
        float | None,
        Asked("Compute at which the metric should be known; ten times the largest run when left out.", "Target ({x})", above=0),
    ] = None
    law: Annotated[
        str | None,
        Asked(
            "The law that predicts and weighs the runs; when left out, the forecast predicts, and the law that forecasts best weighs: of surfaces where sizes and examples are known, else of laws of compute.",
            "Law",
            any="the best known",
        ),
    ] = None
    criterion: Annotated[
        Literal["c", "D"],
        Asked(
            "c: the prediction at the target; D: all coefficients together.",
            "To be sure of",
            offered=(("c", "the prediction"), ("D", "the coefficients")),
        ),
    ] = "c"
    pin: Pin = ()
    tie: Tie = ()
    level: Level = 0.95
