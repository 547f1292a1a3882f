"""`scaling transfer`: what pre-training buys downstream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.questions import TransferQuestion
from scaling.cli.options import AsCsv, AsJson
from scaling.cli.runs_input import RunsFrom, print_found, reads_runs
from scaling.errors import UsageError
from scaling.rounding import significant

if TYPE_CHECKING:
    from rich.console import Console

    from analysis import Transfer

__all__ = ["EXAMPLES", "transfer_command"]

EXAMPLES = """
scaling transfer  # fine-tuned runs of the store against the runs they started from

scaling transfer --downstream val_top1_error --upstream val_loss --json

scaling transfer --data finetuned.csv --downstream imagenet_error --upstream pretrain_loss --x core_hours
"""


@reads_runs(without=("clusters",))
def transfer_command(
    question: TransferQuestion,
    *,
    source: RunsFrom,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Show the downstream metric against pre-training compute, and whether the best pre-trained checkpoint is the best fine-tuned one.

    A table with `parent` ids of its own rows, or the store, is joined: a
    fine-tuned run with the run it started from.
    """
    from analysis import transfer, with_parents
    from analysis.reading.source import columns_in

    runs = source.load()
    up, cost = columns_in(runs, question.upstream), columns_in(runs, question.x)
    if source.data is None or ("parent" in runs and runs["parent"].isin(runs["id"]).any()):
        table, up, cost = with_parents(runs, up), f"parent_{up}", f"parent_{cost}"
    else:
        table = runs
    if columns_in(runs, question.downstream) == up:
        raise UsageError(
            f"--downstream and --upstream are both {up}",
            hint="name the column of each: --downstream imagenet_error --upstream pretrain_loss",
        )
    found = transfer(table, **question.settings | {"upstream": up, "x": cost})
    print_found(found, runs, _print, json=json, csv=csv)


def _print(out: Console, found: Transfer) -> None:
    from scaling.cli.analysis_tables import print_excluded, print_fit, print_notes
    from scaling.cli.tables import headline, line, table

    headline(out, found.sentence())
    shown = table("checkpoint", found.x, found.upstream, found.downstream, "runs", "")
    shown.columns[-1].justify = "left"
    for number, row in found.checkpoints.iterrows():
        marks = [
            word
            for word, best in (("best pre-trained", found.best_upstream), ("best fine-tuned", found.best_downstream))
            if best.name == number
        ]
        shown.add_row(
            row["checkpoint"],
            *(significant(row[name]) for name in (found.x, found.upstream, found.downstream)),
            str(row["runs"]),
            ", ".join(marks),
        )
    out.print(shown)
    line(
        out,
        f"rank correlation {found.rank_correlation.words()}, p = {significant(found.p_value, 2)}; with {found.x} held fixed {found.given_compute.words()}",
    )
    print_notes(out, found.notes)
    out.print()
    if found.law is not None:
        print_fit(out, found.law)
    else:
        line(out, f"no law of {found.downstream} against {found.x}: {found.not_fitted}")
    print_excluded(out, found.excluded)
