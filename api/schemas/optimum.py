"""Best size and data against compute, by several approaches."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas.part import Answer, AnyRow, Diagnostic, LeftOut, Part, Uncertain

__all__ = ["OptimumAnswer", "SlicesAnswer"]


class Choice(Part):
    """Says which approach is recommended, and by which rule."""

    approach: str | None
    rule: str
    order: list[str]
    regret: dict[str, float]
    windows: int
    forecasts: int


class AboveOne(Part):
    """Says above which compute more than one epoch pays."""

    determined: bool
    reason: str
    at: Uncertain | None


class Approach(Part):
    """Holds what one approach says; a refused one has a `reason` and no optimum."""

    approach: str
    status: str
    advice: str
    reason: str
    law: str | None
    size_exponent: Uncertain | None
    epochs_exponent: Uncertain | None
    end_exponents: list[Uncertain] | None
    p_straight: float | None
    epochs_above_one: AboveOne
    optimum: list[AnyRow]
    points: list[AnyRow]


class WholeCost(Part):
    """Holds the size that costs least in training, fine-tuning and serving together."""

    sentence: str
    serve: float
    finetune: float
    target_loss: float | None
    budget: float | None
    serve_share: float
    loss: Uncertain
    size: Uncertain
    examples: Uncertain
    total: Uncertain
    training_size: Uncertain
    training_examples: Uncertain
    over_training: Uncertain
    saved: Uncertain
    unit: str
    shares: dict[str, float | None]
    epochs: float | None
    identified: bool
    reason: str
    assumption: str


class Noise(Part):
    """Holds the noise of cells and of seeds, in log units, and where it was seen."""

    cell_std: float | None
    seed_std: float | None
    source: str


class OptimumAnswer(Answer):
    """Answers with the best size and data against compute, by several approaches."""

    metric: str
    x: str
    size: str
    data: str
    level: float
    sentence: str
    recommended: str | None
    choice: Choice
    disagree: list[str]
    approaches: list[Approach]
    epochs_above_one: AboveOne
    disagreement: Annotated[list[AnyRow], Field(description="What the approaches answer at some computes, beside one another.")]
    runnable: list[AnyRow]
    whole_cost: WholeCost | None
    noise: Noise
    compute_std: float | None
    cells_used: int
    runs_used: int
    excluded: list[LeftOut]
    notes: list[str]
    diagnostics: list[Diagnostic]


class SlicesAnswer(Answer):
    """Answers with each model's loss at equal compute, and the minimum of each slice."""

    metric: str
    x: str
    size: str
    slices: list[AnyRow]
    optima: list[AnyRow]
