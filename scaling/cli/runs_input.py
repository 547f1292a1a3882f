"""Where the reading commands of the analysis get their runs: the store, or a table of runs trained elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scaling.cli.output import messages, print_json
from scaling.columns import check_mapping
from scaling.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pandas import DataFrame
    from rich.console import Console

    from analysis.selection import Excluded

__all__ = [
    "Cell",
    "ChanceLoss",
    "Clusters",
    "Convert",
    "CountStatus",
    "Data",
    "Level",
    "Mapping",
    "Metric",
    "Unit",
    "Where",
    "X",
    "columns_in",
    "load_runs",
    "print_answer",
    "print_input",
    "print_set_aside",
    "refuse_both",
]

Metric = Annotated[str, typer.Option(help="Column to explain, better when lower; val_top1_error is 1 − val_top1.")]
X = Annotated[str, typer.Option("--x", help="Column it is explained by: core_hours, flops, params, …")]
Data = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="Runs from elsewhere, instead of the store: CSV, TSV, JSON, Parquet, or a folder of MLflow or W&B."
    ),
]
Mapping = Annotated[
    list[str] | None, typer.Option("--map", metavar="COLUMN=THEIRS", help="Our column name = the name in FILE; repeatable.")
]
Unit = Annotated[
    list[str] | None,
    typer.Option(
        "--unit", metavar="COLUMN=UNIT", help="What the numbers of FILE are: seconds*8, PFLOP, %, FLOP/(6*params); repeatable."
    ),
]
CountStatus = Annotated[
    list[str] | None,
    typer.Option(
        "--count-status", metavar="STATUS", help="Count runs of FILE that ended so (failed, crashed) as finished; repeatable."
    ),
]
ChanceLoss = Annotated[
    float | None,
    typer.Option("--chance-loss", help="val_loss of guessing; fits say which runs are no better. Or a column chance_loss."),
]
Convert = Annotated[
    list[str] | None,
    typer.Option("--convert", metavar="THEIRS:OURS=FACTOR", help="So many core-hours on THEIRS count as one on OURS; repeatable."),
]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="COLUMN=VALUE", help="Only runs with this value, or one of several: seed=0,1; repeatable."),
]
Cell = Annotated[
    list[str] | None,
    typer.Option(
        "--cell", metavar="COLUMNS", help="Columns that tell cells apart besides the known settings: what is averaged; repeatable."
    ),
]
Clusters = Annotated[
    list[str] | None,
    typer.Option(
        "--clusters", metavar="COLUMNS", help="Columns whose values are resampled as one, e.g. run; default: cells; repeatable."
    ),
]
Level = Annotated[float, typer.Option(help="Nominal coverage of the intervals.")]


def load_runs(
    *,
    data: str | None,
    mapping: list[str] | None,
    experiment: str | None,
    db: str,
    unit: list[str] | None = None,
    convert: list[str] | None = None,
    where: list[str] | None = None,
    server: str | None = None,
    count_status: list[str] | None = None,
    chance_loss: float | None = None,
    cell: list[str] | None = None,
    clusters: list[str] | None = None,
) -> DataFrame:
    """The runs of FILE, else of the server, else of the store, in our units; core-hours converted between accelerators, and rows chosen, where that was asked for."""
    if data is None:
        for given, option in ((mapping, "--map"), (unit, "--unit"), (count_status, "--count-status")):
            if given:
                raise UsageError(f"{option} is for a table given by --data", hint="add --data FILE")
        runs = _runs_of_the_store(db, server, experiment)
    else:
        if experiment is not None:
            raise UsageError(
                "--experiment chooses among the runs of the store, not of a file", hint="leave out --data or --experiment"
            )
        from analysis import read_runs
        from analysis.reading.units import check_units

        runs = read_runs(data, check_mapping(mapping or []), check_units(unit or []), count_status=count_status or ())
    if chance_loss is not None:
        if not chance_loss > 0:
            raise UsageError(f"--chance-loss {chance_loss:g} is not positive", hint="of k classes it is ln k: 2.303 for ten")
        runs = runs.assign(chance_loss=chance_loss)
    if where:
        from analysis.reading.choice import choose_runs

        runs = choose_runs(runs, where)
    if convert:
        from analysis.reading.accelerator_hours import check_conversions, convert_core_hours

        runs = convert_core_hours(runs, check_conversions(convert))
    from analysis.reading.source import attach_source, source_of

    words = _words(
        data=data,
        mapping=mapping,
        unit=unit,
        count_status=count_status,
        convert=convert,
        where=where,
        experiment=experiment,
        db=db,
        server=server,
    )
    grouped = {name: named for name, given in (("cell", cell), ("clusters", clusters)) if (named := _names(runs, given))}
    words += [word for name, named in grouped.items() for word in (f"--{name}", ",".join(named))]
    words += ["--chance-loss", f"{chance_loss:g}"] if chance_loss is not None else []
    return attach_source(runs, {**source_of(runs), **grouped, "command": words})


def columns_in(runs: DataFrame, names: str) -> str:
    """`params,samples` as the table spells them: each may be our name or, after --map, the file's own."""
    from analysis.reading.source import column_of

    return ",".join(column_of(runs, name.strip()) for name in names.split(","))


def _names(runs: DataFrame, given: list[str] | None) -> list[str]:
    return [name for text in given or () for name in columns_in(runs, text).split(",")]


def _runs_of_the_store(db: str, server: str | None, experiment: str | None) -> DataFrame:
    if server is None:
        from orchestrator.store import open_readonly

        return open_readonly(db).runs_frame(experiment=experiment)
    import pandas as pd

    from scaling.cli.server import Server
    from scaling.columns import RUN_COLUMNS

    return pd.DataFrame(Server(server).runs(experiment=experiment), columns=[column.name for column in RUN_COLUMNS])


def _words(*, data: str | None, db: str, server: str | None, experiment: str | None, **repeated: list[str] | None) -> list[str]:
    """The options that choose these runs again. A data base named by a URL is left out: it may hold a password, and SCALING_DB has it."""
    words = ["--data", data] if data is not None else []
    words += ["--experiment", experiment] if experiment is not None else []
    words += ["--server", server] if data is None and server is not None else []
    words += ["--db", db] if data is None and server is None and db != "scaling.db" and "://" not in db else []
    flags = {"mapping": "--map", "unit": "--unit", "count_status": "--count-status", "convert": "--convert", "where": "--where"}
    return words + [word for name, values in repeated.items() for value in values or () for word in (flags[name], value)]


def print_answer(payload: dict[str, Any], runs: DataFrame) -> None:
    """The payload as JSON, with `input`: which file the runs came from and what was converted."""
    from analysis.payloads import with_input

    print_json(with_input(payload, runs))


def print_input(console: Console, runs: DataFrame) -> None:
    """A line for each thing that was done to the table before the analysis."""
    from rich.text import Text

    from analysis import source_of

    for note in source_of(runs)["notes"]:
        console.print(Text.assemble(("input", "bold"), f"  {note}"), soft_wrap=True)


def print_set_aside(runs: DataFrame, excluded: Sequence[Excluded]) -> None:
    """Beside a table as CSV, on stderr: how many runs were left out and why, and what was done to the table before."""
    from analysis import source_of
    from analysis.selection import excluded_words

    for text in ([excluded_words(excluded)] if excluded else []) + source_of(runs)["notes"]:
        messages().print(text, soft_wrap=True, highlight=False, markup=False)


def refuse_both(json: bool, csv: bool) -> None:
    """`--json` and `--csv` are two shapes of one answer."""
    if json and csv:
        raise UsageError("--json and --csv exclude each other", hint="choose one")
