"""The question what pre-training buys downstream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from analysis.questions.cells import AnalysisQuestion
from analysis.questions.parameters import PARENTS, Level
from analysis.questions.question import Asked


@dataclass(frozen=True)
class TransferQuestion(AnalysisQuestion):
    """Asks what pre-training buys downstream, and which checkpoint to fine-tune."""

    COMMAND: ClassVar[tuple[str, ...]] = ("transfer",)
    FORM: ClassVar[tuple[str, ...]] = ("downstream", "upstream", "x", "law")

    downstream: Annotated[str, Asked("Column of the fine-tuned runs, better when lower.", is_column=True)] = "val_loss"
    upstream: Annotated[str, Asked(f"Pre-training metric, better when lower: {PARENTS}", is_column=True)] = "val_loss"
    x: Annotated[str, Asked(f"What pre-training cost: {PARENTS}", is_column=True)] = "core_hours"
    law: Annotated[str, Asked("Law of the downstream metric against `x`.")] = "power"
    level: Level = 0.95
