"""Where the reading commands of the analysis get their runs: the store, or a table of runs trained elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from scaling.columns import check_mapping
from scaling.errors import UsageError

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Data", "Level", "Mapping", "Metric", "X", "load_runs", "refuse_both"]

Metric = Annotated[str, typer.Option(help="Column to explain, better when lower; val_top1_error is 1 − val_top1.")]
X = Annotated[str, typer.Option("--x", help="Column it is explained by: core_hours, flops, params, …")]
Data = Annotated[str | None, typer.Option(metavar="FILE", help="A CSV, TSV or JSON-lines file of runs, instead of the store.")]
Mapping = Annotated[
    list[str] | None, typer.Option("--map", metavar="COLUMN=THEIRS", help="Our column name = the name in FILE; repeatable.")
]
Level = Annotated[float, typer.Option(help="Nominal coverage of the intervals.")]


def load_runs(*, data: str | None, mapping: list[str] | None, experiment: str | None, db: str) -> DataFrame:
    """The runs of FILE, else of the store."""
    if data is None:
        if mapping:
            raise UsageError("--map is for a table given by --data", hint="add --data FILE")
        from orchestrator.store import open_readonly

        return open_readonly(db).runs_frame(experiment=experiment)
    if experiment is not None:
        raise UsageError("--experiment chooses among the runs of the store, not of a file", hint="leave out --data or --experiment")
    from analysis import read_runs

    return read_runs(data, check_mapping(mapping or []))


def refuse_both(json: bool, csv: bool) -> None:
    """`--json` and `--csv` are two shapes of one answer."""
    if json and csv:
        raise UsageError("--json and --csv exclude each other", hint="choose one")
