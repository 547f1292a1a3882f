"""Questions that look at fitted laws: side by side, one closely, one drawn over the cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from analysis.questions.cells import ClusteredQuestion
from analysis.questions.parameters import CHOSEN, FittedTo, Reference
from analysis.questions.question import Asked


@dataclass(frozen=True)
class LawsQuestion(ClusteredQuestion):
    """Asks for all laws side by side, fitted to the chosen cells."""

    FORM: ClassVar[tuple[str, ...]] = ("experiment", "metric", "x", "on")

    on: FittedTo = None


@dataclass(frozen=True)
class TrustQuestion(ClusteredQuestion):
    """Asks for one law, of the chosen cells, to look at closely."""

    FORM: ClassVar[tuple[str, ...]] = ("experiment", "metric", "x", "law", "on")

    law: Annotated[str, Asked("The law; `chosen` for the one that forecasts best.", "Law")] = CHOSEN
    on: FittedTo = None


@dataclass(frozen=True)
class ViewQuestion(TrustQuestion):
    """Asks for what `/frontier` draws: one law over the cells, on the axes that were chosen."""

    FORM: ClassVar[tuple[str, ...]] = (*TrustQuestion.FORM, "reference", "x_scale", "y_scale")

    law: Annotated[str, Asked("The law to draw, `chosen` for the one that forecasts best, or `none`.", "Law")] = CHOSEN
    reference: Reference = None
    x_scale: Annotated[Literal["log", "linear"], Asked("", "x axis", offered=("log", "linear"), is_option=False)] = "log"
    y_scale: Annotated[Literal["log", "linear"], Asked("", "y axis", offered=("log", "linear"), is_option=False)] = "log"
    at: Annotated[
        float | None,
        Asked(
            "The target: compute, in the unit of `x`, of which the page says what to expect.",
            "Target ({x})",
            above=0,
            is_option=False,
        ),
    ] = None
    focus: Annotated[str | None, Asked("The model that the chart shows before all others.", "Focus", is_option=False)] = None
