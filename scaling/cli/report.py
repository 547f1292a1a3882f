"""`scaling report`: all that a table of runs says, in one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scaling.cli.output import messages
from scaling.cli.runs_input import (
    Level,
    Metric,
    RunsFrom,
    X,
    columns_in,
    reads_runs,
)
from scaling.errors import UnknownName, UsageError

__all__ = ["EXAMPLES", "report_command"]

EXAMPLES = """
scaling report -o report.html

scaling report -o report.html --experiment digits --law power-floor

scaling report -o report.html --data runs.parquet --map core_hours=gpu_seconds --unit core_hours=seconds*8
"""


@reads_runs(without=("clusters",))
def report_command(
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")] = Path("report.html"),
    metric: Metric = "val_loss",
    x: X = "core_hours",
    law: Annotated[
        str | None,
        typer.Option(help="The law to report on, or auto; the others are shown beside it. Default: the one that forecasts best."),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(help="frontier: the compute-optimal cells; all: every cell. Default: frontier for a grid, else all."),
    ] = None,
    title: Annotated[str, typer.Option(help="Of the report; the name of the data where left out.")] = "",
    level: Level = 0.95,
    bootstrap: Annotated[int, typer.Option(min=100, help="Draws behind the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of those draws.")] = 0,
    *,
    source: RunsFrom,
) -> None:
    """Write a report: frontier, law, how far to trust it, what to train next; with the runs behind it and the commands that print it.

    One file that loads nothing: figures, tables and scripts are in it. Without JavaScript the tables have all numbers.
    """
    if on not in (None, "frontier", "all"):
        raise UnknownName("choice for --on", on, ("frontier", "all"))
    if not output.absolute().parent.is_dir():  # before the work, not after it
        raise UsageError(
            f"{output}: there is no folder {output.parent}", hint="name a file in a folder that exists: -o report.html"
        )
    from analysis.report import report_html, study_of

    runs = source.load()
    settings: dict[str, Any] = {"metric": columns_in(runs, metric), "x": columns_in(runs, x), "law": law, "on": on}
    found = study_of(runs, **settings, level=level, bootstrap=bootstrap, seed=seed, title=title)
    output.write_text(report_html(found), encoding="utf-8")
    count = len(found.frontier.runs)
    messages().print(f"{output}: {count} run{'' if count == 1 else 's'}; open it in a browser", highlight=False)
