"""Which runs of a table can be used, and for every other one the reason why not. Nothing is dropped in silence."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.checkpoints import checkpoints_of
from analysis.direction import require_lower_is_better, with_error
from analysis.finetuned import FINETUNED, LEFT_OUT
from analysis.reading.accelerator_hours import measured_in
from analysis.reading.chart import refuse_likely_chart
from analysis.reading.column_kinds import words_of
from analysis.reading.numbers_in import unit_carried
from analysis.reading.prices import MONEY
from analysis.reading.typed import INFINITE
from scaling.columns import COLUMNS
from scaling.errors import DataError, UnknownName, UsageError, nearest
from scaling.outcomes import RunStatus
from scaling.rounding import significant

__all__ = [
    "LEAST",
    "MOST",
    "Excluded",
    "Usable",
    "count_hint",
    "excluded_payload",
    "excluded_words",
    "rehearsed",
    "steps_never_reached",
    "usable_runs",
]

_FINAL = frozenset(str(status) for status in RunStatus if status.is_final)

LEAST, MOST = 1e-50, 1e50
"""The limits of the metric: covariances hold fourth powers of it, and floating point ends at 1e±308."""

_STEPS = tuple(
    (done, whole)
    for dones, wholes in (
        (
            ("step", "global_step", "train/global_step", "trainer/global_step", "_step", "Step", "iteration", "iter"),
            ("steps", "max_steps", "total_steps", "num_steps", "num_train_steps", "max_iters", "total_iters"),
        ),
        (("epoch", "train/epoch", "Epoch"), ("epochs", "max_epochs", "num_epochs", "total_epochs", "n_epochs", "num_train_epochs")),
    )
    for done in dones
    for whole in wholes
)
"""What programs call the steps or epochs done and all of a run."""
_RUN = ("run_id", "run", "run_name")
_LAST_STEPS = 0.01
"""Part of its steps that a finished run may lack: the last row that a program logs is rarely that of the last step."""


@dataclass(frozen=True)
class Excluded:
    """Names a run that was left out. `kind` is the reason without its particulars, for counting: `diverged`, `not on the frontier` …"""

    id: str
    reason: str
    kind: str


@dataclass(frozen=True, eq=False)
class Usable:
    """Holds the runs that can be used, and all others with their reasons.

    `runs`: rows with finite, positive `metric` and every `x`, and with string `id`, `family` and `model`. `excluded`: all others.
    """

    runs: pd.DataFrame
    excluded: tuple[Excluded, ...]


def excluded_payload(excluded: Sequence[Excluded]) -> list[dict[str, str]]:
    """List what was left out as every payload does: `[{"id", "reason"}]`."""
    return [{"id": entry.id, "reason": entry.reason} for entry in excluded]


def excluded_words(excluded: Sequence[Excluded]) -> str:
    """Say how many runs were left out, and why: `3 left out: 2 diverged, 1 no val_loss`."""
    if not excluded:
        return "none left out"
    counts = Counter(entry.kind for entry in excluded)
    return f"{len(excluded)} left out: {', '.join(f'{count} {kind}' for kind, count in counts.items())}"


def usable_runs(
    runs: pd.DataFrame, *, metric: str, x: str | Sequence[str], cell: Sequence[str] = (), curve: bool = False
) -> Usable:
    """Choose the finished runs whose `metric` and `x` (one column or several) are finite and positive, as logarithms need them, each once.

    Of a run with several rows, its checkpoints, the last counts; all of them for a `curve` (`analysis.checkpoints`).
    `cell`: columns that tell cells apart by the user's word.

    A table without `status` counts as finished throughout; a run whose `step` is short of its `steps` does not, if others reach theirs.
    `<name>_error` stands for 1 − `<name>` where the table has only the share `<name>` (`val_top1_error`): the analysis takes lower as
    better. Rehearsed runs are left out where real ones can be used. A metric beyond 1e±50 leaves out its run, if others are within.

    Raises:
        UnknownName: the table has no such column.
        DataError: the column holds text, or `<name>` is no share.
        UsageError: the name of the metric says that higher is better (`analysis.direction`); or the runs are of several data sets. It
            is raised as well where x is core-hours and the runs come from several kinds of accelerator, whose hours do not compare, or
            some of them from one that is not named; and where x is money and no run has a price, or they are in several currencies.
    """
    axes = (x,) if isinstance(x, str) else tuple(x)
    for name in axes:
        if name in MONEY and (name not in runs or runs[name].isna().all()):
            raise UsageError(
                f"the runs have no {name}: no price is known",
                hint="name one: --price H100=2.5, of a chip-hour; or `price:` in the experiments file",
            )
    table = _with_names(runs, metric, axes)
    excluded: list[Excluded] = []

    def leave_out(bad: pd.Series, reason: str, kind: str | None = None) -> None:
        nonlocal table
        if not bad.any():
            return  # indexing copies the table
        excluded.extend(Excluded(run, reason, kind or reason) for run in table.loc[bad, "id"])
        table = table[~bad]

    if LEFT_OUT in table:
        for reason in table[LEFT_OUT].unique():
            if reason:
                leave_out(table[LEFT_OUT] == reason, reason, "without a pre-trained run in the table")
    checkpoints = checkpoints_of(table, asked=(metric, *axes), cell=cell)
    if checkpoints is not None:
        rows, table = table, checkpoints.a_row_a_step(table)
        again = rows.index.difference(table.index)
        excluded.extend(Excluded(run, "one more row of a step", "more rows of a step") for run in rows.loc[again, "id"])
    if checkpoints is not None and not curve:
        leave_out(~checkpoints.last(table, (metric, *axes)), "an earlier checkpoint of its run", "earlier checkpoints of a run")
    if "status" in table:
        for status in table["status"].unique():
            if status == RunStatus.STOPPED and "reason" in table:
                for reason in table.loc[table["status"] == status, "reason"].astype(object).fillna("").unique():
                    given = table["reason"].astype(object).fillna("") == reason
                    told = reason if reason.startswith(str(status)) else f"{status}: {reason}" if reason else str(status)
                    leave_out((table["status"] == status) & given, told, str(status))
            elif status != RunStatus.FINISHED:
                final = status in _FINAL
                leave_out(table["status"] == status, str(status) if final else f"not finished ({status})")
    if "excluded" in table:
        for reason in table["excluded"].astype(object).fillna("").unique():
            if reason:
                leave_out(table["excluded"] == reason, f"excluded: {reason}", "excluded by a user")
    if not curve:  # along a curve every checkpoint is short of the end
        short = _short_of_their_steps(table, axes)
        cut = (short != "").to_numpy()
        excluded.extend(
            Excluded(run, reason, "not trained to the last step") for run, reason in zip(table["id"][cut], short[cut], strict=True)
        )
        table = table[~cut]
    if checkpoints is None or "id" not in checkpoints.run:
        leave_out(table["id"].duplicated(), "the same id again", "the same id again")
    for name in dict.fromkeys((metric, *axes)):
        leave_out(table[name].isna(), f"no {name}")
        leave_out(table[name].abs() >= INFINITE, f"{name} is infinite")
        leave_out(table[name] <= 0, f"{name} is not positive")
    ordinary = table[metric].between(LEAST, MOST)
    if ordinary.any():
        leave_out(~ordinary, f"{metric} is beyond {LEAST:g} … {MOST:g}")

    if first := _first_of_repeats(table, metric):
        excluded.extend(Excluded(run, f"repeats {first[run]}", "the same run again") for run in table["id"] if run in first)
        table = table[~table["id"].isin(first)]

    if not (stated := rehearsed(table)).all():
        leave_out(stated, "simulated: its loss was stated, not trained", "simulated")
    judged_on = f"{FINETUNED}dataset" if LEFT_OUT in table and metric.startswith(FINETUNED) else "dataset"
    if judged_on in table:
        _refuse_mixture(
            table,
            judged_on,
            "data sets",
            "their losses do not compare",
            f"choose some runs: --where {judged_on}={{0}}, of the store also --experiment NAME",
        )
    if {*MONEY} & set(axes) and "currency" in table:
        _refuse_mixture(
            table,
            "currency",
            "currencies",
            "their costs do not compare",
            "price all in one: --price ACCELERATOR=2.5, or choose some runs: --where currency={0}",
        )
    if any("core_hours" in name for name in axes) and "accelerator" in table:
        _refuse_mixture(
            table,
            "accelerator",
            "kinds of accelerator",
            "their core-hours do not compare",
            _measured_hint(table)
            + "name what they are worth: --convert {0}:{1}=FACTOR; or fit against --x train_flops, or choose some runs: --where accelerator={0}",
        )
    return Usable(table.reset_index(drop=True), tuple(excluded))


def _measured_hint(table: pd.DataFrame) -> str:
    """Offer a factor that probes measured between the runs' accelerators; empty where none did."""
    if not (measured := measured_in(table)):
        return ""
    known = sorted(table["accelerator"].dropna().astype(str).unique())
    found = next((entry for entry in measured if entry.theirs in known and entry.ours in known), None)
    if found is None:
        return ""
    worth = f"{significant(found.factor, 3)} core-hours on {found.theirs} do what one does on {found.ours}"
    offered = f"--convert {found.theirs}:{found.ours}={found.name}: {worth}, {found.source}; or "
    return offered.replace("{", "{{").replace("}", "}}")  # a model may be called so, and the hint is filled in later


def rehearsed(table: pd.DataFrame) -> pd.Series:
    """Mark the rows of rehearsals. Tables that version 0.1.0 exported say so by their family."""
    told = pd.Series(False, index=table.index)
    for column, mark in (("family", "simulated"), ("rehearsal", "true")):
        if column in table:
            told |= table[column].astype(str).str.lower() == mark
    return told


def count_hint(excluded: Sequence[Excluded], source: Mapping[str, object]) -> str:
    """Say how to count runs that only their status left out, as an option of the command and in Python; empty where none were.

    source: of `analysis.reading.source_of`; runs of the store have the status that they deserve.
    """
    words = {
        kind.removeprefix("not finished (").removesuffix(")") for kind in (entry.kind for entry in excluded) if _is_of_status(kind)
    }
    if "file" not in source or not words:
        return ""
    options = " ".join(f"--count-status {shlex.quote(word)}" for word in sorted(words))
    return f"if they are complete all the same, count them: {options}; in Python read_runs(…, count_status={sorted(words)})"


def _is_of_status(kind: str) -> bool:
    return kind.startswith("not finished (") or (kind in _FINAL and kind != RunStatus.DIVERGED)


def _short_of_their_steps(table: pd.DataFrame, axes: Sequence[str]) -> pd.Series:
    """Give the reason for each run that is short of its steps, and an empty text for the others.

    Where no run reaches its steps, `step` counts something else, e.g. logged rows, and no run is short. A law in steps is of how runs
    get on, so that no row of it is short.
    """
    words = pd.Series("", index=table.index, dtype=object)
    found = _steps(table)
    if found is None or found[0].name in axes:
        return words
    done, whole, short = found
    if not ((whole > 0) & (done > 0) & ~short).any():
        return words
    unit, told = words_of(str(done.name))[-1], words.to_numpy(dtype=object, copy=True)
    told[short.to_numpy()] = [f"finished at {unit} {have:g} of {of:g}" for have, of in zip(done[short], whole[short], strict=True)]
    return pd.Series(told, index=table.index, dtype=object)


def steps_never_reached(runs: pd.DataFrame) -> tuple[str, str] | None:
    """Name the columns of steps done and of all steps, where no finished run did all of them: then `usable_runs` judges none.

    None where the table lacks these columns, or some finished run did all.
    """
    finished = runs[runs["status"] == RunStatus.FINISHED] if "status" in runs else runs
    found = _steps(finished)
    if found is None or finished.empty or not found[2].any() or (~found[2] & (found[0] > 0)).any():
        return None
    return str(found[0].name), str(found[1].name)


def _steps(table: pd.DataFrame) -> tuple[pd.Series, pd.Series, pd.Series] | None:
    """Return steps done, all steps, and whether a run is short of them, by the first pair of columns that the table has.

    Of a run with several rows, its checkpoints, the last step counts for each.
    """
    pair = next(((done, whole) for done, whole in _STEPS if done in table and whole in table), None)
    if pair is None:
        return None
    done, whole = (pd.to_numeric(table[name], errors="coerce") for name in pair)
    if (run := next((name for name in _RUN if name in table), None)) is not None:
        done = done.groupby(table[run].to_numpy(), dropna=False).transform("max").where(table[run].notna(), done)
    return done, whole, (whole > 0) & (whole - done > np.maximum(1, _LAST_STEPS * whole))


_TEXT = pd.Series([], dtype=str).dtype


def _with_names(runs: pd.DataFrame, metric: str, axes: Sequence[str]) -> pd.DataFrame:
    table = runs.copy()
    if "id" not in table:
        table.insert(0, "id", [f"row {number}" for number in range(1, len(table) + 1)])
    table["id"] = table["id"].astype(str)
    for name in ("family", "model"):
        if name not in table:
            table[name] = ""
        elif table[name].dtype != _TEXT or table[name].isna().any():
            table[name] = table[name].astype(object).fillna("").astype(str)
    for name in (metric, *axes):
        table = with_error(table, name)
    require_lower_is_better(metric, table)
    for name, option in ((metric, "--metric"), *((name, "--x") for name in axes)):
        table[name] = _as_numbers(table, name, option)
    return table


def _as_numbers(table: pd.DataFrame, name: str, option: str) -> pd.Series:
    if name not in table:
        numeric = [str(column) for column in table.columns if pd.api.types.is_numeric_dtype(table[column])]
        known = [column for column in numeric if column not in ("seed", "attempts")]
        if not known:
            raise DataError(
                f"the table has no column {name}, nor any other of numbers", hint="one run a row, below the column names"
            )
        if not nearest(name, known):
            refuse_likely_chart(table)
        rename = "" if set(COLUMNS) <= set(table) else f", or rename one: --map {name}=THEIRS"  # nothing to rename in the store's
        raise UnknownName("column", name, known, hint=f"choose a number column: {option} {'|'.join(known)}{rename}")
    if table[name].dtype.kind in "mM":  # pandas would count nanoseconds of them
        of_time, cure = "durations", f"read them in hours: --unit {shlex.quote(f'{name}=hours')}"
        if table[name].dtype.kind == "M":
            of_time, cure = "points in time", f"give a column of numbers: {option} COLUMN"
        row = int(table[name].notna().to_numpy().argmax())
        raise DataError(f"column {name} holds {of_time}: {str(table[name].iloc[row])!r} in row {row + 1}", hint=cure)
    try:
        return pd.to_numeric(table[name]).astype(float)
    except (ValueError, TypeError) as error:
        bad = pd.to_numeric(table[name], errors="coerce").isna() & table[name].notna()
        row = int(bad.to_numpy().argmax())
        unit = unit_carried(table[name])
        cure = f"give a column of numbers: {option} COLUMN"
        raise DataError(
            f"column {name} holds text: {str(table[name].iloc[row])!r} in row {row + 1}",
            hint=f"read the unit of its cells: --unit {shlex.quote(f'{name}={unit.name}')}" if unit is not None else cure,
        ) from error


def _first_of_repeats(table: pd.DataFrame, metric: str) -> dict[str, str]:
    """Map the id of each row that repeats an earlier one to the id of that one.

    A row repeats another where they are equal in every column but `id`, the metric to all digits. Such rows are one run exported twice,
    not new seeds: two runs do not end at one loss.
    """
    again = table[metric].duplicated(keep=False)
    if not again.any():
        return {}
    alike = table[again].reset_index(drop=True)
    ids = alike.pop("id")
    texts = {str(name): alike[name].map(repr) for name in alike if alike[name].dtype.kind == "O"}  # lists have no hash
    groups = alike.assign(**texts).groupby(list(alike), dropna=False, sort=False).ngroup()
    first = ids.groupby(groups).transform("first")
    return dict(zip(ids[ids != first], first[ids != first], strict=True))


def _refuse_mixture(table: pd.DataFrame, column: str, plural: str, why: str, hint: str) -> None:
    named = table[column].dropna().astype(str).loc[lambda names: names != ""]
    kinds = sorted(named.unique())
    silent = len(table) - len(named)
    if column == "accelerator" and kinds and silent:
        some = f"{silent} run names no" if silent == 1 else f"{silent} runs name no"
        raise UsageError(
            f"{some} accelerator, the others {', '.join(kinds)}: their core-hours may not compare",
            hint=f"fill the column, or choose runs: --where accelerator={kinds[0]}",
        )
    if len(kinds) > 1:
        raise UsageError(f"the runs are of {len(kinds)} {plural} ({', '.join(kinds)}): {why}", hint=hint.format(*kinds))
