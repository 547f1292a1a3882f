"""`scaling lr`: how the best learning rate falls with the epoch budget and with size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from analysis.questions import LearningRateQuestion
from scaling.cli.options import AsCsv, AsJson
from scaling.cli.runs_input import RunsFrom, print_found, reads_runs
from scaling.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from analysis import LearningRateTrend

__all__ = ["EXAMPLES", "lr_command"]

EXAMPLES = """
scaling lr  # from the cells in which two or more learning rates finished

scaling lr --at-model nano-F3 --at-epochs 64  # the rate of a cell that was not run, and how many trials it would take

scaling lr --at-params 1e9 --at-epochs 4 --experiment digits --json

scaling lr --searches --experiment digits  # what a two-trial search did, beside a grid where one was run

scaling lr --data sweep.csv --map learning_rate=peak_lr --csv
"""


@reads_runs(without=("clusters",))
def lr_command(
    question: LearningRateQuestion,
    searches: Annotated[
        bool,
        typer.Option("--searches", help="What `policy: two-trial` did: trials a cell, regret against a grid, core-hours saved."),
    ] = False,
    *,
    source: RunsFrom,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Fit how the best learning rate falls with the epoch budget and with size, with intervals; predict it for a cell that was not run.

    Every cell has a parabola in the log of the learning rate. The minima lie on
    learning_rate* = c·epochs^-(s + u·ln(N/N0))·(N/N0)^-t, N the parameters. Cells
    whose best rate is the last of their grid are named. Where cells tried several
    weight decays or batch sizes, the best one has a trend too.
    """
    if searches:
        from scaling.cli.searches_table import show_searches

        if source.data is not None or source.server is not None:
            raise UsageError("--searches is about the runs of a store", hint="leave out --data and --server; --db names the store")
        show_searches(source.db, source.experiment, json=json, csv=csv)
        return
    from analysis import learning_rate_trend

    runs = source.load(question.metric)
    trend = learning_rate_trend(runs, metric=question.metric, level=question.level)
    asked_cell = trend.predict_cell(**question.asked_cell) if question.asked_cell else None

    def show(out: Console, trend: LearningRateTrend) -> None:
        from scaling.cli.analysis_tables import print_excluded, print_trend
        from scaling.cli.tables import headline

        if asked_cell is not None:
            headline(out, asked_cell.sentence())
        print_trend(out, trend)
        print_excluded(out, trend.excluded)

    print_found(trend, runs, show, json=json, csv=csv, cell=asked_cell)
