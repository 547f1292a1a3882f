"""`scaling transfer`: what pre-training buys downstream, and which checkpoint to fine-tune."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from analysis.questions import TransferQuestion
from scaling.cli.options import AsCsv, AsJson
from scaling.cli.runs_input import RunsFrom, print_found, reads_runs
from scaling.rounding import significant

if TYPE_CHECKING:
    from rich.console import Console

    from analysis import Shift, Transfer

__all__ = ["EXAMPLES", "transfer_command"]

EXAMPLES = """
scaling transfer  # fine-tuned runs of the store against the runs they started from

scaling transfer --downstream top1_error --upstream val_loss --json

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
    """Say which checkpoint to fine-tune: is another size best after fine-tuning, at equal compute, and what does choosing by the pre-training metric cost?

    Fine-tuned runs of the store, or of a table with `parent` ids of its own rows,
    are joined with the runs they started from: --upstream and --x are of those.
    Both metrics of a pre-trained cell, its seeds pooled, are fitted at once over
    compute and size; the shift of the best size and epochs has an interval, and
    so has its cost. Where cells are too few or lie along a line, the answer says
    what is not identified.
    """
    from analysis import transfer
    from analysis.downstream.checkpoints import with_parents
    from analysis.reading.source import columns_in

    runs = source.load(of=partial(with_parents, downstream=question.downstream))
    found = transfer(runs, **question.settings | {name: columns_in(runs, getattr(question, name)) for name in ("upstream", "x")})
    print_found(found, runs, _print, json=json, csv=csv)


def _print(out: Console, found: Transfer) -> None:
    from scaling.cli.analysis_tables import print_excluded, print_fit, print_notes
    from scaling.cli.tables import headline, line, table

    headline(out, found.sentence())
    for shift in found.shifts:
        if shift.identified:
            _print_shift(out, found, shift)
    shown = table("checkpoint", found.x, found.upstream, found.downstream, "runs", "")
    shown.columns[-1].justify, shown.columns[0].no_wrap = "left", True
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


def _print_shift(out: Console, found: Transfer, shift: Shift) -> None:
    from scaling.cli.tables import line, table

    level = f"{100 * found.level:g} %"
    shown = table(f"after fine-tuning{f', {shift.family}' if shift.family else ''}", "value", f"{level} low", "high")
    shown.columns[0].justify = "left"
    for label, interval in (
        (f"best size, times that of {found.upstream}", shift.size_ratio),
        (f"best {shift.data_name.replace('_', ' ')}, times those", shift.epochs_ratio),
        (f"what choosing by {found.upstream} costs, {found.downstream}", shift.cost),
    ):
        shown.add_row(label, *(significant(value) for value in (interval.value, interval.low, interval.high)))
    out.print(shown)
    out.print()
    assert shift.table is not None
    optima = table(*(str(name).replace("_", " ") for name in shift.table))
    for row in shift.table.itertuples(index=False):
        optima.add_row(*(significant(value, 3) for value in row))
    out.print(optima)
    line(
        out,
        f"polynomials of degree {shift.degree} in log {found.x} and log size, of both metrics at once, through {shift.cells} pre-trained cells; "
        f"p = {significant(shift.p_value, 2)} of no shift",
    )
    out.print()
