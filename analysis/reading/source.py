"""Where a table of runs came from and what was done to it before any analysis. The table carries it, and every answer prints it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from analysis.reading.typed import word_for_nothing
from scaling.columns import column_name

__all__ = [
    "KINDS",
    "TIDIED",
    "add_note",
    "attach_source",
    "column_of",
    "columns_in",
    "grouped",
    "keep_words",
    "source_of",
    "word_of",
    "words_kept",
]

_WORDS = "words"
_KEY = "source"  # of DataFrame.attrs, which copies and selections keep; plain JSON, since writers of Parquet store it

KINDS = ("metrics.", "params.", "tags.", "config.", "summary.")
"""Prefixes that MLflow and W&B put before a name."""

TIDIED = {"State": "status", "state": "status", "Name": "id", "ID": "id", "run_id": "id", "_run_id": "id"}
"""Names of W&B and MLflow → those that their tables have here."""


def attach_source(runs: pd.DataFrame, source: dict[str, object]) -> pd.DataFrame:
    """Attach `source`: `{"file", "format", "sha256", "rows", "mapping", "units", "renamed", "converted", "command", "notes": []}`.

    words: column of numbers → the word that stands there for a missing one.
    renamed: names of the file → ours, beside `mapping`. one_run: whether the rows are known to be the steps of one run.
    converted: our columns whose numbers are not those of the file.
    """
    runs.attrs[_KEY] = {"notes": [], **source}
    return runs


def add_note(runs: pd.DataFrame, notes: Iterable[str]) -> pd.DataFrame:
    """Add a sentence or more about what was done to the numbers."""
    source = source_of(runs)
    return attach_source(runs, {**source, "notes": [*source["notes"], *notes]})


def source_of(runs: pd.DataFrame) -> dict[str, Any]:
    """Return `{"notes": [sentence, …]}` with whatever else is known of the table; of a table made by hand, no more than that."""
    return {"notes": [], **runs.attrs.get(_KEY, {})}


def keep_words(table: pd.DataFrame, cells: Mapping[str, Iterable[object]]) -> pd.DataFrame:
    """Attach the words that stand for nothing in the table's columns, see `analysis.reading.typed.word_for_nothing`.

    cells: of each column, as they stand in the file.
    """
    found = {name: word for name, values in cells.items() if (word := word_for_nothing(values))}
    table.attrs[_WORDS] = {**table.attrs.get(_WORDS, {}), **found}
    return table


def words_kept(table: pd.DataFrame) -> dict[str, str]:
    """Return what `keep_words` attached: column → word."""
    return dict(table.attrs.get(_WORDS, {}))


def columns_in(runs: pd.DataFrame, names: str) -> str:
    """Spell the names in a list such as `params,samples` as the table does: each may be our name or, after --map, the file's own."""
    return ",".join(column_of(runs, name.strip()) for name in names.split(","))


def grouped(runs: pd.DataFrame, **given: Iterable[str]) -> dict[str, list[str]]:
    """Spell the columns that `cell` and `clusters` name as the table does, and leave out a group without columns.

    >>> grouped(runs, cell=["augment,warmup", "depth"], clusters=[])
    {'cell': ['augment', 'warmup', 'depth']}
    """
    found = {name: [column for text in texts for column in columns_in(runs, text).split(",")] for name, texts in given.items()}
    return {name: columns for name, columns in found.items() if columns}


def word_of(runs: pd.DataFrame, name: str) -> str:
    """Return the word, `None` or the like, that the file has in this column for a missing number; empty where it has none or several."""
    words = source_of(runs).get("words", {})
    return next((str(words[spelt]) for spelt in (name, *(kind + name for kind in KINDS)) if spelt in words), "")


def column_of(runs: pd.DataFrame, name: str) -> str:
    """Return the column that a name of ours or of the file stands for.

    After `--map params=weights` both `params` and `weights` are `params`. `<name>_error`, which is 1 − `<name>`, follows its column. A name
    that nothing is known of is spelled as `column_name` does.
    """
    if name in runs:
        return name
    ours = column_name(name)
    if ours in runs:
        return ours
    for spelt in (*(name.removeprefix(kind) for kind in KINDS), *(kind + name for kind in KINDS)):
        if spelt in runs:
            return spelt
    source = source_of(runs)
    for mapped, theirs in source.get("mapping", {}).items():
        if mapped in runs and name in (theirs, *(theirs.removeprefix(kind) for kind in KINDS)):
            return str(mapped)
    for old, new in {**TIDIED, **source.get("renamed", {})}.items():
        if name == old and new in runs:
            return str(new)
    share = name.removesuffix("_error")
    if share != name and (found := column_of(runs, share)) in runs:
        return f"{found}_error"
    return ours
