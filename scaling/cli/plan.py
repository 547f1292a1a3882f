"""`scaling plan`: which runs to do next, for a budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analysis.questions import PlanQuestion
from scaling.cli.options import AsCsv, AsJson
from scaling.cli.runs_input import RunsFrom, print_found, reads_runs
from scaling.errors import UsageError
from scaling.rounding import amount, percent, significant

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.console import Console

    from analysis import Halving, NextRuns

__all__ = ["EXAMPLES", "plan_command"]

EXAMPLES = """
scaling plan experiments.yaml --budget 50 --target 110000  # which of its cells to run for 50 core-hours, to know val_loss at 110,000

scaling plan --budget 50 --target 110000                   # of cells like those that were run

scaling plan --price H100=2.5 --budget "500 USD" --target 110000

scaling plan --x cost --budget "500 USD" --target 20000    # to know val_loss at 20,000 USD, also over several accelerators

scaling plan --halve --target 110000                       # where the interval there comes from, and the cheapest way to halve it

scaling plan more.yaml --budget 2 --target 500 --law power --criterion D --json

scaling plan candidates.csv --data runs.csv --budget 50 --target 110000 --csv
"""


@reads_runs()
def plan_command(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="An experiments file, whose cells that are not done are priced; or a table of candidates with core_hours (CSV, Parquet …). "
            "Without: cells like those that were run, up to four times the epochs."
        ),
    ] = None,
    *,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="AMOUNT", help='Core-hours to spend, 50; or money where prices are known, "500 USD".'),
    ] = None,
    halve: Annotated[
        bool,
        typer.Option(
            "--halve", help="Instead of spending a budget: where the interval comes from, and the cheapest way to halve it."
        ),
    ] = False,
    target: Annotated[float, typer.Option("--target", help="Compute, in the unit of --x, at which the metric should be known.")],
    question: PlanQuestion,
    seed: Annotated[int, typer.Option(help="Of the draws behind the intervals.")] = 0,
    source: RunsFrom,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Choose the next runs that most reduce the uncertainty of a prediction, and say how sure it will be afterwards.

    Runs are judged by what the forecast would say after them, under the weighed laws
    together: what they disagree about is uncertainty. With --law that law is taken to
    be right.

    A cell of the file that has no finished run is a candidate, at the price of
    all its runs; where runs were measured, by their speed. Money is at the prices
    of --price, else of the file, else of the runs.

    With --halve it says what part of the interval is seed noise, scatter of cells,
    the form of the law, and the choice of held-out images. It also says what halves
    the interval for least: seeds, images, cells, or runs at a larger compute.
    """
    from orchestrator.planning.candidates import plan

    if (budget is None) != halve:
        raise UsageError(
            "--halve looks for what it takes: it spends no --budget" if halve else "a plan needs a budget to spend",
            hint="leave one of them out" if halve else "--budget 50, or --halve for the cheapest way to halve the interval",
        )
    runs = source.load(question.metric)
    if halve:
        _halve(runs, file, question, source, target=target, seed=seed, json=json, csv=csv)
        return
    settings = {**question.settings, "budget": budget, "target": target, "seed": seed}
    found = plan(runs, file, db=source.db if source.of_a_store else None, **settings)
    print_found(found, runs, _print, json=json, csv=csv)


def _halve(
    runs: DataFrame, file: Path | None, question: PlanQuestion, source: RunsFrom, *, target: float, seed: int, json: bool, csv: bool
) -> None:
    from orchestrator.planning.candidates import halve

    settings = {name: getattr(question, name) for name in ("metric", "x", "level", "pin", "tie")} | {"target": target, "seed": seed}
    if question.law is not None:
        settings["law"] = question.law
    found = halve(runs, file, db=source.db if source.of_a_store else None, **settings)
    print_found(found, runs, _print_halving, json=json, csv=csv)


def _print_halving(out: Console, found: Halving) -> None:
    from analysis.reading.prices import head_of
    from scaling.cli.analysis_tables import print_lights, print_notes
    from scaling.cli.tables import headline, line, table

    headline(out, found.sentence())
    one = found.forecast
    shown = table("the variance of the interval", "share")
    shown.columns[0].justify = "left"
    for part in found.parts:
        shown.add_row(part.words, percent(part.share))
    out.print(shown)
    shown = table("what would narrow it", head_of(one.axes[0], one.currency), "leaves of the width", "halves it")
    shown.columns[0].justify = "left"
    for way in found.ways:
        shown.add_row(way.words, amount(way.cost), significant(way.width, 2), "yes" if way.halves else "no")
    out.print(shown)
    line(out, f"{one.law} law on {one.on_words}: {one.runs_words}, {one.excluded_words}")
    print_lights(out, one.lights)
    print_notes(out, one.notes)
    line(out, "the widths are what the present runs foretell; the value will move within the interval")


def _print(out: Console, found: NextRuns) -> None:
    from scaling.cli.analysis_tables import print_lights, print_notes
    from scaling.cli.tables import headline, line, table

    headline(out, found.sentence())
    percent = f"{100 * found.fit.precision.level:g} %"
    named = [name for name in ("model", "params", "epochs", "seeds", "runs") if name in found.chosen]
    if len(found.chosen):
        priced = [f"cost ({found.currency})"] if found.currency else []
        shown = table("", *named, "core-hours", *priced, f"then {percent} low", "high")
        for number, row in enumerate(found.chosen.to_dict("records"), 1):
            shown.add_row(
                str(number),
                *(_cell(row[name]) for name in named),
                amount(row["core_hours"]),
                *(amount(row["cost"]) for _ in priced),
                significant(row["mean_low"]),
                significant(row["mean_high"]),
            )
        out.print(shown)
    shown = table(f"{found.fit.metric} at {found.target}", "value", f"{percent} low", "high")
    shown.columns[0].justify = "left"
    for label, interval in (
        ("mean, now", found.now),
        ("mean, afterwards", found.after),
        ("one run, now", found.now_run),
        ("one run, afterwards", found.after_run),
    ):
        shown.add_row(label, *(significant(value) for value in (interval.value, interval.low, interval.high)))
    out.print(shown)
    one = found.forecast
    line(out, f"{one.law} law on {one.on_words}: {one.runs_words}, {one.excluded_words}")
    print_lights(out, one.lights)
    line(out, f"{found.weighed_by()}; {found.criterion}-optimal")
    print_notes(out, found.notes)
    for diagnostic in found.diagnostics:
        line(out, f"{diagnostic.code.value}: {diagnostic.message}. {diagnostic.advice}")
    line(out, found.holds_as_far())


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"
