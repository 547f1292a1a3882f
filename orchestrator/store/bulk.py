"""Insert many rows as fast as the driver takes them: a grid of 100,000 runs in a second or two.

SQLAlchemy's own executemany looks at every value of every row; here each column's type is looked up once. JSON values that are the same
object in many rows (the parts of a config that a grid shares) are written as text once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import JSON, Column, Dialect, Table, insert
from sqlalchemy.orm import Session

__all__ = ["insert_rows", "upsert_rows"]

_SCALARS = frozenset({int, float, str, bool, type(None)})


def insert_rows(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert `rows`, all with the same columns; a column they leave out has its default, which must not depend on the row."""
    if not rows:
        return
    connection = session.connection()
    dialect, texts = connection.dialect, _Texts()
    given = [column for column in table.columns if column.name in rows[0]]
    rest = {column.name: default for column in table.columns if (default := _default(column)) is not None}
    rest = {name: value for name, value in rest.items() if name not in rows[0]}
    compiled = insert(table).compile(dialect=dialect, column_keys=[*(column.name for column in given), *rest])
    written: dict[str, list[Any]] = {}
    for column in given:
        write = _writer(column, dialect, texts)
        values = [row[column.name] for row in rows]
        written[column.name] = values if write is None else [write(value) for value in values]
    for name, value in rest.items():
        write = _writer(table.columns[name], dialect, texts)
        written[name] = [value if write is None else write(value)] * len(rows)
    if compiled.positional:
        order = compiled.positiontup or []
        parameters: Sequence[Any] = list(zip(*(written[name] for name in order), strict=True))
    else:
        names = list(written)
        parameters = [dict(zip(names, values, strict=True)) for values in zip(*written.values(), strict=True)]
    connection.exec_driver_sql(str(compiled), parameters)


def upsert_rows(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert `rows`, all with the same columns; one whose primary key is there already replaces it. One statement."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    statement = _insert_on(session.get_bind().dialect.name)(table)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    session.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), list(rows))


def _insert_on(dialect: str) -> Any:
    """The `insert` that knows ON CONFLICT; each loads the whole of its dialect."""
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as of_postgresql

        return of_postgresql
    from sqlalchemy.dialects.sqlite import insert as of_sqlite

    return of_sqlite


def _default(column: Column[Any]) -> Any:
    """The Python default of a column: its value, or what its function gives."""
    default: Any = column.default
    if default is None:
        return None
    return default.arg if default.is_scalar else default.arg(None)


def _writer(column: Column[Any], dialect: Dialect, texts: _Texts) -> Callable[[Any], Any] | None:
    """What makes a value of the column one that the driver takes; None when it takes it as it is."""
    kind = column.type.dialect_impl(dialect)
    if isinstance(kind, JSON) and dialect.name == "sqlite":
        return texts.of
    return kind.bind_processor(dialect)


class _Texts:
    """JSON of values; of a mapping that comes again as the same object, and of the same number, the text of the first time."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, str]] = {}
        self._scalar = lru_cache(maxsize=10_000, typed=True)(json.dumps)

    def of(self, value: Any) -> str:
        if type(value) is not dict:
            return json.dumps(value)
        part, scalar = self._part, self._scalar
        texts = [f"{scalar(key)}: {scalar(of) if type(of) in _SCALARS else part(of)}" for key, of in value.items()]
        return "{" + ", ".join(texts) + "}"

    def _part(self, value: Any) -> str:
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = value, json.dumps(value)  # the value is kept, so that its id stays its own
        return known[1]
