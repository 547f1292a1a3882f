"""Runs that were trained elsewhere → the store: reads a table, guesses what its columns are, and finds what of it is new.

What a run is: of a file that names its runs, the experiment and that name; else the experiment and the row as the file has it. So that
importing twice changes nothing, and a file that has grown adds what is new.
"""

from __future__ import annotations

import hashlib
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.columns import FINETUNING, describe
from scaling.errors import DataError, UsageError
from scaling.outcomes import RunStatus

if TYPE_CHECKING:
    import pandas as pd

    from analysis.checkpoints import Checkpoints
    from orchestrator.store.imported import Comparison, ImportedCurves, ImportedRun

__all__ = ["Incoming", "compared", "import_runs", "name_of", "read_import", "write_import"]

_OURS = {"id", "family", "model", "status", "core_hours", "val_loss"}
"""Columns by which a table is known as one that `scaling export` wrote."""

_MISSING_WORDS = ("running", "pending", "paused")


@dataclass(frozen=True, eq=False)
class Incoming:
    """Holds what a file says, ready to be stored.

    experiment: which the runs are put in. mapping, units: as `--map` and `--unit` take them, guessed where nobody gave them.
    taken: (our column, theirs in words) of each that is one of ours; kept: theirs that stay under their own names.
    metric, x: what a first question would be about. left_out: why rows are no runs of the store → how many.
    notes: what was set aside and converted. source: of `source_of`.
    """

    file: str
    experiment: str
    runs: list[ImportedRun] = field(repr=False)
    mapping: dict[str, str]
    units: dict[str, str]
    count_status: tuple[str, ...]
    taken: tuple[tuple[str, str], ...]
    kept: tuple[str, ...]
    metric: str
    x: str
    left_out: dict[str, int]
    notes: tuple[str, ...]
    source: dict[str, Any] = field(repr=False)

    @property
    def options(self) -> list[str]:
        """Return the words of the command line that read the file so again."""
        pairs = [("--map", f"{ours}={theirs}") for ours, theirs in self.mapping.items()]
        pairs += [("--unit", f"{ours}={unit}") for ours, unit in self.units.items()]
        pairs += [("--count-status", status) for status in self.count_status]
        return [word for pair in pairs for word in pair]

    @property
    def command(self) -> str:
        """Return the command that imports the file so again, without asking."""
        return shlex.join(["scaling", "import", self.file, "--experiment", self.experiment, *self.options, "--yes"])


def name_of(path: Path) -> str:
    """Return the name of the experiment that the runs of a file are put in: the file's, with `-` for what a link cannot hold."""
    stem = path.name.removesuffix(".gz")
    stem = stem if path.is_dir() else stem.rpartition(".")[0] or stem
    kept = "".join(letter if letter.isalnum() or letter in "-_. " else "-" for letter in stem).strip("-. ")
    return kept[:_LONGEST_NAME] or "imported"


_LONGEST_NAME = 100


def read_import(
    path: str | Path,
    mapping: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    *,
    count_status: Sequence[str] = (),
    experiment: str | None = None,
) -> Incoming:
    """Read a file of runs as the store would keep it. Nothing is written.

    Args:
        path, mapping, units, count_status: as `analysis.read_runs` takes them. What is not mapped is guessed by the names of columns.
        experiment: the name of the experiment; the file's where it is None.

    Raises:
        What `analysis.read_runs` raises. DataError: no column looks like a result or like compute and none is mapped; or no row is a run
        that is over. UsageError: the name of the experiment is none that a link can hold.
    """
    from analysis import read_runs, source_of
    from analysis.reading.units import check_units

    path = Path(path)
    name = name_of(path) if experiment is None else _checked(experiment)
    head = read_runs(path)
    found = None if set(head) >= _OURS else _guessed(head, mapping or {}, path)
    named = {} if "id" in (mapping or {}) or _has_names(head) else _named(head)
    maps = {**named, **(_not_given(found.mapping, mapping or {}) if found else {}), **(mapping or {})}
    guessed_units = {} if found is None else {ours: unit for ours, unit in found.units.items() if ours not in (mapping or {})}
    given = {**check_units([f"{ours}={unit}" for ours, unit in guessed_units.items()]), **(units or {})}
    table = read_runs(path, maps, given, count_status=count_status) if maps or given or count_status else head
    source = source_of(table)
    table, notes, curves = _last_of_each(table, list(source["notes"]), found.metric if found else "val_loss")
    kept, left_out = _over(table)
    if _has_names(kept) and (again := kept["id"].duplicated()).any():
        notes.append(f"{int(again.sum())} rows have the id of another: the first row of each id is imported")
        kept = kept[~again]
    if kept.empty:
        raise DataError(
            f"{path}: no run in it is over: {', '.join(f'{count} {what}' for what, count in left_out.items())}",
            hint="import it when they are; `--count-status STATUS` counts those of a status as finished",
        )
    runs = list(_runs(kept, head, name, curves, file=path.name))
    asked = source.get("bundle", {}).get("question") or {}
    inverse = {theirs: ours for ours, theirs in maps.items()}
    return Incoming(
        file=str(path),
        experiment=name,
        runs=runs,
        mapping=maps,
        units=dict(given),
        count_status=tuple(count_status),
        taken=tuple((ours, _taken(ours, maps, given)) for ours in map(str, table) if _is_shown(ours, table)),
        kept=tuple(name for name in map(str, table) if not _is_ours(name) and name not in inverse),
        metric=found.metric if found else asked.get("metric", "val_loss"),
        x=found.x if found else asked.get("x", "core_hours"),
        left_out=left_out,
        notes=tuple(notes),
        source={**source, "file": path.name, "notes": list(notes), "count_status": list(count_status)},
    )


def import_runs(
    path: str | Path,
    mapping: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    *,
    count_status: Sequence[str] = (),
    experiment: str | None = None,
    update: bool = False,
    db: str = "scaling.db",
) -> Comparison:
    """Put runs that were trained elsewhere into a store, marked as imported, and return what of the file was new, the same, changed and gone.

    Importing a file again changes nothing. What `read_import` guesses of columns that `mapping` does not name is not asked back: look at
    `read_import(path).taken` first.

    Args: as of `read_import`; update: also take over what changed, and remove what the file no longer has. db: the store, made where there is none.

    Raises: what `read_import` and `write_import` raise.

    >>> len(scaling.import_runs("docs/example_study.csv", db="theirs.db").new)
    122
    """
    incoming = read_import(path, mapping, units, count_status=count_status, experiment=experiment)
    return write_import(incoming, db, update=update)


def compared(incoming: Incoming, db: str) -> Comparison:
    """Say what of a file is new to the store; all of it, where there is no store yet. Raises `StoreError`, `UsageError`."""
    from orchestrator.store import Store
    from orchestrator.store.imported import Comparison, compare

    store = Store.open_as_upgraded(db)
    if store is None:
        return Comparison(list(incoming.runs), 0, [], [])
    with store, store.read() as session:
        return compare(session, incoming.experiment, incoming.runs)


def write_import(incoming: Incoming, db: str, *, update: bool = False) -> Comparison:
    """Write what is new of a file to the store, in one transaction, and return what that was.

    update: also what changed, and remove what the file no longer has. Raises `StoreError`, `UsageError`.
    """
    from orchestrator.store import Store
    from orchestrator.store.imported import compare, write

    with Store.open(db) as store, store.write() as session:
        found = compare(session, incoming.experiment, incoming.runs)
        changed = [entry.run for entry in found.changed] if update else []
        gone = [run for run, _ in found.gone] if update else []
        if found.new or changed or gone:
            write(
                session,
                incoming.experiment,
                new=found.new,
                changed=changed,
                gone=gone,
                file=incoming.source["file"],
                text=_as_text(incoming),
                source=incoming.source,
            )
    return found


def _guessed(head: pd.DataFrame, mapping: Mapping[str, str], path: Path) -> Any:
    from analysis.reading.guess import guess

    try:
        return guess(head)
    except DataError as error:
        if mapping:
            return None
        numbers = [str(name) for name in head if head[name].dtype.kind in "if"]
        raise DataError(
            f"{path}: {error}", hint=f"name it: --map val_loss=COLUMN; numbers are in {', '.join(numbers) or 'no column'}"
        ) from error


def _named(head: pd.DataFrame) -> dict[str, str]:
    """Find the column that names the runs of a file, where each has a name of its own."""
    from analysis.reading.column_kinds import columns_of_runs

    unique = (name for name in columns_of_runs(head) if name != "id" and head[name].notna().all() and head[name].is_unique)
    return {"id": name} if (name := next(unique, None)) is not None else {}


def _not_given(guessed: Mapping[str, str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Leave out guesses about columns that the user has named."""
    return {ours: theirs for ours, theirs in guessed.items() if ours not in mapping and theirs not in mapping.values()}


def _checked(name: str) -> str:
    if not name.strip() or "/" in name or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise UsageError(
            f"--experiment {name[:60]!r} is no name that a link can hold",
            hint=f"letters, digits, - and _, at most {_LONGEST_NAME} of them",
        )
    return name


def _taken(ours: str, mapping: Mapping[str, str], units: Mapping[str, str]) -> str:
    return f"{mapping.get(ours, ours)}{f', in {units[ours]}' if ours in units else ''}"


def _is_ours(name: str) -> bool:
    return bool(describe(name).description)


def _is_shown(name: str, table: pd.DataFrame) -> bool:
    """Say whether a column is one of ours that the file brings: not those that the store gives its runs itself."""
    return _is_ours(name) and name not in _OF_THE_STORE and (name != "id" or _has_names(table))


_OF_THE_STORE = ("experiments", "attempts", "packed", "created_at", "imported_from", "chips")


def _has_names(table: pd.DataFrame) -> bool:
    """Say whether the file names its runs; `read_runs` numbers the rows of others."""
    return not all(name.removeprefix("row ").isdigit() and name.startswith("row ") for name in table["id"].head(3))


def _last_of_each(
    table: pd.DataFrame, notes: list[str], metric: str
) -> tuple[pd.DataFrame, list[str], Mapping[Any, ImportedCurves]]:
    """Keep the last row of each run, where rows are checkpoints of runs; and the curves of each, by the label of that row."""
    from analysis.checkpoints import checkpoints_of

    found = checkpoints_of(table)
    if found is None:
        return table, notes, {}
    rows = found.a_row_a_step(table)
    last = rows[found.last(rows, [name for name in {metric, "val_loss"} if name in rows][:1])]
    last.attrs = dict(table.attrs)
    if not _has_names(table) and len(found.run) == 1 and last[found.run[0]].is_unique:
        last = last.assign(id=last[found.run[0]].map(str))
    said = f"{len(table)} rows are checkpoints of {len(last)} runs: the last of each is imported, the others are its curves"
    return last, [*notes, said], _curves(rows, last, found, metric)


_CURVES = ("val_loss", "val_top1", "val_top5", "train_loss", "learning_rate")
_MOST_POINTS = 1_000


def _curves(rows: pd.DataFrame, last: pd.DataFrame, found: Checkpoints, metric: str) -> Mapping[Any, ImportedCurves]:
    """Read the curves of each run of a table of checkpoints, over its column of progress; none where that is no whole number.

    Of a curve of more than 1,000 points every second one is kept, or every third, and so on.
    """
    import pandas as pd

    from orchestrator.store.imported import ImportedCurves

    steps = pd.to_numeric(rows[found.progress], errors="coerce")
    if not (steps.dropna() % 1 == 0).all() or steps.dropna().abs().max() >= 2**63:
        return {}
    names = [
        name for name in dict.fromkeys((metric, *_CURVES)) if name in rows and rows[name].dtype.kind in "if" and len(name) <= 60
    ]
    of_run = rows.groupby(list(found.run), dropna=False, sort=False).ngroup()
    labels = {of_run[label]: label for label in last.index}
    curves = {}
    for number, group in rows.groupby(of_run):
        taken = {}
        for name in names:
            points = pd.DataFrame({"step": steps[group.index], "value": group[name]}).dropna().sort_values("step")
            if len(points) > 1:
                every = -(-len(points) // _MOST_POINTS)
                kept = points[::-1][::every][::-1]
                taken[name] = list(zip(map(int, kept["step"]), map(float, kept["value"]), strict=True))
        if taken and number in labels:
            curves[labels[number]] = ImportedCurves(str(found.progress), taken)
    return curves


def _over(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the rows whose runs are over, and count the others by their status."""
    if "status" not in table:
        return table.assign(status=str(RunStatus.FINISHED)), {}
    final = {str(status) for status in RunStatus if status.is_final}
    over = table["status"].isin(final)
    return table[over], {str(status): int(count) for status, count in Counter(table.loc[~over, "status"]).items()}


def _runs(
    table: pd.DataFrame, head: pd.DataFrame, experiment: str, curves: Mapping[Any, ImportedCurves], *, file: str
) -> Iterator[ImportedRun]:
    from orchestrator.store.imported import imported_run

    rows = [{str(name): value for name, value in row.items() if not _is_missing(value)} for row in table.to_dict("records")]
    names = [str(row.get("id", "")) for row in rows]
    keys = names if _has_names(table) else _contents(table, head)
    ids: dict[str, str] = {}
    if any(row.get("stage") == FINETUNING for row in rows):
        ids = {
            name: imported_run(experiment, key, {"status": "finished"}, file=file).id for name, key in zip(names, keys, strict=True)
        }
    for label, row, key in zip(table.index, rows, keys, strict=True):
        parent = ids.get(str(row.get("parent", "")))
        yield imported_run(experiment, key, row, file=file, parent=parent, curves=curves.get(label))


def _contents(table: pd.DataFrame, head: pd.DataFrame) -> list[str]:
    """Return a key of each row: the hash of it as it is in the file, and which of its equals it is.

    The mapping is not in it, so that the same file read otherwise is of the same runs.
    """
    of_file = head.loc[table.index] if len(head) and table.index.isin(head.index).all() else table
    columns = of_file.drop(columns=["id"], errors="ignore") if not _has_names(head) else of_file
    hashes = [
        hashlib.sha256(
            repr([(name, value) for name, value in row.items() if not _is_missing(value)]).encode(errors="replace")
        ).hexdigest()
        for row in columns.to_dict("records")
    ]
    seen: Counter[str] = Counter()
    keys = []
    for found in hashes:
        keys.append(f"{found} {seen[found]}")
        seen[found] += 1
    return keys


def _is_missing(value: object) -> bool:
    import pandas as pd

    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))  # type: ignore[call-overload]  # a scalar


def _as_text(incoming: Incoming) -> str:
    """Write how a file was read, as the page of the experiment shows it."""
    width = max((len(ours) for ours, _ in incoming.taken), default=0)
    lines = [incoming.command, "", *(f"{ours.ljust(width)}  {theirs}" for ours, theirs in incoming.taken)]
    lines += [f"kept: {', '.join(incoming.kept)}"] if incoming.kept else []
    return "\n".join([*lines, *incoming.notes]) + "\n"
