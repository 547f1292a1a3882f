"""`scaling report`: all that a table of runs says, in one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scaling.cli.output import messages
from scaling.cli.runs_input import Level, Metric, RunsFrom, X, reads_runs

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
    from analysis.report.document import write_report

    settings = {"law": law, "on": on, "level": level, "bootstrap": bootstrap, "seed": seed, "title": title}
    found = write_report(source.load(), output, metric=metric, x=x, **settings)
    count = len(found.frontier.runs)
    messages().print(f"{output}: {count} run{'' if count == 1 else 's'}; open it in a browser", highlight=False)
