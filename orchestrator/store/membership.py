"""`column IN (many values)` as one parameter, so that a question about 100,000 runs is one statement on either kind of database."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, String, Text, any_, cast, func, literal, select
from sqlalchemy.orm import Session

__all__ = ["among"]


def among(session: Session, column: Any, values: Iterable[str]) -> ColumnElement[bool]:
    """That a text column holds one of `values`. A list of bound parameters would end at the database's limit on them."""
    values = list(values)
    if session.get_bind().dialect.name == "postgresql":
        return column == any_(cast(literal(values, ARRAY(Text)), ARRAY(Text)))
    listed = func.json_each(json.dumps(values)).table_valued("value")
    return column.in_(select(cast(listed.c.value, String)))
