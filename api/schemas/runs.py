"""Runs: a row is described from `scaling.columns`, which names every quantity once."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, create_model

from api.schemas.part import Answer, Open, Part, Uncertain
from scaling.columns import RECIPE_COLUMNS, RUN_COLUMNS, Column

__all__ = ["AttemptRow", "EndForecast", "EvaluationRow", "RunAnswer", "RunDetail", "RunRow", "RunsAnswer"]

_Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
_KINDS: dict[str, Any] = {"str": str | None, "bool": bool | None, "int": int | None, "float": float | None, "time": _Time | None}
_KINDS |= {"list": list[str]}
_ALWAYS: dict[str, Any] = dict.fromkeys(("id", "status", "reason", "excluded", "searched", "imported_from"), str)
_ALWAYS |= {"created_at": _Time}


def _field(column: Column, *, is_setting: bool = False) -> Any:
    kind = _ALWAYS.get(column.name, _KINDS[column.kind])
    words = f"{column.description} In {column.unit}." if column.unit and column.kind != "time" else column.description
    told = Field(description=words)
    if is_setting:  # an imported run has what its file says
        return Annotated[kind | str, told], None
    return Annotated[kind, told], ...


class _Row(Open):
    """Holds the columns of a run.

    A quantity that is not known is null. The settings of the recipe are there where they are not neutral. What a program reported, and what the
    file of an imported run has besides, are further columns.
    """


RunRow: Any = create_model(
    "RunRow",
    __base__=_Row,
    __module__=__name__,
    __doc__=_Row.__doc__,
    **{column.name: _field(column) for column in RUN_COLUMNS},
    **{column.name: _field(column, is_setting=True) for column in RECIPE_COLUMNS},
)


class AttemptRow(Part):
    """Holds one stay of a run on hardware; `outcome` is null while it goes on."""

    number: int
    packed: int
    host: str | None
    device: str | None
    devices: int | None
    threads: int | None
    accelerator: str
    cores: int
    code_version: str | None
    jaxlib_version: str | None
    resumed_from: int | None
    branched_from: int | None
    first_step: int
    last_step: int | None
    reason: str
    useful_seconds: float
    redone_seconds: float
    startup_seconds: float
    evaluation_seconds: float
    checkpoint_seconds: float
    directory: str
    outcome: str | None
    started_at: str
    ended_at: str | None


class EvaluationRow(Part):
    """Holds loss and accuracy on a held-out split after a step."""

    step: int
    split: str
    loss: float | None
    top1: float | None
    top5: float | None
    examples: int
    seconds: float


class Then(Part):
    """Says what runs like this one have at a share of their steps."""

    share: float
    value: float | None
    low: float | None
    high: float | None


class EndForecast(Part):
    """Says where a run in training will end, of its curve so far and of the law of the runs that are over."""

    run: str
    metric: str
    level: float
    sentence: str
    steps: int
    share: float
    loss: float | None
    end: Uncertain
    by: Literal["law", "law-and-curve", "curve"]
    by_law: Uncertain | None
    law_inputs: list[str]
    runs_used: int
    law_error: float | None
    curve_error: float | None
    now: Uncertain | None
    alarm: Literal["above", "below"] | None
    band: list[Then]


class RunDetail(RunRow):
    """Holds one run: its columns, how it was configured, its attempts, evaluations and curves."""

    config: dict[str, JsonValue]
    resources: dict[str, JsonValue]
    options: dict[str, JsonValue]
    parent_step: int | None
    provisional: bool
    estimated_core_hours: float | None
    code_version: str | None
    attempt_rows: list[AttemptRow]
    evaluations: list[EvaluationRow]
    metrics: Annotated[
        dict[str, list[tuple[int, float | None]]], Field(description="Name of a metric to its [step, value] in order.")
    ]
    forecast: Annotated[EndForecast | None, Field(description="Of a run in training: where it will end; null of others.")]


class RunAnswer(Answer):
    """Answers with one run."""

    run: RunDetail


class RunsAnswer(Answer):
    """Answers with a page of runs, or with those that changed."""

    total: Annotated[int, Field(description="Runs that match in all.")]
    next: Annotated[str | None, Field(description="Token of the page after this one; null on the last.")]
    runs: list[RunRow]
    version: Annotated[str, Field(description="What to ask with as `after`, once all pages are read.")]
    left: Annotated[list[str], Field(description="Of increments: ids of runs that changed and do not match, or were deleted.")]
