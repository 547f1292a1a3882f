"""Inserts rows that may be there already, in one statement whatever their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.orm import Session

__all__ = ["upsert_rows"]


def upsert_rows(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert `rows`, all with the same columns, in one statement; a row whose primary key is there already is replaced."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    statement = _insert_on(session.get_bind().dialect.name)(table)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    session.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), list(rows))


def _insert_on(dialect: str) -> Any:
    """Return the dialect's `insert`, which knows ON CONFLICT; imported here because each loads the whole of its dialect."""
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as of_postgresql

        return of_postgresql
    from sqlalchemy.dialects.sqlite import insert as of_sqlite

    return of_sqlite
