"""The table of runs, read again where it has changed alone: of 10,000 runs a full read takes a second, of 100,000 ten.

`run_changes` tells which runs have another row than before. Their rows are read and put in the places of the old ones. Where that might give
another table than a full read (a column of another kind, settings in which runs now differ), all is read.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from orchestrator.store import queries, run_changes
from scaling.columns import COLUMNS, RECIPE_NEUTRAL

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KnownRuns"]

_MOST_CHANGED = 0.3
"""The share of changed runs beyond which a full read is as fast."""


class KnownRuns:
    """Keeps the table of all runs, or of an experiment's, between reads."""

    def __init__(self, experiment: str | None = None) -> None:
        self._experiment = experiment
        self._lock = threading.Lock()
        self._table: pd.DataFrame | None = None
        self._of: tuple[int, bool] = (0, False)
        self._number = 0
        self._agreed: dict[str, Any] = {}

    def table(self, session: Session) -> pd.DataFrame:
        """Return the table as `analysis.unfinished.table_of` makes it of all rows; the caller may change what is returned."""
        from analysis.unfinished import plain_table, with_waiting

        with self._lock:
            of, number = (run_changes.counted_as(session), queries.is_gone(session)), run_changes.latest(session)
            table = self._renewed(session) if of == self._of and of[0] else None
            if table is None:
                rows = queries.runs(session, experiment=self._experiment)
                table, self._agreed = plain_table(rows), _agreed(rows)
                is_kept = bool(rows) and not all(row.get("imported_from") for row in rows)  # of which a table has other columns
                self._of = of if is_kept else (0, False)
            self._table, self._number = table, number
        return with_waiting(table.copy(deep=False), has_scheduler=queries.scheduler(session) is not None)

    def _renewed(self, session: Session) -> pd.DataFrame | None:
        """Return the known table with the rows that changed since; None where all are to be read."""
        table = self._table
        if table is None:
            return None
        changed = [run_id for _, run_id in run_changes.since(session, self._number)]
        if len(changed) > _MOST_CHANGED * len(table):
            return None
        if not changed:
            return table
        rows = [self._as_in_table(row, table) for row in queries.runs(session, experiment=self._experiment, ids=changed)]
        known = [row for row in rows if row is not None]
        return _with_rows(table, set(changed), known) if len(known) == len(rows) else None

    def _as_in_table(self, row: Mapping[str, Any], table: pd.DataFrame) -> dict[str, Any] | None:
        """Return a row with the settings that the table has; None where it has no place in the table as it is."""
        settings = {name: row.get(name, neutral) for name, neutral in RECIPE_NEUTRAL.items()}
        if row.get("optimizer", "") is None or any(settings[name] != agreed for name, agreed in self._agreed.items()):
            return None
        found = {name: value for name, value in row.items() if name not in RECIPE_NEUTRAL}
        found |= {name: value for name, value in settings.items() if name not in self._agreed}
        return found if found.keys() == set(table.columns) else None


def _agreed(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the settings in which all rows agree, which a table leaves out, see `scaling.columns.with_recipes`."""
    values = {name: {row.get(name, neutral) for row in rows} for name, neutral in RECIPE_NEUTRAL.items()}
    return {name: next(iter(found)) for name, found in values.items() if len(found) == 1}


def _with_rows(table: pd.DataFrame, changed: set[str], rows: list[dict[str, Any]]) -> pd.DataFrame | None:
    """Return the table with these rows, and without the other changed ones; None where the order or a column would be another."""
    import numpy as np
    import pandas as pd

    ids = table["id"].tolist()
    place = {row["id"]: len(ids) + number for number, row in enumerate(rows)}
    at = [place.pop(run_id, None) if run_id in changed else number for number, run_id in enumerate(ids)]
    order = [number for number in at if number is not None]
    if place:  # new runs: they come last where they are the newest
        last = (table["created_at"].iloc[-1], ids[-1])
        if any((row["created_at"], row["id"]) < last for row in rows if row["id"] in place):
            return None
        order += place.values()
    if len(order) < len(ids) + len(place) and any(name in table for name in RECIPE_NEUTRAL):
        return None  # the runs that are left may agree
    columns = {name: _joined(table[name], [row[name] for row in rows], np.array(order), name) for name in map(str, table)}
    known = {name: column for name, column in columns.items() if column is not None}
    return pd.DataFrame(known) if len(known) == len(columns) and order else None


def _joined(old: pd.Series, values: list[Any], order: Any, name: str) -> pd.Series | None:
    """Return a column with the values behind it, in this order; None where a full read might take it for one of another kind."""
    import pandas as pd

    new = pd.Series(values, dtype=None if values else old.dtype)
    is_unknown, was_float, is_whole = bool(new.isna().all()), old.dtype == float, COLUMNS.get(name, COLUMNS["id"]).kind == "int"
    is_number = new.dtype in (float, int)
    if new.dtype != old.dtype:
        if was_float or old.dtype == int:
            if not is_number and not is_unknown:
                return None
            old, new = old.astype(float), new.astype(float)
        elif is_unknown and isinstance(old.dtype, pd.StringDtype):
            new = new.astype(old.dtype)
        elif is_unknown and old.dtype == object:
            new = new.astype(object)
        else:
            return None
    joined = pd.concat([old, new], ignore_index=True).iloc[order].reset_index(drop=True)
    if (
        was_float and (old.isna().any() or new.isna().any()) and not joined.isna().any()
    ):  # whole numbers with a gap, which is filled now
        return joined.astype(int) if is_whole else joined if name in COLUMNS else None
    if joined.isna().all() and joined.dtype != object:
        return None
    return joined
