"""Parts that many answers have."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

__all__ = ["Answer", "AnyRow", "Diagnostic", "LeftOut", "Light", "Lights", "On", "Open", "Part", "Uncertain", "Value", "Weight"]

Value = str | float | bool | None | list[JsonValue] | dict[str, JsonValue]
"""What a column that depends on the table may hold."""


class Part(BaseModel):
    """Describes an object that has these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class Open(BaseModel):
    """Describes a row of a table: these columns, and further ones that depend on the table and the question."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Value] = Field(init=False)


class AnyRow(Open):
    """Holds a row whose columns depend on the table and the question."""


class Answer(Part):
    """Describes a whole answer."""

    schema_version: Annotated[int, Field(description="Raised when a field changes meaning or goes away.")]


class Uncertain(Part):
    """Holds a number with the ends of its interval. An end is null where the runs do not bound it."""

    value: float | None
    low: float | None
    high: float | None


class LeftOut(Part):
    """Names a run that was left out, and why."""

    id: str
    reason: str


class Diagnostic(Part):
    """Says what is worth knowing of an answer; `scaling docs codes` lists the codes."""

    code: str
    message: str
    advice: str
    about: list[str]


class Light(Part):
    """Rates a law in one respect; `ok` is null where that is not known."""

    ok: bool | None
    reason: str


class Lights(Part):
    """Says whether the runs determine a law, and whether it forecasts well."""

    identified: Light
    forecasts_well: Light


class Weight(Part):
    """Says how much a law counts."""

    law: str
    weight: float


On = Literal["frontier", "all"]
"""Which cells a law is fitted to."""
