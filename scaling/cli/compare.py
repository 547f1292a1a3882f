"""`scaling compare`: families or recipes at equal compute."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from analysis.questions import CompareQuestion
from scaling.cli.options import AsCsv, AsJson
from scaling.cli.runs_input import RunsFrom, print_found, reads_runs
from scaling.rounding import as_factor, percent, significant

if TYPE_CHECKING:
    from rich.console import Console

    from analysis import Comparison, PairwiseComparison

__all__ = ["EXAMPLES", "compare_command"]

EXAMPLES = """
scaling compare --by family  # is one better at equal core-hours, or is that noise? of three, all pairs

scaling compare --by sam --x flops  # runs with and without SAM, of one family or of all

scaling compare --by recipe --where family=vit  # by all settings in which runs differ

scaling compare --by batch_size --a 256 --b 1024 --x flops --json

scaling compare --data runs.csv --price H100=2.5 --price TPU-v4=3.22 --x cost  # at equal money

scaling compare --data runs.csv --map core_hours=tpu_hours --by optimizer --a adam --b sgd --csv
"""


@reads_runs()
def compare_command(
    question: CompareQuestion,
    *,
    source: RunsFrom,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Compare families or recipes at equal compute: who is better, by how much, and is it noise?

    The better side is the one at the largest shared compute, each side at its
    best size and epochs. Where the sides cross, the compute at which one
    overtakes the other is said with its interval. Cells that share a budget are
    paired, so that what both sides share cancels. Says also how much more
    compute the worse side needs to equal the better one, and what the average
    over the shared budgets is. Where no difference shows, it says which one
    would have shown with a power of 80 %.

    Of three to eight sides all pairs are compared, and p-values are corrected
    for their number (Holm); with --a alone that side and each other.

    Compute is left out at which one side's best is the largest (smallest) size
    that it tried, while the other gains by larger (smaller) ones. Where none is
    left, no winner is named. Where the sides tried unlike numbers of learning
    rates, as many count in each cell of both, since the best of more is low by
    luck.
    """
    from analysis import Comparison, compare_sides

    runs = source.load(question.metric)
    found = compare_sides(runs, **question.settings)
    print_found(found, runs, _print if isinstance(found, Comparison) else _print_pairs, json=json, csv=csv)


def _print_pairs(out: Console, found: PairwiseComparison) -> None:
    from analysis.selection import excluded_words
    from scaling.cli.analysis_tables import print_diagnostics, print_excluded, print_notes
    from scaling.cli.tables import headline, line, table

    headline(out, found.sentence())
    shown = table("pair", f"{found.metric} ratio", "p", "speed-up", "better")
    for number in (0, 4):
        shown.columns[number].justify = "left"
    for pair, better, adjusted in zip(found.pairs, found.better, found.p_adjusted, strict=True):
        shown.add_row(
            f"{pair.a} / {pair.b}",
            pair.difference_at_largest.exp().words(4),
            significant(adjusted, 2),
            pair.speed_up_at_largest.words(),
            better or ("withheld" if pair.withheld else "–"),
        )
    out.print(shown)
    least, most = (percent(end([found.detectable(pair) for pair in found.pairs])) for end in (min, max))
    line(out, f"p: corrected for {len(found.pairs)} pairs; speed-up: {found.x} that the first needs to equal the second, times")
    line(
        out, f"a true difference of {most if least == most else f'{least} to {most}'} is found with 80 % power after the correction"
    )
    line(out, f"{shlex.join(['--a', found.pairs[0].a, '--b', found.pairs[0].b])} shows a pair whole")
    line(out, excluded_words(found.excluded))
    out.print()
    print_notes(out, tuple(dict.fromkeys(note for pair in found.pairs for note in pair.notes)))
    print_diagnostics(out, tuple(dict.fromkeys(entry for pair in found.pairs for entry in pair.diagnostics)))
    print_excluded(out, found.excluded)


def _print(out: Console, found: Comparison) -> None:
    from analysis.reading.prices import head_of
    from analysis.selection import excluded_words
    from scaling.cli.analysis_tables import print_diagnostics, print_excluded, print_notes
    from scaling.cli.tables import headline, line, table

    headline(out, found.sentence())
    found = found.in_words()
    shown = table(f"{found.a} against {found.b}", "value", f"{100 * found.level:g} % low", "high", "p")
    shown.columns[0].justify = "left"
    end = f"at {significant(found.found.shared[1], 3)} {found.unit}"
    needed = f"{found.x} {found.a} needs to equal {found.b}"
    for label, interval, p in (
        (f"{found.metric} ratio, {end}", found.difference_at_largest.exp(), found.p_value_at_largest),
        (f"{found.metric} ratio, along the frontier", found.difference_on_frontier.exp(), found.p_value_on_frontier),
        (f"{found.metric} ratio, mean of the budgets", found.ratio, found.p_value),
        ("change of log ratio per e-fold", found.trend, found.p_value_trend),
        (f"{needed}, {end}: times", found.speed_up_at_largest, found.p_value_at_largest),
        *((f"the same, at {significant(at, 3)} {found.unit}", needs, None) for at, needs in found.speed_ups()[:-1]),
        ("the same, mean", found.speed_up, found.p_value),
    ):
        ends = (significant(value) for value in (interval.value, interval.low, interval.high))
        shown.add_row(label, *ends, "" if p is None else significant(p, 2))
    crossing = found.crossing
    if crossing.overtakes is not None:
        ends = (significant(value) for value in (crossing.at.value, crossing.at.low, crossing.at.high))
        shown.add_row(
            f"{head_of(found.x, found.currency)} from which {crossing.overtakes} is better{'' if crossing.proven else ', not proven'}",
            *ends,
            "",
        )
    out.print(shown)
    kind = "budgets, each a pair" if found.found.design == "paired" else "cells, fitted jointly: too few share a budget"
    low, high = (significant(value, 3) for value in found.found.shared)
    line(
        out,
        f"{found.found.pairs} {kind}, from {low} to {high} {found.unit}; noise of one {as_factor(found.found.noise_std)} (one sd)",
    )
    line(out, f"a true difference of {percent(found.detectable)} {end} is found with 80 % power")
    line(out, f"{found.runs_used} runs, {excluded_words(found.excluded)}")
    out.print()
    print_notes(out, found.notes)
    print_diagnostics(out, found.diagnostics)
    print_excluded(out, found.excluded)
