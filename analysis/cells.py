"""Cells: what one point of the frontier stands for.

Runs of a cell agree in all settings; seeds, learning rates and what else was searched are inside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.averaged_rows import averaged_note
from analysis.checkpoints import Checkpoints, checkpoints_of, refuse_one_run, rows_note
from analysis.constant import constant, once_a_table
from analysis.design_columns import alike, design_columns, differing_unknown, named_columns, with_epochs
from analysis.listing import listed
from analysis.reading.column_kinds import is_learning_rate
from analysis.reading.source import source_of
from analysis.searched import searched_settings
from analysis.selection import Excluded, count_hint, usable_runs
from scaling.errors import TooFewPoints, UsageError

__all__ = [
    "CellRuns",
    "assign_clusters",
    "best_learning_rates",
    "best_settings",
    "cells_of",
    "differing_note",
    "refuse_mixed_studies",
    "searched_note",
    "unknown_inside",
]

_NAMES_SHOWN = 4


@dataclass(frozen=True, eq=False)
class CellRuns:
    """Holds the runs that stand for their cells.

    runs: with a column `cell`, a number from 0. excluded: every other row, with its reason.
    columns: what told the cells apart. notes: a sentence for each thing that was taken for granted on the way.
    """

    runs: pd.DataFrame
    excluded: tuple[Excluded, ...]
    columns: tuple[str, ...]
    notes: tuple[str, ...]


_NOT_STATED = ("params", "train_flops", "examples_seen")
"""Axes that a program's runs have only where somebody says them."""


def _program_hint(runs: pd.DataFrame, axes: Sequence[str]) -> str:
    """Say how runs that a program has trained come by their axes; empty where that is not what they lack."""
    if "file" in source_of(runs) or "family" not in runs or not (runs["family"] == "program").all():
        return ""
    missing = [name for name in axes if name in _NOT_STATED and (name not in runs or runs[name].isna().all())]
    cures = ["state `params` of each model in `models:` of the file, and submit it again"] if "params" in missing else []
    cures += ["state `macs` of each model in `models:` of the file, and submit it again"] if "train_flops" in missing else []
    if "examples_seen" in missing or (
        "train_flops" in missing and ("examples_seen" not in runs or runs["examples_seen"].isna().all())
    ):
        cures.append("let the program report `examples_seen`")
    return "; ".join(cures)


@once_a_table
def cells_of(runs: pd.DataFrame, *, metric: str, x: str | Sequence[str], cell: Sequence[str] = (), curve: bool = False) -> CellRuns:
    """Choose the usable runs at their cell's best learning rate, and give the reason for all others.

    Args:
        cell: columns that tell cells apart besides those of `analysis.design_columns`.
        curve: whether all checkpoints of a run count, rather than its last.

    Raises:
        TooFewPoints: no run is usable.
        UsageError: the runs are of several studies, see `refuse_mixed_studies`; and what `usable_runs` raises.
    """
    axes = (x,) if isinstance(x, str) else tuple(x)
    refuse_one_run(runs, axes)
    usable = usable_runs(runs, metric=metric, x=axes, cell=cell, curve=curve)
    if usable.runs.empty:
        raise TooFewPoints(
            f"none of the {len(runs)} runs has a usable {metric} and {' and '.join(axes)}{_reasons(usable.excluded)}: 1 more is needed",
            have=0,
            need=1,
            hint=count_hint(usable.excluded, source_of(runs))
            or _program_hint(runs, axes)
            or "a table: fill these columns, or --map them; the store: `scaling status` shows what still runs, `scaling submit` trains a grid",
        )
    table, notes = _with_learning_rate(with_epochs(usable.runs))
    columns = design_columns(constant(table), cell, x=axes, metric=metric)
    table = table.assign(cell=alike(table, columns))
    asked = (metric, *axes)
    found = checkpoints_of(runs, asked=asked, cell=cell)
    of_runs = found if not cell else checkpoints_of(runs, asked=asked)
    differing = unknown_inside(table, columns, asked, checkpoints=of_runs)
    refuse_mixed_studies(table, differing)
    if len(axes) == 1 and axes[0] in columns and any(name in columns for name in ("epochs", "examples_seen", "steps")):
        notes = (*notes, f"runs that agree in {listed([name for name in columns if name in table and name != axes[0]], _NAMES_SHOWN)} differ more in "
                         f"{axes[0]} than replicates do: something else tells them apart, so each {axes[0]} is a cell of its own")  # fmt: skip
    if source_of(runs).get("one_run"):
        notes = (*notes, "the rows are steps of one run, which err together: intervals take them as independent and are too narrow")
    elif note := rows_note(runs, found, axes, asked=asked, cell=cell):
        notes = (*notes, note)
    notes = (*notes, *searched_note(table), *differing_note(differing))
    kept, not_best = best_learning_rates(table, metric)
    if len(axes) == 1 and not differing and not curve:
        notes = (*notes, *averaged_note(kept, metric=metric, x=axes[0], columns=columns))
    return CellRuns(kept.reset_index(drop=True), usable.excluded + not_best, tuple(columns), notes)


def unknown_inside(
    table: pd.DataFrame, columns: Sequence[str], asked: Sequence[str], *, checkpoints: Checkpoints | None
) -> tuple[str, ...]:
    """Find the columns of unknown meaning in which runs of one cell differ.

    Args:
        table: runs with a column `cell`.
        columns: what told the cells apart.
        asked: metric and inputs of the question.
        checkpoints: what `checkpoints_of` finds in the table as it was read; the names of their runs are no settings.
    """
    of_runs = () if checkpoints is None else checkpoints.run
    return differing_unknown(table, table["cell"], columns, ignored=("cell", *of_runs, *asked))


def differing_note(names: Sequence[str]) -> tuple[str, ...]:
    """Say that these columns differ inside cells, and how to keep their runs apart; empty without a name."""
    if not names:
        return ()
    differ = "differs" if len(names) == 1 else "differ"
    return (
        f"{listed(names, _NAMES_SHOWN)} {differ} between runs that were averaged as one cell; --cell {','.join(names)} keeps them apart",
    )


def assign_clusters(runs: pd.DataFrame, clusters: Sequence[str]) -> pd.Series:
    """Give each run the number of its cluster, the runs that are resampled together.

    Runs that agree in the `clusters` columns share a cluster; without such columns, the runs of a cell do.
    """
    return alike(runs, named_columns(runs, clusters)) if clusters else runs["cell"]


def refuse_mixed_studies(runs: pd.DataFrame, differing: Sequence[str] = ()) -> None:
    """Raise `UsageError` when one seed of a cell has several runs at one learning rate.

    They differ in what no setting here tells apart, so a mean over them would be of no study. `differing`: columns of unknown meaning
    in which runs of a cell differ. `runs` has a column `cell` and each id once. A table without `seed` cannot be judged and passes.
    """
    if "seed" not in runs:
        return
    key = [name for name in ("cell", "learning_rate", *searched_settings(runs), "seed") if name in runs]
    again = runs[runs.duplicated(key, keep=False) & runs["seed"].notna()]
    if again.empty:
        return
    _, same = next(iter(again.groupby(key, dropna=False)))
    which = ", ".join(
        f"{name} {same[name].iloc[0]}"
        for name in ("model", "epochs", "learning_rate", "seed")
        if name in same and same[name].iloc[0] != ""
    )
    apart = [name for name in differing if same[name].nunique(dropna=False) > 1]
    raise UsageError(
        f"the runs are of several studies ({which}: {listed(list(same['id']), _NAMES_SHOWN)}): they may differ in "
        + (listed(apart, _NAMES_SHOWN) if apart else "what the table does not say (optimiser, split …)")
        + ", so their losses do not compare",
        hint=(f"tell them apart: --cell {','.join(apart)}; or " if apart else "")
        + (
            "choose some rows: "
            if "file" in source_of(runs)
            else "choose one experiment: --experiment NAME; or of a table some rows: "
        )
        + f"--where {apart[0] if apart else 'COLUMN'}=VALUE",
    )


def _with_learning_rate(runs: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Add the column `learning_rate` where the table has it under another name, and return a note that says so."""
    if "learning_rate" in runs:
        return runs, ()
    theirs = next((str(name) for name in runs if is_learning_rate(str(name)) and pd.api.types.is_numeric_dtype(runs[name])), None)
    if theirs is None or runs[theirs].nunique() < 2:
        return runs, ()
    return runs.assign(learning_rate=runs[theirs]), (f"{theirs} was read as learning_rate: of a cell's rates the best counts",)


def best_learning_rates(runs: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, tuple[Excluded, ...]]:
    """Choose the runs at their cell's best learning rate, and give the reason for the others.

    Where a weight decay or a batch size was searched too, it is the best of all that was tried together. Best is the lowest *mean* of
    `metric` over the seeds, so that a rate does not win by one lucky seed among several. `runs` has a column `cell`. A table in which
    nothing was searched is kept whole.
    """
    best = best_settings(runs, metric)
    ids, reasons = runs["id"].astype(str).tolist(), np.full(len(runs), None, dtype=object)
    for name in best:
        label, own, of_cell = str(name).replace("_", " "), runs[name].to_numpy(float), best[name].to_numpy(float)
        off = ~((own == of_cell) | (np.isnan(own) & np.isnan(of_cell)))
        kind, said = f"not at its cell's best {label}", dict[tuple[float, float], str]()  # of thousands of runs a few dozen texts
        for row in np.flatnonzero(off & (reasons == None)).tolist():  # noqa: E711 - of each element
            pair = (own[row], of_cell[row])
            if pair not in said:
                said[pair] = f"{label} {pair[0]:g} is not the best of its cell ({pair[1]:g})"
            reasons[row] = Excluded(ids[row], said[pair], kind)
    found = tuple(reason for reason in reasons if reason is not None)
    return (runs[reasons == None] if found else runs), found  # noqa: E711


def best_settings(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return each row's best values of what was searched in its cell: `learning_rate`, and weight decay or batch size where they were.

    They are those of the lowest mean of `metric` over seeds, all together.
    """
    names = ["learning_rate"] if "learning_rate" in runs and not runs["learning_rate"].isna().all() else []
    names += searched_settings(runs)
    if not names:
        return pd.DataFrame(index=runs.index)
    tried = [runs[name].astype(float).rename(f"{name} tried") for name in names]
    means = runs.groupby(["cell", *tried], dropna=False)[metric].mean().reset_index()
    best = means.loc[means.groupby("cell")[metric].idxmin()].set_index("cell")
    return pd.DataFrame({name: runs["cell"].map(best[f"{name} tried"]) for name in names})


def searched_note(runs: pd.DataFrame) -> tuple[str, ...]:
    """Say that a weight decay was taken as searched, where the table does not say so itself. `runs` has a column `cell`."""
    if "searched" in runs or not searched_settings(runs):
        return ()
    return ("weight_decay was taken as searched: of a cell's values the best counts; --cell weight_decay keeps them apart",)


def _reasons(excluded: Sequence[Excluded]) -> str:
    counts = pd.Series([entry.kind for entry in excluded], dtype=object).value_counts()
    return f" ({', '.join(f'{count} {kind}' for kind, count in counts.items())})" if len(counts) else ""
