"""Which runs of a table a question is about: the pre-trained ones, or those that were fine-tuned from them.

A row whose `stage` is `finetuning` started from the weights of its `parent`. It is never a point of what pre-training buys: another data
set, other images, a few core-hours. `of_stage` is the one door that every question passes.

| metric | the table that is analysed |
|---|---|
| any other | the rows that were not fine-tuned |
| `finetune_<column>` | a row for each fine-tuned run, with the columns of its parent: compute, size and epochs are those of pre-training |

A table without the column `stage` is analysed as it is, a `parent` in it or not: runs that share their first steps have one, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

from analysis.constant import once_a_table
from analysis.reading.column_kinds import (
    is_bookkeeping,
    is_compute,
    is_counter,
    is_data,
    is_label,
    is_learning_rate,
    is_result,
    is_size,
)
from analysis.reading.source import add_note, attach_source, source_of
from scaling.columns import COLUMNS, RECIPE_COLUMNS
from scaling.errors import DataError, TooFewPoints, UnknownName, UsageError
from scaling.outcomes import RunStatus

__all__ = ["FINETUNED", "LEFT_OUT", "asks_of_finetuned", "finetuned_metrics", "is_finetuned", "of_stage", "refuse_plan"]

FINETUNED = "finetune_"
"""Begins the name of a column of fine-tuned runs: `finetune_val_loss`."""

LEFT_OUT = "finetune_left_out"
"""Column of the table of fine-tuned runs: why a row has no parent, empty where it has one."""

_OWN = ("id", "parent", "reason", "chance_loss", "experiments", "learning_rate", "created_at", "ended_at")
"""Columns of the table that a fine-tuned run keeps; its status and its exclusion count beside its parent's."""

_SETTINGS = ("dataset", "epochs", "batch_size", "weight_decay", "optimizer", "optimiser")
"""Known columns in which fine-tunings of one checkpoint may differ, so that they are no replicates."""

_NOT_OF_FINETUNING = frozenset(
    [
        "id",
        "parent",
        "reason",
        "chance_loss",
        "experiments",
        "created_at",
        "ended_at",
        "family",
        "model",
        "params",
        "seed",
        "status",
        "excluded",
        "stage",
        "rehearsal",
        "searched",
        "attempts",
        "packed",
        "cores",
        "chips",
        "accelerator",
        "currency",
        "step",
    ]
)
"""Columns that a fine-tuned run shares with its parent, or that name it: they have no `finetune_` twin."""

_SHARES = {"val_top1": "top1_error", "val_top5": "top5_error"}
_SPELLED = re.compile(r"fine[-_ ]?tun(e|ed|ing)", re.IGNORECASE)
_FEW_SHOWN = 3


def is_finetuned(runs: pd.DataFrame) -> pd.Series:
    """Mark the rows of fine-tuned runs, `fine-tuned` and `finetune` among the spellings; none of a table without the column `stage`."""
    if "stage" not in runs:
        return pd.Series(False, index=runs.index)
    told = {value: bool(_SPELLED.fullmatch(str(value).strip())) for value in runs["stage"].unique()}  # of 100,000 rows two values
    return runs["stage"].map(told).astype(bool)


def asks_of_finetuned(metric: object) -> bool:
    """Say whether a metric is one of fine-tuned runs: `finetune_top1_error`."""
    return isinstance(metric, str) and metric.startswith(FINETUNED)


def finetuned_metrics(runs: pd.DataFrame) -> tuple[str, ...]:
    """Name the metrics of fine-tuned runs that a table of a store can be asked for; none where it has no such runs."""
    tuned = runs[is_finetuned(runs)]
    shares = {share: f"{FINETUNED}{error}" for share, error in _SHARES.items()}
    columns = {"val_loss": f"{FINETUNED}val_loss", **shares}
    return tuple(name for column, name in columns.items() if column in tuned and tuned[column].notna().any())


@once_a_table
def of_stage(runs: pd.DataFrame, metric: object = None) -> pd.DataFrame:
    """Return the runs that a question about a metric is about, with a note that says how many were set aside; see the module.

    Of a metric `finetune_<column>` each fine-tuned run is a row. It has the columns of its parent, and of its own:

    - `finetune_<column>` for each of its numbers and settings, `finetune_top1_error` and `finetune_top5_error` among them;
    - `id`, `parent`, `learning_rate` (that of fine-tuning, of which a cell's best counts) and `parent_learning_rate`;
    - `status` and `excluded`, its own, or its parent's where that did not finish or does not count.

    The settings in which fine-tunings differ tell cells apart. Seeds are the parents', so that the replicates are the seeds of a
    pre-trained cell. What this returns is returned as it is when it is asked again.

    Raises:
        TooFewPoints: the metric is of fine-tuned runs and there are none, or of pre-trained ones and there are none of those.
        UnknownName: the metric is no column of theirs. DataError: fine-tuned runs without a column `parent` or `id`.
    """
    tuned = is_finetuned(runs)
    if asks_of_finetuned(metric) and metric not in runs:
        return _with_parents(runs, tuned, str(metric)) if tuned.any() else _without_any(runs, str(metric))
    if not tuned.any():
        return runs
    if tuned.all():
        raise TooFewPoints(
            f"all {len(runs)} runs were fine-tuned, and {metric} is asked of pre-trained ones",
            have=0,
            need=1,
            hint=f"of fine-tuned ones, with their parents in the table: --metric {FINETUNED}{metric}; as runs of their own: a table without the column stage",
        )
    kept = _without_agreed(runs[~tuned]).reset_index(drop=True)
    kept.attrs = dict(runs.attrs)
    count = int(tuned.sum())
    return add_note(kept, [f"{_runs(count)} set aside: --metric {FINETUNED}… asks for {'it' if count == 1 else 'them'}"])


def refuse_plan(metric: object) -> None:
    """Raise `UsageError` where runs are to be planned by a metric of fine-tuned ones: what to pre-train next is planned, by what that costs."""
    if asks_of_finetuned(metric):
        raise UsageError(
            f"a plan is of runs to pre-train, and {metric} is of fine-tuned ones",
            hint=f"plan by a metric of pre-training: --metric val_loss; what more of it buys: `scaling predict --metric {metric} --at X`",
        )


def _runs(count: int) -> str:
    return f"{count} fine-tuned run{' was' if count == 1 else 's were'}"


def _without_any(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return a table that was joined before; raise `TooFewPoints` for one in which nothing was fine-tuned."""
    if any(str(name).startswith(FINETUNED) for name in runs):
        return runs  # which lacks this one column: that is said where it is looked for
    raise TooFewPoints(
        f"none of the {len(runs)} runs was fine-tuned, so that there is no {metric}",
        have=0,
        need=1,
        hint="`finetune:` in the experiments file; of a table: rows with stage finetuning and the id of their parent",
    )


def _with_parents(runs: pd.DataFrame, tuned: pd.Series, metric: str) -> pd.DataFrame:
    for name in ("id", "parent"):
        if name not in runs:
            raise DataError(
                f"the table has fine-tuned runs and no column {name}",
                hint="a fine-tuned run names the id of the run it started from",
            )
    children, others = runs[tuned], runs[~tuned]
    names = others["id"].astype(str)
    parents = others.set_index(names)[~names.duplicated(keep="last").to_numpy()]
    of_child = children["parent"].where(children["parent"].notna(), "").astype(str)
    found = parents.reindex(of_child).set_axis(children.index)
    there = of_child.isin(parents.index)
    own = [name for name in _OWN if name in runs]
    table = found.assign(**{name: children[name] for name in own})
    if "seed" in runs:
        table["seed"] = _seeds(found["seed"], children["seed"], of_child)
    table[LEFT_OUT] = _why_left_out(of_child, there, children)
    table = _with_status(table, found, children)
    if "learning_rate" in runs:
        table["parent_learning_rate"] = pd.to_numeric(found["learning_rate"], errors="coerce")
    twins = _twins(children)
    _require_known(metric, twins)
    table = _without_agreed(pd.concat([table, twins], axis=1))
    table["searched"] = _searched(found, children)
    settings = [name for name in twins if name in table and _is_setting(name, twins[name])]
    if "dataset" in found and found["dataset"].nunique() > 1:
        table["parent_dataset"] = found["dataset"]
        settings.append("parent_dataset")
    table = table.reset_index(drop=True)
    table.attrs, source = dict(runs.attrs), source_of(runs)
    count = int(there.sum())
    note = f"{_runs(count)} taken with the compute, size and epochs of the {of_child[there].nunique()} that they started from"
    return attach_source(table, {**source, "config": [*source.get("config", ()), *settings], "notes": [*source["notes"], note]})


def _without_agreed(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out the settings of the recipe in which pre-training and fine-tuning differ, but the runs of the table do not."""
    recipe = {f"{stage}{column.name}" for stage in ("", FINETUNED) for column in RECIPE_COLUMNS}
    return table.drop(columns=[name for name in table if name in recipe and table[name].nunique(dropna=False) < 2])


def _why_left_out(parent: pd.Series, there: pd.Series, children: pd.DataFrame) -> pd.Series:
    chained = parent.isin(children["id"].astype(str))
    why = ("its parent " + parent + " is not in the table").mask(chained, "its parent " + parent + " was fine-tuned itself")
    return why.mask(parent == "", "it names no parent").mask(there, "").astype(object)


def _seeds(parents: pd.Series, own: pd.Series, parent: pd.Series) -> pd.Series:
    """Return the seeds of the parents; where a checkpoint was fine-tuned with other seeds than its own, a number for each pair."""
    if (own.isna() | (own == parents)).all():
        return parents
    return pd.DataFrame({"parent": parent, "seed": own}).groupby(["parent", "seed"], dropna=False).ngroup()


def _with_status(table: pd.DataFrame, parents: pd.DataFrame, children: pd.DataFrame) -> pd.DataFrame:
    """Give a row its own status and exclusion, or its parent's where the own one would let it count and the parent's would not."""
    if "status" in table:
        done = (children["status"] == RunStatus.FINISHED) & parents["status"].notna()
        table["status"] = parents["status"].where(done, children["status"])
        if "reason" in table:
            table["reason"] = parents["reason"].where(done & (parents["status"] != RunStatus.FINISHED), children["reason"])
    if "excluded" in table:
        own = children["excluded"].astype(object).fillna("").astype(str)
        theirs = parents["excluded"].astype(object).fillna("").astype(str)
        table["excluded"] = own.where((own != "") | (theirs == ""), "its parent: " + theirs)
    return table


def _twins(children: pd.DataFrame) -> pd.DataFrame:
    """Return `finetune_<column>` of each number and setting of the fine-tuned runs."""
    twins = children[[name for name in children if name not in _NOT_OF_FINETUNING]]
    twins = twins.add_prefix(FINETUNED)
    for share, error in _SHARES.items():
        if (column := f"{FINETUNED}{share}") in twins:
            twins[f"{FINETUNED}{error}"] = 1.0 - pd.to_numeric(twins[column], errors="coerce").astype(float)
    return twins


def _require_known(metric: str, twins: pd.DataFrame) -> None:
    name = metric.removesuffix("_error")
    if metric in twins or name in twins:
        return
    known = [str(column) for column in twins if pd.api.types.is_numeric_dtype(twins[column]) and twins[column].notna().any()]
    raise UnknownName("column", metric, known, hint=f"choose a number of fine-tuned runs: --metric {'|'.join(known)}")


def _searched(parents: pd.DataFrame, children: pd.DataFrame) -> pd.Series:
    """Say what was searched for, in the words of `analysis.searched`: for the parents, their rate among it, and for their fine-tunings."""
    words = pd.Series("parent_learning_rate", index=children.index, dtype=object)
    for table, prefix in ((parents, ""), (children, FINETUNED)):
        if "searched" in table:
            told = table["searched"].astype(object).fillna("").astype(str).str.replace(",", " ").str.split()
            words += told.map(lambda names, prefix=prefix: "".join(f",{prefix}{name}" for name in names))
    return words


def _is_setting(name: object, values: pd.Series) -> bool:
    """Say whether fine-tunings may differ in a column by somebody's choice: it is a known setting, or unknown with few values."""
    plain = str(name).removeprefix(FINETUNED)
    if values.nunique(dropna=False) < 2:
        return False
    if plain in _SETTINGS:
        return True
    kinds: Iterable[bool] = (
        plain in COLUMNS,
        is_learning_rate(plain),
        is_counter(plain),
        is_compute(plain),
        is_label(plain),
        is_result(plain, values),
        is_bookkeeping(plain, values),
        is_size(plain, values),
        is_data(plain, values),
    )
    return not any(kinds) and values.nunique(dropna=False) <= len(values) / 2
