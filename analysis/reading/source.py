"""Where a table of runs came from and what was done to it before any analysis: carried by the table, printed with every answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from scaling.columns import column_name

__all__ = ["KINDS", "TIDIED", "add_note", "attach_source", "column_of", "source_of"]

_KEY = "source"  # of DataFrame.attrs, which copies and selections keep; plain JSON, since writers of Parquet store it

KINDS = ("metrics.", "params.", "tags.", "config.", "summary.")
"""What MLflow and W&B put before a name."""

TIDIED = {"State": "status", "state": "status", "Name": "id", "ID": "id", "run_id": "id", "_run_id": "id"}
"""Names of W&B and MLflow → those that their tables have here."""


def attach_source(runs: pd.DataFrame, source: dict[str, Any]) -> pd.DataFrame:
    """The table with `source`: `{"file", "format", "sha256", "rows", "mapping", "units", "renamed", "converted", "command", "notes": []}`.

    renamed: names of the file → ours, beside `mapping`. one_run: whether the rows are known to be the steps of one run. converted: our columns whose numbers are not those of the file.
    """
    runs.attrs[_KEY] = {"notes": [], **source}
    return runs


def add_note(runs: pd.DataFrame, notes: Iterable[str]) -> pd.DataFrame:
    """A new sentence or more about what was done to the numbers."""
    source = source_of(runs)
    return attach_source(runs, {**source, "notes": [*source["notes"], *notes]})


def source_of(runs: pd.DataFrame) -> dict[str, Any]:
    """`{"notes": [sentence, …]}` with whatever else is known of the table; of a table made by hand, no more than that."""
    return {"notes": [], **runs.attrs.get(_KEY, {})}


def column_of(runs: pd.DataFrame, name: str) -> str:
    """The column that a name of ours or of the file stands for: after `--map params=weights` both `params` and `weights` are `params`.

    `<name>_error`, which is 1 − `<name>`, follows its column. A name that nothing is known of stays as `column_name` spells it.
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
