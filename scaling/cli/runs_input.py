"""The runs that the commands of the analysis read: of the store, or of a table of runs trained elsewhere."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial, wraps
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from analysis.questions import WHICH_RUNS, ClusteredQuestion, Question
from scaling.cli.options import Db, Experiment, Server, option
from scaling.cli.output import console, messages, print_json, print_text
from scaling.columns import check_mapping
from scaling.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pandas import DataFrame
    from rich.console import Console

    from analysis.selection import Excluded

__all__ = [
    "RunsFrom",
    "print_answer",
    "print_found",
    "print_set_aside",
    "reads_runs",
    "refuse_both",
]

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


_OF_QUESTIONS = tuple(name for name in WHICH_RUNS if name != "experiment")  # which all commands spell alike, `-e` too


@dataclass(frozen=True)
class RunsFrom:
    """Says which runs a command reads, and what is done to them first: one field for each of its options, see `reads_runs`.

    convert, price, where, cell, clusters: as `analysis.questions` has them.
    """

    data: Data = None
    mapping: Mapping = None
    unit: Unit = None
    count_status: CountStatus = None
    chance_loss: ChanceLoss = None
    convert: list[str] | None = None
    price: list[str] | None = None
    where: list[str] | None = None
    cell: list[str] | None = None
    clusters: list[str] | None = None
    experiment: Experiment = None
    db: Db = "scaling.db"
    server: Server = None

    @property
    def of_a_store(self) -> bool:
        """Say whether the runs are read from the database of `db`."""
        return self.data is None and self.server is None

    def load(
        self, metric: str | None = None, *, of: Callable[[DataFrame], DataFrame] | None = None, also: Collection[str] = ()
    ) -> DataFrame:
        """Read the runs of the file, else of the server, else of the store, in our units.

        Rows are chosen, and core-hours converted between accelerators, where that was asked for.

        metric: of the question: the rows are the runs that it is of, pre-trained or fine-tuned. None: all, or what `of` makes of them.
        also: accelerators of reference points, whose hours may be converted though no run was trained on them.
        """
        from analysis.finetuned import of_stage
        from analysis.reading.choice import prepared
        from analysis.reading.source import attach_source, source_of

        if metric is not None:
            of = partial(of_stage, metric=metric)
        choice = {name: getattr(self, name) or () for name in ("where", "convert", "cell", "clusters")}
        choice["price"] = [text for given in self.price or () for text in _prices(given)]
        table = self._of_store() if self.data is None else self._of_file(self.data)
        runs = prepared(table, chance_loss=self.chance_loss, of=of, also=also, **choice)
        return attach_source(runs, {**source_of(runs), "command": self.words(source_of(runs))})

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
        for given, flag in ((self.mapping, "--map"), (self.unit, "--unit"), (self.count_status, "--count-status")):
            if given:
                raise UsageError(f"{flag} is for a table given by --data", hint="add --data FILE")
        if self.server is None:
            from orchestrator.store import open_readonly

            return open_readonly(self.db).runs(experiment=self.experiment)
        from analysis.reading.imported import with_sources
        from analysis.unfinished import table_of
        from scaling.cli.server import Server

        server = Server(self.server)
        rows = server.runs(experiment=self.experiment)
        found = server.experiments()
        table = table_of(rows, has_scheduler=found["scheduler"] is not None)
        known = [row for row in found["experiments"] if self.experiment in (None, row["name"])]
        return with_sources(table, [row["imported"] for row in reversed(known) if row.get("imported")])

    def words(self, source: dict[str, Any]) -> list[str]:
        """Return the options that choose these runs again.

        A database named by a URL is left out: it may hold a password, and SCALING_DB has it.
        source: of `source_of`.
        """
        by_path = self.of_a_store and self.db != "scaling.db" and "://" not in self.db
        once = {
            "--data": self.data,
            "--experiment": self.experiment,
            "--server": self.server if self.data is None else None,
            "--db": self.db if by_path else None,
            "--chance-loss": None if self.chance_loss is None else f"{self.chance_loss:g}",
            **{f"--{name}": ",".join(source[name]) for name in ("cell", "clusters") if name in source},
        }
        repeated = {
            "--map": self.mapping,
            "--unit": self.unit,
            "--count-status": self.count_status,
            "--price": self.price,
            "--convert": self.convert,
            "--where": self.where,
        }
        pairs = [(flag, value) for flag, value in once.items() if value is not None]
        pairs += [(flag, value) for flag, values in repeated.items() for value in values or ()]
        return [word for pair in pairs for word in pair]


def _prices(given: str) -> list[str]:
    """Return a price as it is given, or those of the CSV that it names. Links cannot name one: they are not to open files."""
    from pathlib import Path

    from scaling.prices import read_prices

    if not given.lower().endswith(".csv"):
        return [given]
    return [f"{name}={price!r}" for name, price in read_prices(Path(given)).items()]


def reads_runs(*, without: tuple[str, ...] = (), **defaults: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command its options, and refuse `--json` with `--csv`.

    Each parameter of the question that the command answers is one, in the place of its parameter `question`. So is each field of
    `RunsFrom`, in the place of `source`.

    without: fields that the command has no use for. defaults: of parameters of the question, where they are others on the command line.
    """
    hints = get_type_hints(RunsFrom, include_extras=True)

    def with_options(command: Callable[..., None]) -> Callable[..., None]:
        given = inspect.signature(command, eval_str=True).parameters
        kind: type[Question] | None = given["question"].annotation if "question" in given else None
        known = (kind or ClusteredQuestion).parameters()
        ours = {
            field.name: (option(ClusteredQuestion, field.name) if field.name in _OF_QUESTIONS else hints[field.name], field.default)
            for field in fields(RunsFrom)
            if field.name not in without and (field.name != "clusters" or "clusters" in known)
        }
        asked = {
            name: (option(kind, name), defaults.get(name, None if (default := known[name].default) == () else default))
            for name in (kind.in_order() if kind is not None else ())
            if kind is not None and name not in {*given, *WHICH_RUNS}
        }

        @wraps(command)
        def called(**values: Any) -> None:
            refuse_both(values.get("json", False), values.get("csv", False))
            source = RunsFrom(**{name: values.pop(name) for name in ours})
            told: dict[str, Any] = {name: tuple(value) if isinstance(value := values.pop(name), list) else value for name in asked}
            told |= {
                name: () for name, value in told.items() if value is None and known[name].default == ()
            }  # what Typer calls None
            command(source=source, **values, **({"question": kind(**told)} if kind is not None else {}))

        options = {"source": ours, "question": asked}
        called.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what Typer reads
            [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=default)
                for parameter in given.values()
                for name, (hint, default) in options.get(
                    parameter.name, {parameter.name: (parameter.annotation, parameter.default)}
                ).items()
            ]
        )
        return called

    return with_options


def print_found(found: Any, runs: DataFrame, show: Callable[[Console, Any], None], *, json: bool, csv: bool, **more: Any) -> None:
    """Print what an analysis found: as JSON; as CSV, with what was set aside on stderr; or as `show` does.

    more: arguments of its `to_dict`.
    """
    if json:
        print_answer(found, runs, **more)
    elif csv:
        print_text(found.to_csv())
        print_set_aside(runs, found.excluded)
    else:
        show(console(), found)
        _print_input(console(), runs)


def print_answer(found: Any, runs: DataFrame, **more: Any) -> None:
    """Print what an analysis found as JSON, with `input`: which file the runs came from and what was converted."""
    from analysis.payloads import payload, with_input

    print_json(with_input(payload(found, **more), runs))


def _print_input(console: Console, runs: DataFrame) -> None:
    """Print a line for each thing that was done to the table before the analysis."""
    from rich.text import Text

    from analysis import source_of

    for note in source_of(runs)["notes"]:
        console.print(Text.assemble(("input", "bold"), f"  {note}"), soft_wrap=True)


def print_set_aside(runs: DataFrame, excluded: Sequence[Excluded]) -> None:
    """Print on stderr, beside a table as CSV, how many runs were left out and why, and what was done to the table before."""
    from analysis import source_of
    from analysis.selection import excluded_words

    for text in ([excluded_words(excluded)] if excluded else []) + source_of(runs)["notes"]:
        messages().print(text, soft_wrap=True, highlight=False, markup=False)


def refuse_both(json: bool, csv: bool) -> None:
    """Refuse `--json` with `--csv`: they are two shapes of one answer."""
    if json and csv:
        raise UsageError("--json and --csv exclude each other", hint="choose one")
