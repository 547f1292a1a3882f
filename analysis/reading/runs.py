"""`read_runs`: a file or folder of anybody's runs → the table that the analysis takes."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from analysis.reading import bundle, formats, mlflow, wandb
from analysis.reading.chart import is_likely_chart
from analysis.reading.column_kinds import words_of
from analysis.reading.configuration import configuration_of, is_export
from analysis.reading.durations import hours_in
from analysis.reading.headers import units_in_headers
from analysis.reading.numbers_in import numbers_in
from analysis.reading.our_units import in_our_units
from analysis.reading.source import KINDS, TIDIED, attach_source, source_of, words_kept
from analysis.reading.statuses import named_status, our_statuses
from analysis.reading.typed import is_missing_word, settled
from analysis.reading.units import Conversion
from analysis.selection import steps_never_reached
from scaling.columns import RUN_COLUMNS
from scaling.errors import DataError, DataNotFound, UsageError, nearest

__all__ = ["read_runs"]


_ACCELERATORS = {
    f"{device} {what}" for device in ("gpu", "tpu", "device", "accelerator") for what in ("type", "name", "kind", "model")
}
_ACCELERATORS |= {"gpu", "tpu", "device", "hardware"}


def read_runs(
    path: str | Path,
    mapping: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    *,
    count_status: Sequence[str] = (),
) -> pd.DataFrame:
    """Read the table at `path` in the column names and units of `scaling.columns`; columns that are not mapped keep their names.

    >>> names, units = {"core_hours": "wall_seconds", "val_loss": "eval_loss", "model": "network"}, {"core_hours": "seconds*n_gpus"}
    >>> scaling.read_runs("docs/example_study.csv", names, units)[["model", "core_hours", "val_loss"]].shape
    (122, 3)

    Args:
        path: CSV, TSV, JSON, JSON lines or Parquet, one run a row; a bundle of `scaling export`; a CSV that Weights & Biases or MLflow exported; a folder `mlruns` or
            `wandb`, or a database `mlflow.db`. No column is required here; `fit` and the others say what they miss.
        mapping: our column name → the name in the file, e.g. `{"core_hours": "tpu_v4_core_hours"}`.
        units: our column name → what its numbers are in the file: a product or quotient of a unit, numbers and columns. E.g. `minutes`,
            `seconds*8`, `seconds*n_gpus`, `PFLOP`, `%`, `bits`, `FLOP/(6*params)`. A column named there by our name counts in our unit;
            one named as in the file counts in the file's. Cells that carry their unit (`3.5 h`) are converted without being asked.
        count_status: words for the end of a run, ours or the file's, that count as finished: `("failed",)` where only the launcher failed.

    Returns:
        One row a run. Number columns are numbers; an empty field is NaN. In a column of text the words None, NA, null are values
        (`analysis.reading.typed`). `status` is in our words. Without an `id` rows are called `row 1`, `row 2`, …
        `analysis.reading.source_of` says what was read, set aside and converted.

    Raises:
        DataNotFound: there is no such file.
        UsageError: a mapped column is not in the file, or a unit, a status or the file's ending is not known.
        DataError: the table is empty, cannot be parsed, holds text where a number belongs, or a column mixes units (file, row and
            column are named).
    """
    path = Path(path)
    mapping, units = dict(mapping or {}), dict(units or {})
    notes: list[str] = []
    losses = {theirs for ours, theirs in mapping.items() if ours in ("val_loss", "train_loss")}
    table, kind = _read(path, notes, losses, mapping)
    of_one_run, of_bundle = source_of(table).get("one_run", False), source_of(table).get("bundle")
    words = words_kept(table)
    table = settled(table)
    if table.empty:
        raise DataError(f"{path}: the table has no rows", hint="one run a row, below a row with the column names")
    chart = str(table.columns[0]) if is_likely_chart(table, {*mapping.values(), *units}) else None
    as_read, table = table, _rename(table, mapping, path)
    table, renamed = _with_status(table)
    table = _with_accelerator(table, renamed, notes)
    table = _without_words_for_nothing(table)
    ours = {theirs: name for name, theirs in mapping.items()}
    units = {ours.get(name, name) if name not in table else name: text for name, text in units.items()}
    durations = [
        str(name) for name in table if not pd.api.types.is_numeric_dtype(table[name]) and hours_in(table[name]) is not None
    ]
    table, converted = in_our_units(table, units, mapping, path)
    table = _with_what_was_divided(table, as_read, mapping, converted, path)
    notes += [
        f"{name}: its durations were read in hours"
        for name in durations
        if name not in converted and pd.api.types.is_float_dtype(table[name])
    ]
    notes += units_in_headers(mapping, {*units, *converted, *durations})
    notes += [
        f"--unit {entry.column}={entry.text}: {name} is the column of the table, not the unit"
        for entry in converted.values()
        for name in entry.chosen
    ]
    notes += [f"{name} was read as {entry.text}: {entry} of what the file holds" for name, entry in converted.items()]
    _refuse_percentages(table, path)
    table = our_statuses(table, count_status, notes)
    if (steps := steps_never_reached(table)) is not None:
        notes.append(
            f"no run reached its {steps[1]}, so {steps[0]} counts something else or no run was trained to its end: all are kept"
        )
    if "id" not in table:
        table.insert(0, "id", [f"row {number}" for number in range(1, len(table) + 1)])
    table["id"] = table["id"].map(_id)
    about: dict[str, object] = {"file": str(path), "format": kind, "sha256": _digest(path), "rows": len(table)}
    about |= {"words": {ours.get(name, name): word for name, word in words.items()}} if words else {}
    about |= {"mapping": mapping, "units": units, "renamed": renamed, "converted": list(converted), "notes": notes}
    about |= {"one_run": True} if of_one_run else {}
    about |= {"chart": chart} if chart is not None else {}
    if kind.endswith(("folder", "log", "database", "export")):
        about["config"] = configuration_of(table)
    if of_bundle is not None:
        about |= {
            **bundle.carried(of_bundle),
            "bundle": {name: of_bundle.get(name) for name in ("question", "sentence", "versions", "created")},
        }
    return attach_source(table, about)


def _read(path: Path, notes: list[str], losses: Collection[str], mapping: Mapping[str, str]) -> tuple[pd.DataFrame, str]:
    if not path.exists():
        raise DataNotFound(f"no table of runs at {path}", hint="give the path of a CSV or Parquet file with one run a row")
    if path.is_dir():
        if wandb.is_folder(path):
            return wandb.tidy(wandb.read_folder(path, notes), path, notes, losses), "W&B folder"
        if mlflow.is_folder(path):
            return mlflow.read_folder(path, notes, losses), "MLflow folder"
        raise DataNotFound(f"no runs in folder {path}", hint="a folder `mlruns` of MLflow, or `wandb` of Weights & Biases")
    if path.suffix == ".wandb":
        return wandb.tidy(formats.as_table([wandb.read_log(path)], path), path, notes, losses), "W&B log"
    if mlflow.is_database(path):
        return mlflow.read_database(path, notes, losses), "MLflow database"
    table = formats.parse(path, set(mapping.values()))
    notes += source_of(table)["notes"]
    of_one_run, of_bundle = source_of(table).get("one_run", False), source_of(table).get("bundle")
    table.columns = table.columns.map(str)
    names_runs = mapping.get("run_id", mapping.get("id"))
    if names_runs in table and "run_id" not in table:
        table = table.assign(run_id=table[names_runs])
    exported = is_export([str(name) for name in table])
    kind = formats.format_of(path).removeprefix(".") + (", an export" if exported else "")
    if of_bundle is None:
        table = mlflow.tidy(wandb.tidy(table, path, notes, losses, set(mapping.values())), losses)
    return attach_source(table, {"one_run": of_one_run, **({"bundle": of_bundle} if of_bundle else {})}), kind


def _with_status(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Rename the columns of status and id to ours. Returns the table, and their names in the file → ours."""
    renamed = {name: "status"} if (name := named_status(table)) is not None else {}
    if "id" not in table and "Run ID" in table:
        renamed["Run ID"] = "id"
    return table.rename(columns=renamed), renamed


def _with_accelerator(table: pd.DataFrame, renamed: dict[str, str], notes: list[str]) -> pd.DataFrame:
    """Rename a column with several kinds of accelerator, such as `GPU Type`, `device_name` or `hardware`, to `accelerator`."""
    if "accelerator" in table:
        return table
    for name in map(str, table):
        kinds = table[name].dropna()
        if (
            " ".join(words_of(name)) in _ACCELERATORS
            and kinds.map(lambda kind: isinstance(kind, str)).all()
            and kinds.nunique() > 1
        ):
            notes.append(f"{name} was read as accelerator, the kind of device whose hours core_hours are")
            renamed[name] = "accelerator"
            return table.rename(columns={name: "accelerator"})
    return table


def _without_words_for_nothing(table: pd.DataFrame) -> pd.DataFrame:
    """Clear None and NA in columns that say something of the run, not of its recipe: they are no reason, accelerator or data set."""
    said = [column.name for column in RUN_COLUMNS if column.kind != "float" and column.name in table]
    said = [name for name in said if name not in ("family", "model", "id", "status") and table[name].dtype.kind == "O"]
    return table.assign(**{name: table[name].mask(table[name].map(is_missing_word), None) for name in said})


def _rename(table: pd.DataFrame, mapping: Mapping[str, str], path: Path) -> pd.DataFrame:
    present = [str(name) for name in table.columns]
    found: dict[str, str] = {}
    for ours, theirs in mapping.items():
        # MLflow and W&B put the kind before a name; either spelling is understood.
        spelt = [
            theirs,
            *(theirs.removeprefix(kind) for kind in KINDS),
            TIDIED.get(theirs, theirs),
            *(kind + theirs for kind in KINDS),
        ]
        name = next((name for name in spelt if name in present), None)
        if name is None:
            raise UsageError(
                f"{path}: no column {theirs!r} to map {ours} to{nearest(theirs, present)}",
                hint=f"columns there: {', '.join(present)}",
            )
        found[ours] = name
    # Columns are copied, since one of theirs may serve two of ours; one with our name that was not mapped to it gives way.
    copies = {ours: table[theirs] for ours, theirs in found.items()}
    used = [
        name for ours, name in found.items() if name != "id" or mapping[ours] == "id"
    ]  # the names of runs may be those of models too
    kept = table.drop(columns=[name for name in dict.fromkeys([*used, *found]) if name in table])
    return pd.concat([kept, pd.DataFrame(copies)], axis=1) if copies else kept


def _with_what_was_divided(
    table: pd.DataFrame, as_read: pd.DataFrame, mapping: Mapping[str, str], converted: Mapping[str, Conversion], path: Path
) -> pd.DataFrame:
    """Add the columns of the file that ours were made of by another column: D = C/6N is no C, which is still asked for by its name."""
    made = [theirs for ours, theirs in mapping.items() if ours in converted and converted[ours].columns]
    kept = {theirs: numbers_in(as_read[theirs], str(path))[0] for theirs in made if theirs in as_read and theirs not in table}
    return table.assign(**kept)


def _refuse_percentages(table: pd.DataFrame, path: Path) -> None:
    for name in ("val_top1", "val_top5"):
        if name in table:
            beyond = (table[name] > 1).to_numpy()
            if beyond.any():
                row = int(beyond.argmax())
                raise DataError(
                    f"{path}: row {row + 1}, column {name}: {table[name].iloc[row]:g} is not a share 0 … 1",
                    hint=f"per cent? --unit {name}=%",
                )


def _id(value: object) -> str:
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def _digest(path: Path) -> str | None:
    """Return the SHA-256 of a file, so that an answer says which one it was made from; None of a folder."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
