"""The question about the best learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from analysis.questions.cells import AnalysisQuestion
from analysis.questions.parameters import Level
from analysis.questions.question import Asked


@dataclass(frozen=True)
class LearningRateQuestion(AnalysisQuestion):
    """Asks for the best learning rate by a metric, and for the rate of a cell that was never run."""

    COMMAND: ClassVar[tuple[str, ...]] = ("lr",)
    FORM: ClassVar[tuple[str, ...]] = ("experiment", "metric", "at_model", "at_params", "at_epochs")

    metric: Annotated[
        str, Asked("A column that is better when lower; finetune_NAME is of fine-tuned runs.", "Metric", is_column=True, told=True)
    ] = "val_loss"
    at_model: Annotated[str | None, Asked("Predict for this model of the trend, at `at_epochs`.", "Predict for model", any="–")] = (
        None
    )
    at_params: Annotated[
        float | None, Asked("Predict for a model of so many parameters, at `at_epochs`.", "or for parameters", above=0)
    ] = None
    at_epochs: Annotated[float | None, Asked("The epoch budget to predict for.", "at epochs", above=0)] = None
    at_family: Annotated[str | None, Asked("With `at_params`: of this family, where there are several.")] = None
    level: Level = 0.95

    @property
    def asked_cell(self) -> dict[str, Any]:
        """Return what is asked of one cell, as `LearningRateTrend.predict_cell` takes it; empty when nothing is."""
        asked = {name: getattr(self, f"at_{name}") for name in ("model", "params", "epochs", "family")}
        return asked if any(value is not None for value in asked.values()) else {}
