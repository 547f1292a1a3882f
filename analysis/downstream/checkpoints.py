"""Fine-tuned runs beside what they started from, and the pre-trained cells that they stand for."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.cells import unknown_inside
from analysis.checkpoints import checkpoints_of
from analysis.design_columns import alike, design_columns, named_columns
from analysis.finetuned import FINETUNED, asks_of_finetuned, is_finetuned, of_stage
from analysis.reading.source import source_of
from scaling.columns import COLUMNS

__all__ = ["checkpoint_table", "differing", "has_parents", "joined", "with_cells", "with_parents"]

_MEASURED = ("examples_seen", "unique_examples", "steps")


def has_parents(runs: pd.DataFrame) -> bool:
    """Say whether some rows of a table were fine-tuned from others of it: by their `stage`, or where it has none by their `parent`."""
    return bool(_tuned(runs).any())


def with_parents(runs: pd.DataFrame, downstream: str) -> pd.DataFrame:
    """Return the fine-tuned runs with the columns of their parents, where the table has some; else the table, of which a row is one."""
    return joined(runs, downstream)[0] if has_parents(runs) else runs


def joined(runs: pd.DataFrame, downstream: str) -> tuple[pd.DataFrame, str]:
    """Return the fine-tuned runs with the columns of their parents, and the name of the downstream metric there.

    It is `finetune_<downstream>`, see `analysis.finetuned`.
    """
    metric = downstream if asks_of_finetuned(downstream) else f"{FINETUNED}{downstream}"
    if "stage" not in runs and has_parents(runs):
        runs = runs.assign(stage=_tuned(runs).map({True: "finetuning", False: "pretraining"}))
    return of_stage(runs, metric), metric


def _tuned(runs: pd.DataFrame) -> pd.Series:
    if "stage" in runs or not {"id", "parent"} <= set(runs):
        return is_finetuned(runs)
    return runs["parent"].notna() & runs["parent"].astype(str).isin(runs["id"].astype(str))


def with_cells(runs: pd.DataFrame, *, metric: str, x: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Number the pre-trained cell of each fine-tuned run in a column `cell`, and return what told the cells apart.

    Seeds of a cell are one checkpoint, and so are its fine-tunings, however they were done. Rows of a user's table that name one
    `parent` started from one checkpoint, whatever else differs between them.
    """
    columns = [name for name in design_columns(runs, x=(x,), metric=metric) if not name.startswith(FINETUNED)]
    columns += [name for name in named_columns(runs, source_of(runs).get("cell", ())) if name not in columns]
    if "parent" not in runs or runs["parent"].isna().any():
        return runs.assign(cell=alike(runs, columns)), tuple(columns)
    named = source_of(runs).get("cell", ())
    parents = runs.drop_duplicates(["parent", *named])
    cells = parents[["parent", *named]].assign(cell=alike(parents, columns))
    return runs.merge(cells, on=["parent", *named], how="left").set_axis(runs.index), tuple(columns)


def differing(runs: pd.DataFrame, columns: Sequence[str], metric: str, x: str, *, of: pd.DataFrame) -> tuple[str, ...]:
    """Find the columns, settings and others, in which fine-tuned runs of one checkpoint differ. of: the table as it was read."""
    apart, known, cells = [], ["cell"], runs["cell"].nunique()
    for name in design_columns(runs, x=(x,), metric=metric):
        if name in (x, *_MEASURED) or name in known:
            continue
        known.append(name)
        if (groups := alike(runs, known).nunique()) > cells:
            apart.append(name)
            cells = groups
    found = checkpoints_of(of, asked=(metric,))
    return (*apart, *unknown_inside(runs, [*columns, *known, x], (metric,), checkpoints=found))


def checkpoint_table(runs: pd.DataFrame, metrics: Sequence[str], x: str, columns: Sequence[str]) -> pd.DataFrame:
    """Make a row for each pre-trained cell: means over its runs of x and the metrics, what told it apart, and how many runs there are."""
    groups = runs.groupby("cell", sort=True)
    kept = [
        name
        for name in dict.fromkeys(("family", "model", "params", "epochs", *columns))
        if name in runs and name not in (x, *metrics)
    ]
    table = groups[kept].first()
    for name in (x, *metrics, *(each for each in _MEASURED if each in runs)):
        table[name] = groups[name].mean()
    table["runs"] = groups.size()
    table.insert(0, "checkpoint", _labels(table, groups))
    found = table.sort_values([x, metrics[0]], kind="stable").reset_index(drop=True)
    found.attrs = dict(runs.attrs)
    return found


def _labels(table: pd.DataFrame, groups: pd.api.typing.DataFrameGroupBy) -> pd.Series:
    """Name the checkpoints by model and epochs, with what else tells them apart; by an id where there is neither."""
    ids = groups["id"].first().astype(str)
    if "model" not in table or (table["model"] == "").any():
        return ids
    labels = table["model"].astype(str)
    if table["family"].nunique() > 1:
        labels = table["family"].astype(str) + " " + labels
    if "epochs" in table and table["epochs"].notna().all():
        labels = labels + " at " + table["epochs"].map("{:g}".format) + " epochs"
    others = [name for name in table if name not in (*COLUMNS, "checkpoint", "runs") and table[name].dtype.kind not in "fiu"]
    for name in others if labels.duplicated().any() else ():
        labels = labels + f", {name} " + table[name].astype(str)
    return labels.where(~labels.duplicated(keep=False), labels + " (" + ids + ")")
