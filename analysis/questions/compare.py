"""The question which of two sides is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from analysis.questions.cells import FrontierQuestion
from analysis.questions.parameters import Level
from analysis.questions.question import Asked


@dataclass(frozen=True)
class CompareQuestion(FrontierQuestion):
    """Asks for a comparison of two sides."""

    COMMAND: ClassVar[tuple[str, ...]] = ("compare",)
    FORM: ClassVar[tuple[str, ...]] = ("experiment", "by", "a", "b", "metric", "x")

    by: Annotated[str, Asked("The column that tells the two sides apart.", "Sides differ in", is_column=True, told=True)] = "family"
    a: Annotated[str | None, Asked("One side, a value of that column; may be left out when it has two.", "One side", any="–")] = (
        None
    )
    b: Annotated[str | None, Asked("The other side.", "The other", any="–")] = None
    level: Level = 0.95
