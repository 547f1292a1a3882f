"""Where the reading commands of the analysis get their runs: the store, or a table of runs trained elsewhere."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from scaling.cli.options import Db, Experiment, Server
from scaling.cli.output import messages, print_json
from scaling.columns import check_mapping
from scaling.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pandas import DataFrame
    from rich.console import Console

    from analysis.selection import Excluded

__all__ = [
    "Level",
    "Metric",
    "RunsFrom",
    "X",
    "columns_in",
    "print_answer",
    "print_input",
    "print_set_aside",
    "reads_runs",
    "refuse_both",
]

Metric = Annotated[str, typer.Option(help="Column to explain, better when lower; NAME_error is 1 − NAME of a share.")]
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
Level = Annotated[float, typer.Option(help="Nominal coverage of the intervals, 0.5 … 0.999.")]


@dataclass(frozen=True)
class RunsFrom:
    """Which runs a command reads, and what is done to them first: one field for each of its options, see `reads_runs`."""

    data: Data = None
    mapping: Mapping = None
    unit: Unit = None
    count_status: CountStatus = None
    chance_loss: ChanceLoss = None
    convert: Convert = None
    where: Where = None
    cell: Cell = None
    clusters: Clusters = None
    experiment: Experiment = None
    db: Db = "scaling.db"
    server: Server = None

    @property
    def of_a_store(self) -> bool:
        """Whether it is the data base of `db` that is read."""
        return self.data is None and self.server is None

    def load(self) -> DataFrame:
        """The runs of the file, else of the server, else of the store, in our units: rows chosen, and core-hours converted between
        accelerators, where that was asked for."""
        from analysis.reading.source import attach_source, grouped, source_of

        runs = self._of_store() if self.data is None else self._of_file(self.data)
        if self.chance_loss is not None:
            if not self.chance_loss > 0:
                raise UsageError(
                    f"--chance-loss {self.chance_loss:g} is not positive", hint="of k classes it is ln k: 2.303 for ten"
                )
            runs = runs.assign(chance_loss=self.chance_loss)
        if self.where:
            from analysis.reading.choice import choose_runs

            runs = choose_runs(runs, self.where)
        if self.convert:
            from analysis.reading.accelerator_hours import check_conversions, convert_core_hours

            runs = convert_core_hours(runs, check_conversions(self.convert))
        groups = grouped(runs, cell=self.cell or (), clusters=self.clusters or ())
        return attach_source(runs, {**source_of(runs), **groups, "command": self.words(groups)})

    def _of_file(self, data: str) -> DataFrame:
        if self.experiment is not None:
            raise UsageError(
                "--experiment chooses among the runs of the store, not of a file", hint="leave out --data or --experiment"
            )
        from analysis import read_runs
        from analysis.reading.units import check_units

        return read_runs(
            data, check_mapping(self.mapping or []), check_units(self.unit or []), count_status=self.count_status or ()
        )

    def _of_store(self) -> DataFrame:
        for given, option in ((self.mapping, "--map"), (self.unit, "--unit"), (self.count_status, "--count-status")):
            if given:
                raise UsageError(f"{option} is for a table given by --data", hint="add --data FILE")
        from analysis.unfinished import note_unfinished

        if self.server is None:
            from orchestrator.store import open_readonly

            return note_unfinished(open_readonly(self.db).runs_frame(experiment=self.experiment))
        import pandas as pd

        from scaling.cli.server import Server
        from scaling.columns import RUN_COLUMNS

        rows = Server(self.server).runs(experiment=self.experiment)
        return note_unfinished(pd.DataFrame(rows, columns=[column.name for column in RUN_COLUMNS]))

    def words(self, groups: dict[str, list[str]]) -> list[str]:
        """The options that choose these runs again. A data base named by a URL is left out: it may hold a password, and SCALING_DB has it."""
        by_path = self.of_a_store and self.db != "scaling.db" and "://" not in self.db
        once = {
            "--data": self.data,
            "--experiment": self.experiment,
            "--server": self.server if self.data is None else None,
            "--db": self.db if by_path else None,
            "--chance-loss": None if self.chance_loss is None else f"{self.chance_loss:g}",
            **{f"--{name}": ",".join(names) for name, names in groups.items()},
        }
        repeated = {
            "--map": self.mapping,
            "--unit": self.unit,
            "--count-status": self.count_status,
            "--convert": self.convert,
            "--where": self.where,
        }
        pairs = [(flag, value) for flag, value in once.items() if value is not None]
        pairs += [(flag, value) for flag, values in repeated.items() for value in values or ()]
        return [word for pair in pairs for word in pair]


def reads_runs(*, without: tuple[str, ...] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each field of `RunsFrom`, in the place of its parameter `source`.

    without: fields that the command has no use for.
    """
    hints = get_type_hints(RunsFrom, include_extras=True)
    ours = [field for field in fields(RunsFrom) if field.name not in without]

    def with_options(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def called(**given: Any) -> None:
            source = RunsFrom(**{field.name: given.pop(field.name) for field in ours})
            command(source=source, **given)

        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command, eval_str=True).parameters.values():
            keyword = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            parameters += (
                [keyword]
                if parameter.name != "source"
                else [keyword.replace(name=field.name, annotation=hints[field.name], default=field.default) for field in ours]
            )
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
        return called

    return with_options


def columns_in(runs: DataFrame, names: str) -> str:
    """`params,samples` as the table spells them, see `analysis.reading.source.columns_in`."""
    from analysis.reading import source

    return source.columns_in(runs, names)


def print_answer(payload: dict[str, object], runs: DataFrame) -> None:
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
