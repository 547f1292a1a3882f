"""The database of runs, their cost and their results: SQLAlchemy models, migrations, transactions and queries.

| file | what it holds |
|---|---|
| `models` | the nouns as tables |
| `column_types` | how values that a database does not know are stored |
| `engine`, `schema`, `migrations/` | opening, upgrading, refusing a database |
| `store` | `Store`: transactions to write and to read |
| `grid` | accept an experiment: which runs it wants, which are new |
| `searches` | cells whose learning rates are searched for, and their progress |
| `ledger` | allocations and attempts: begin, progress, end + charge + requeue in one transaction |
| `lease` | one scheduler at a time |
| `identity` | the store's id, under which its attempts' folders lie |
| `predictions` | predictions registered before their run; added and read, never changed |
| `queries`, `payloads` | what commands and pages read; the JSON they return |

Knows neither Ray nor the trainer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from orchestrator.store.engine import DEFAULT_URL
from orchestrator.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DEFAULT_URL", "Session", "Store", "open_readonly", "runs"]


def open_readonly(url: str = DEFAULT_URL) -> Store:
    """Open a store for reading, as commands and pages do: see `Store.open_readonly`."""
    return Store.open_readonly(url)


def runs(
    db: str = DEFAULT_URL,
    *,
    experiment: str | None = None,
    where: Iterable[str] = (),
    price: Iterable[str] = (),
    convert: Iterable[str] = (),
    cell: Iterable[str] = (),
    clusters: Iterable[str] = (),
) -> pd.DataFrame:
    """Read the runs of a store as the table that every question takes: a row a run, with the columns of `scaling docs columns`.

    >>> runs = scaling.runs("scaling.db", where=["status=finished"])
    >>> runs[["model", "epochs", "val_loss"]].shape
    (39, 3)

    Args:
        db: a path or a SQLAlchemy URL. experiment: only its runs.
        where, price, convert, cell, clusters: see `analysis.reading.choice.prepared`.

    Raises:
        StoreError: there is no store that this version can read. UnknownName: no such experiment, column or value.
    """
    from analysis.reading.choice import prepared

    with open_readonly(db) as store:
        return prepared(store.runs(experiment), where=where, price=price, convert=convert, cell=cell, clusters=clusters)
