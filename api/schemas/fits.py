"""Laws: coefficients with their intervals, the back-test, and what the law says in words."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas.part import Answer, AnyRow, Diagnostic, LeftOut, Lights, On, Part, Uncertain, Weight

__all__ = ["BackTest", "FitAnswer", "FitsAnswer", "LawAnswer"]

Axes = str | list[str]
"""The column of compute, or those of a law of several inputs."""


class Forecast(Part):
    """Says what to expect at a compute beyond the runs; `times` the largest run's."""

    at: float
    times: float
    value: float | None
    low: float | None
    high: float | None


class LawAnswer(Part):
    """Says what the law of some runs says, in a sentence and as numbers."""

    sentence: str
    law: str
    on: On
    metric: str
    x: Axes
    level: float
    lights: Lights
    forecast: Forecast | None
    best: Annotated[AnyRow | None, Field(description="The cell of lowest metric, as a row of the frontier's `best`.")]
    codes: list[str]
    spent_core_hours: float | None
    spent_cost: float | None
    currency: str | None


class Window(Part):
    """Counts the cells of a window of the back-test: up to a compute, and held out beyond it."""

    up_to: float | None
    cells: int
    held_out: int


class LawScore(Part):
    """Says how well a law forecast what was held out, in log units; `reason` why it does not count."""

    law: str
    weight: float | None
    score: float | None
    forecast_error: float | None
    residual_std: float | None
    reason: str


class Growth(Part):
    """Says how the error of forecasts grows with the distance."""

    slope: float | None
    degrees_of_freedom: float | None


class BackTest(Part):
    """Holds how laws did that were fitted to smaller runs and asked about larger ones."""

    horizon: float | None
    windows: list[Window]
    laws: list[LawScore]
    share_of_laws: float | None
    recent_error: float | None
    growth: Growth


class FitAnswer(Part):
    """Holds one law of one choice of cells. `residual_std` and `forecast_error` are in log units."""

    law: str
    formula: str
    on: On
    metric: str
    x: Axes
    currency: str | None
    objective: str
    status: str
    status_about: list[str]
    advice: str
    lights: Lights
    chosen: bool
    chosen_of: On | None
    forecast_error: float | None
    level: float
    coefficients: dict[str, Uncertain]
    pinned: list[str]
    tied: list[list[str]]
    members: list[Weight]
    backtest: BackTest | None
    diagnostics: list[Diagnostic]
    runs_used: int
    cells_used: int
    clusters: list[str]
    clusters_used: int
    notes: list[str]
    run_ids: list[str]
    excluded: list[LeftOut]
    r_squared: float | None
    residual_std: float | None
    seed_std: float | None
    lack_of_fit_std: float | None
    x_range: list[float] | dict[str, list[float]]
    version: str


class TheLaw(Part):
    """Names the law that forecasts best, and the cells that it is of."""

    law: str
    on: On


class NotFitted(Part):
    """Says which law has too few points."""

    law: str
    on: On
    reason: str
    have: int
    need: int


class FitsAnswer(Answer):
    """Answers with laws; `answer` and `the_law` are null where laws were named."""

    answer: LawAnswer | None
    the_law: TheLaw | None
    fits: list[FitAnswer]
    not_fitted: list[NotFitted]
