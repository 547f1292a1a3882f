"""`scaling report`: all that a table of runs says, in one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analysis.questions import ReportQuestion
from scaling.cli.output import messages
from scaling.cli.runs_input import RunsFrom, reads_runs

__all__ = ["EXAMPLES", "report_command"]

EXAMPLES = """
scaling report -o report.html

scaling report -o report.html --experiment digits --law power-floor

scaling report -o report.html --data runs.parquet --map core_hours=gpu_seconds --unit core_hours=seconds*8
"""


@reads_runs(without=("clusters",))
def report_command(
    question: ReportQuestion,
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")] = Path("report.html"),
    *,
    source: RunsFrom,
) -> None:
    """Write a report: frontier, law, how far to trust it, what to train next; with the runs behind it and the commands that print it.

    One file that loads nothing: figures, tables and scripts are in it. Without
    JavaScript the tables have all numbers.
    """
    from analysis.report.document import write_report

    found = write_report(source.load(question.metric), output, **question.settings)
    used, left_out = len(found.frontier.runs), len(found.frontier.excluded)
    told = f"{used} run{'' if used == 1 else 's'}" + (f", {left_out} left out with their reasons" if left_out else "")
    messages().print(f"{output}: {told}; open it in a browser", highlight=False)
