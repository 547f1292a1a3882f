"""`scaling lr`: how the best learning rate falls with the epoch budget."""

from __future__ import annotations

from scaling.cli.options import AsCsv, AsJson, Db, Experiment, Server
from scaling.cli.output import console
from scaling.cli.runs_input import (
    Convert,
    Data,
    Level,
    Mapping,
    Metric,
    Unit,
    Where,
    load_runs,
    print_answer,
    print_input,
    refuse_both,
)
from scaling.columns import column_name

__all__ = ["EXAMPLES", "lr_command"]

EXAMPLES = """
scaling lr  # from the cells in which three or more learning rates finished

scaling lr --experiment digits --json

scaling lr --data sweep.csv --map learning_rate=peak_lr --csv
"""


def lr_command(
    metric: Metric = "val_loss",
    level: Level = 0.95,
    data: Data = None,
    mapping: Mapping = None,
    unit: Unit = None,
    convert: Convert = None,
    where: Where = None,
    experiment: Experiment = None,
    db: Db = "scaling.db",
    server: Server = None,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Fit how the best learning rate falls with the epoch budget, with intervals.

    One parabola in the log of the learning rate for every cell, with minima on learning_rate* = c·epochs^-s. Cells whose best rate
    is the last of their grid are named.
    """
    refuse_both(json, csv)
    from analysis import learning_rate_payload, learning_rate_trend

    runs = load_runs(
        data=data, mapping=mapping, unit=unit, convert=convert, where=where, experiment=experiment, db=db, server=server
    )
    trend = learning_rate_trend(runs, metric=column_name(metric), level=level)
    if json:
        print_answer(learning_rate_payload(trend), runs)
    elif csv:
        print(trend.optima.to_csv(index=False), end="")
    else:
        from scaling.cli.analysis_tables import print_excluded, print_trend

        out = console()
        print_trend(out, trend)
        print_excluded(out, trend.excluded)
        print_input(out, runs)
