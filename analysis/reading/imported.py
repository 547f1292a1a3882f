"""Runs of a store that were imported from files: what is known of the files goes with the table, so that it says what they say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.reading.source import attach_source, source_of

__all__ = ["with_sources", "without_empty_columns"]


def with_sources(runs: pd.DataFrame, sources: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Attach how the files were read whose runs are in a store's table, with a note that counts the runs of each.

    sources: of each file what `source_of` said of it when it was imported. Where two of them call a column otherwise, the first counts.
    """
    if not sources or "imported_from" not in runs:
        return runs
    counts = runs["imported_from"].value_counts()
    held = [source for source in sources if source["file"] in counts]
    merged: dict[str, Any] = {
        kind: {name: value for source in reversed(held) for name, value in source.get(kind, {}).items()}
        for kind in ("mapping", "renamed", "words")
    }
    merged["config"] = list(dict.fromkeys(name for source in held for name in source.get("config", ())))
    merged["converted"] = list(dict.fromkeys(name for source in held for name in source.get("converted", ())))
    merged |= {
        kind: list(dict.fromkeys(name for source in held for name in source.get(kind, ())))
        for kind in ("cell", "clusters")
        if any(kind in source for source in held)
    }
    count = {source["file"]: int(counts[source["file"]]) for source in held}
    notes = [f"{runs} run{'' if runs == 1 else 's'} imported from {file}" for file, runs in count.items()]
    source = source_of(runs)
    return attach_source(runs, {**source, **merged, "notes": [*source["notes"], *notes]})


def without_empty_columns(rows: Iterable[Mapping[str, object]]) -> list[dict[str, object]]:
    """Return the rows without the columns in which none of them says anything; those of the usual questions stay."""
    rows = list(rows)
    said = {"family", "model", "core_hours", "val_loss"}
    said |= {
        name
        for row in rows
        for name, value in row.items()
        if value is not None and value is not False and value != "" and value != []
    }
    return [{name: value for name, value in row.items() if name in said} for row in rows]
