"""`scaling frontier`: the compute-optimal cells."""

from __future__ import annotations

from scaling.cli.options import AsCsv, AsJson, Db, Experiment
from scaling.cli.output import console
from scaling.cli.runs_input import Convert, Data, Mapping, Metric, Unit, X, load_runs, print_answer, print_input, refuse_both
from scaling.columns import column_name

__all__ = ["EXAMPLES", "frontier_command"]

EXAMPLES = """
scaling frontier  # best model and epochs against core-hours

scaling frontier --x flops --csv > frontier.csv

scaling frontier --data runs.csv --map core_hours=tpu_hours --metric val_loss --json
"""


def frontier_command(
    metric: Metric = "val_loss",
    x: X = "core_hours",
    data: Data = None,
    mapping: Mapping = None,
    unit: Unit = None,
    convert: Convert = None,
    experiment: Experiment = None,
    db: Db = "scaling.db",
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Show the compute-optimal frontier: which model and how many epochs are best at each compute.

    A point is a cell (model and epochs) at its best learning rate, the mean over its seeds.
    """
    refuse_both(json, csv)
    from analysis import frontier, frontier_payload

    runs = load_runs(data=data, mapping=mapping, unit=unit, convert=convert, experiment=experiment, db=db)
    found = frontier(runs, metric=column_name(metric), x=column_name(x))
    if json:
        print_answer(frontier_payload(found), runs)
    elif csv:
        print(found.to_csv(), end="")
    else:
        from scaling.cli.analysis_tables import print_excluded, print_frontier, print_points

        out = console()
        print_frontier(out, found)
        print_points(out, found)
        print_excluded(out, found.excluded)
        print_input(out, runs)
