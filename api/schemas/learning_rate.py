"""The trend of the best learning rate, and of a second setting beside it."""

from __future__ import annotations

from pydantic import JsonValue

from api.schemas.part import Answer, AnyRow, LeftOut, Part, Uncertain

__all__ = ["LearningRateAnswer"]


class Exponent(Part):
    """Holds an exponent with its interval, and how likely so large a one is where there is none."""

    value: float | None
    low: float | None
    high: float | None
    p_value: float | None


class ModelTrend(Part):
    """Holds the trend of one model."""

    family: str
    model: str
    params: float | None
    c: Uncertain
    slope: Uncertain


class RateOptimum(Part):
    """Holds the best rate of a cell; `at_edge` says at which end of the rates it lies."""

    family: str
    model: str
    epochs: float
    settings: dict[str, JsonValue]
    learning_rate: Uncertain
    best_tried: float
    rates: int
    at_edge: str | None


class SettingTrend(Part):
    """Holds the trend of a second setting, as weight decay."""

    setting: str
    status: str
    sentence: str
    trouble: str | None
    formula: str | None
    reference_params: float | None
    slope: Exponent | None
    size_slope: Exponent | None
    optima: list[AnyRow]
    runs_used: int


class CellRate(Part):
    """Holds the rate of a cell that was asked for, and the trials that it would need."""

    family: str
    model: str | None
    params: float | None
    epochs: float
    learning_rate: Uncertain
    trials: int


class LearningRateAnswer(Answer):
    """Answers with the trend of the best learning rate."""

    metric: str
    formula: str
    reference_params: float | None
    status: str
    advice: str
    evidence: list[str]
    level: float
    errors: str
    slope: Exponent | None
    size_slope: Exponent | None
    interaction: Exponent | None
    monotone_p_value: float | None
    curvature: float | None
    residual_std: float | None
    cell_std: float | None
    models: list[ModelTrend]
    optima: list[RateOptimum]
    notes: list[str]
    besides: list[SettingTrend]
    points: list[AnyRow]
    runs_used: int
    excluded: list[LeftOut]
    version: str
    cell: CellRate | None
