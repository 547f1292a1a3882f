"""`scaling import`: runs that were trained elsewhere, into the store."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scaling.cli.options import AsJson, Db
from scaling.cli.runs_input import CountStatus, Mapping, Unit
from scaling.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.imports import Incoming
    from orchestrator.store.imported import Changed, Comparison

__all__ = ["EXAMPLES", "import_command"]

EXAMPLES = """
scaling import runs.csv                         # shows what its columns were taken for, and asks

scaling import mlruns --map core_hours=gpu_seconds --unit core_hours=seconds --yes

scaling import wandb_export.csv --experiment theirs --count-status crashed

scaling import runs.csv --update                # the file has changed: what it says now counts
"""

_SHOWN = 5


def import_command(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="CSV, TSV, JSON, Parquet; an export of W&B or MLflow, a folder mlruns or wandb, mlflow.db; a bundle.",
        ),
    ],
    mapping: Mapping = None,
    unit: Unit = None,
    count_status: CountStatus = None,
    experiment: Annotated[
        str | None,
        typer.Option("--experiment", "-e", metavar="NAME", help="Experiment that they are put in; default: the file's name."),
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Also take over what changed since the last import, and remove what is gone.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    db: Db = "scaling.db",
    as_json: AsJson = False,
) -> None:
    """Put runs that were trained elsewhere into the store, marked as imported; every page and command then works on them.

    Columns that --map does not name are guessed by their names, and shown before
    anything is written. Importing a file again changes nothing; what is new in it is
    added, what differs is said and left alone without --update. Runs that are not
    over are left out: import again when they are. Nothing here trains or retries an
    imported run.
    """
    from analysis.reading.units import check_units
    from orchestrator.imports import compared, read_import, write_import
    from scaling.cli.output import messages, print_json
    from scaling.columns import check_mapping

    incoming = read_import(
        file, check_mapping(mapping or []), check_units(unit or []), count_status=count_status or (), experiment=experiment
    )
    found, err = compared(incoming, db), messages()
    if not as_json:
        _show(err, incoming, found, update=update)
    writes = len(found.new) + (len(found.changed) + len(found.gone) if update else 0)
    if writes and not yes:
        if not sys.stdin.isatty():
            raise UsageError(
                f"nothing was imported: whether the columns of {file} are what they were taken for was not confirmed",
                hint=f"look at them above, then: {' '.join([incoming.command, shlex.join(_db(db))]).strip()}",
            )
        typer.confirm("Import them so?", abort=True, err=True)
    if writes:
        found = write_import(incoming, db, update=update)
    if as_json:
        print_json(_payload(incoming, found, update=update))
        return
    _tell(err, incoming, found, db, update=update)


def _show(err: Console, incoming: Incoming, found: Comparison, *, update: bool) -> None:
    """Print what each column was taken for, where that matters, and what of the file is new."""
    from scaling.cli.tables import line

    if found.new or (update and (found.changed or found.gone)):
        _say(err, f"{incoming.file}: {_runs(len(incoming.runs))} for the experiment {incoming.experiment}; columns were taken for")
        width = max((len(ours) for ours, _ in incoming.taken), default=0)
        for ours, theirs in incoming.taken:
            line(err, f"{ours.ljust(width)}  {theirs}")
        if incoming.kept:
            line(err, f"under their own names: {', '.join(incoming.kept)}")
    for note in incoming.notes:
        line(err, note)
    if incoming.left_out:
        said = ", ".join(f"{count} {status}" for status, count in incoming.left_out.items())
        line(err, f"left out, since they are not over: {said}; import again when they are, or --count-status STATUS")
    if found.changed:
        _say(err, f"{_runs(len(found.changed))} differ{'' if len(found.changed) > 1 else 's'} from what was imported before")
        for entry in found.changed[:_SHOWN]:
            line(err, f"{entry.run.name}: {_words(entry)}")
        if len(found.changed) > _SHOWN:
            line(err, f"and {len(found.changed) - _SHOWN:,} more")
        line(err, "they are overwritten" if update else "the store keeps what it has; --update takes what the file says now")
    if found.gone:
        some = ", ".join(name for _, name in found.gone[:_SHOWN]) + (" …" if len(found.gone) > _SHOWN else "")
        _say(err, f"{_runs(len(found.gone))} imported before {'are' if len(found.gone) > 1 else 'is'} not in the file: {some}")
        line(err, "removed" if update else "kept; --update removes them")


def _tell(err: Console, incoming: Incoming, found: Comparison, db: str, *, update: bool) -> None:
    changed, gone = (len(found.changed), len(found.gone)) if update else (0, 0)
    if not (found.new or changed or gone):
        there = found.same + len(found.changed)
        _say(err, f"nothing is new: {_runs(there)} of {incoming.file} {'was' if there == 1 else 'were'} imported before")
    else:
        said = [f"{_runs(len(found.new))} imported"] if found.new else []
        said += [f"{changed:,} overwritten"] if changed else []
        said += [f"{gone:,} removed"] if gone else []
        before = f", {found.same:,} were there before" if found.same else ""
        _say(err, f"{', '.join(said)}{before}: experiment {incoming.experiment}")
    asked = ["-e", incoming.experiment, *_db(db)]
    asked += ["--metric", incoming.metric] if incoming.metric != "val_loss" else []
    asked += ["--x", incoming.x] if incoming.x != "core_hours" else []
    serve = shlex.join(["scaling", "serve", *_db(db)])
    _say(err, f"next: `{shlex.join(['scaling', 'fit', *asked])}` says what they show, `{serve}` draws them")


def _db(db: str) -> list[str]:
    """Return the option that names the database; none for a URL, which may hold a password."""
    return ["--db", db] if db != "scaling.db" and "://" not in db else []


def _say(err: Console, sentence: str) -> None:
    err.print(sentence, highlight=False, markup=False, soft_wrap=True)


def _payload(incoming: Incoming, found: Comparison, *, update: bool) -> dict[str, Any]:
    """Make the object that --json prints: how the file was read, and how many of its runs are new, the same, changed and gone."""
    from scaling.columns import SCHEMA_VERSION

    return {
        "schema_version": SCHEMA_VERSION,
        "file": incoming.file,
        "experiment": incoming.experiment,
        "mapping": incoming.mapping,
        "units": incoming.units,
        "columns": dict(incoming.taken),
        "kept": list(incoming.kept),
        "notes": list(incoming.notes),
        "metric": incoming.metric,
        "x": incoming.x,
        "imported": len(found.new),
        "same": found.same,
        "changed": [
            {"id": entry.run.id, "name": entry.run.name, "values": {name: list(pair) for name, pair in entry.values.items()}}
            for entry in found.changed
        ],
        "gone": [{"id": run, "name": name} for run, name in found.gone],
        "updated": update,
        "left_out": incoming.left_out,
    }


def _words(entry: Changed) -> str:
    shown = [f"{name} {_value(before)} → {_value(after)}" for name, (before, after) in list(entry.values.items())[:_SHOWN]]
    return ", ".join(shown) + (" …" if len(entry.values) > _SHOWN else "")


def _value(value: object) -> str:
    return "–" if value in (None, "") else f"{value:.6g}" if isinstance(value, float) else str(value)


def _runs(number: int) -> str:
    return f"{number:,} run{'' if number == 1 else 's'}"
