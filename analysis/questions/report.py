"""The question about all that a table says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from analysis.questions.cells import DrawnQuestion
from analysis.questions.parameters import FittedTo, Pin, Tie
from analysis.questions.question import Asked


@dataclass(frozen=True)
class ReportQuestion(DrawnQuestion):
    """Asks for all that a table of runs says."""

    COMMAND: ClassVar[tuple[str, ...]] = ("report",)
    FORM: ClassVar[tuple[str, ...]] = ("metric", "x", "law", "on", "title")

    law: Annotated[
        str | None, Asked("The law to report on, or auto; the others are shown beside it. Default: the one that forecasts best.")
    ] = None
    on: FittedTo = None
    pin: Pin = ()
    tie: Tie = ()
    title: Annotated[str, Asked("Of the report; the name of the data where left out.")] = ""
