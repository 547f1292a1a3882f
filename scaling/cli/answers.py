"""Checks the answers of a `scaling serve`.

A server elsewhere may be another program, another version, or broken: nothing that it says is used before it was looked at here.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from scaling.columns import RUN_COLUMNS, SCHEMA_VERSION
from scaling.errors import DataError

__all__ = ["Malformed", "answer_in"]

_DEEPEST = 40
_LARGEST = 2**63


class Malformed(DataError):
    """Reports an answer that is not what its address should answer; the message is what is wrong with it."""


class _Shape(BaseModel):
    """Describes what is used of an object; it may hold more."""

    model_config = ConfigDict(strict=True, extra="allow")


_KINDS: dict[str, object] = {
    "str": str | None, "bool": bool | None, "int": float | None, "float": float | None, "list": list[str], "time": str | None,
}  # fmt: skip
_COUNT = Annotated[float | None, Field(ge=0)]
_COUNTED = {column.name for column in RUN_COLUMNS if column.kind in ("int", "float")} - {
    "seed",
    "val_loss",
    "train_loss",
    "chance_loss",
}
_NEEDED: dict[str, object] = {
    "id": str, "model": str | None, "status": str, "epochs": Annotated[float | None, Field(gt=0)], "learning_rate": Annotated[float | None, Field(ge=0)],
}  # fmt: skip
_FIELDS: dict[str, Any] = {column.name: (_KINDS[column.kind], None) for column in RUN_COLUMNS}
_FIELDS |= dict.fromkeys(_COUNTED, (_COUNT, None))
_FIELDS |= {name: (kind, ...) for name, kind in _NEEDED.items()}
_Run: Any = create_model("_Run", __base__=_Shape, **_FIELDS)


class _Page(_Shape):
    runs: list[_Run]
    next: str | None


class _Attempt(_Shape):
    number: int
    host: str | None
    first_step: int | None
    last_step: int | None
    outcome: str | None
    reason: str
    useful_seconds: float
    redone_seconds: float
    startup_seconds: float


class _Detail(_Run):
    parent_step: int | None = None
    code_version: str | None = None
    attempt_rows: list[_Attempt]
    evaluations: list[dict[str, object]]
    metrics: dict[str, list[list[float | None]]]


class _OneRun(_Shape):
    run: _Detail


class _Searches(_Shape):
    settled: int
    cells: int
    stuck: list[str]
    found: list[str] | None = None


class _Finetuning(_Shape):
    runs: dict[str, int]
    core_hours: float
    allocated_core_hours: float
    core_hours_ahead: float = 0.0
    best_val_loss: float | None
    best_top1: float | None


class _Skipped(_Shape):
    runs: int
    examples: int


class _Imported(_Shape):
    file: str
    mapping: dict[str, str] = {}
    renamed: dict[str, str] = {}
    words: dict[str, str] = {}
    config: list[str] = []
    converted: list[str] = []
    cell: list[str] = []
    clusters: list[str] = []


class _Experiment(_Shape):
    name: str
    simulated: bool
    runs: dict[str, int]
    core_hours: float | None
    inherited_core_hours: float | None
    spent_core_hours: float
    saved: float
    allocated_core_hours: float | None
    estimated_core_hours: float | None
    estimate_error: float | None
    budget_core_hours: float | None
    budget_cost: float | None = None
    allocated_cost: float | None = None
    currency: str | None = None
    best_val_loss: float | None
    searches: _Searches | None
    finetuning: _Finetuning | None = None
    no_better_than_guessing: list[str] | None = None
    skipped: _Skipped | None = None
    imported: _Imported | None = None


class _Scheduler(_Shape):
    holder: str
    pid: int | None


class _Experiments(_Shape):
    experiments: list[_Experiment]
    scheduler: _Scheduler | None
    interrupted: int = 0


class _AtWork(_Shape):
    id: str
    family: str
    model: str
    epochs: float
    learning_rate: float
    seed: int
    step: int
    steps: int
    train_loss: float | None
    examples_per_second: float | None
    mfu: float | None


class _Progress(_Shape):
    experiment: str | None
    seconds: float
    counts: dict[str, int]
    running: list[_AtWork]
    core_hours: float
    estimated_core_hours: float
    best_val_loss: float | None
    eta_seconds: float | None
    has_scheduler: bool


_SHAPES: dict[str, type[_Shape]] = {"runs": _Page, "run": _OneRun, "experiments": _Experiments, "progress": _Progress}
"""Shape of an answer by the first part of its path under /api/v1, `run` for one run."""


def answer_in(body: bytes, path: str) -> dict[str, object]:
    """Read the JSON object that `/api/v1<path>` answers; columns of runs that a somewhat older server does not know are null.

    Raises `Malformed` for anything else, and for numbers that are not finite, texts that no terminal can show and endless nesting.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Malformed("it is not JSON") from error
    if not isinstance(content, dict) or "schema_version" not in content:
        raise Malformed("it has no schema_version")
    if content["schema_version"] != SCHEMA_VERSION:
        return content  # for the caller to say so
    _check_values(content)
    first, _, rest = path.strip("/").partition("/")
    kind = "run" if first == "runs" and rest else first
    try:
        if kind in _SHAPES:
            _SHAPES[kind].model_validate(content)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise Malformed(f"{'.'.join(map(str, fault['loc']))}: {fault['msg'][:1].lower()}{fault['msg'][1:]}") from error
    rows = content["runs"] if kind == "runs" else [content["run"]] if kind == "run" else []
    for row in rows:
        row.update({column.name: [] if column.kind == "list" else None for column in RUN_COLUMNS if column.name not in row})
        if kind == "run":
            row.update({name: None for name, field in _Detail.model_fields.items() if name not in row and not field.is_required()})
    return content


def _check_values(content: object) -> None:
    """Check that whatever is in it can be printed, compared and counted with."""
    level = [content]
    for _ in range(_DEEPEST):
        if not level:
            return
        deeper: list[object] = []
        for value in level:
            if isinstance(value, dict):
                deeper += [*value, *value.values()]
            elif isinstance(value, list):
                deeper += value
            elif isinstance(value, str):
                if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
                    raise Malformed("a text in it is half a character")
            elif isinstance(value, float):
                if not math.isfinite(value):
                    raise Malformed("a number in it is infinite or none")
            elif isinstance(value, int) and abs(value) >= _LARGEST:
                raise Malformed("a number in it has too many digits")
        level = deeper
    raise Malformed(f"it is nested more than {_DEEPEST} deep")
