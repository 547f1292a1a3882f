"""`scaling frontier`: the compute-optimal cells."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from analysis.questions import OptimumQuestion
from scaling.cli.options import AsCsv, AsJson
from scaling.cli.output import print_text
from scaling.cli.runs_input import RunsFrom, print_found, print_set_aside, reads_runs
from scaling.errors import ScalingError, UsageError

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.console import Console

    from analysis import Answer, Frontier, Optimum

__all__ = ["EXAMPLES", "frontier_command"]

EXAMPLES = """
scaling frontier  # best model and epochs against core-hours

scaling frontier --x flops --csv > frontier.csv

scaling frontier --optimum --family nfnet  # best size and epochs by three approaches, and when epochs > 1 pay

scaling frontier --optimum --serve 2e12 --finetune 1e9  # the size that costs least with fine-tuning and serving

scaling frontier --metric finetune_top1_error --reference published  # beside ViT-g/14, ViT-G/14, SoViT-400m/14 and NFNet-F7+

scaling frontier --data runs.csv --map core_hours=tpu_hours --metric val_loss --json
"""


_OF_OPTIMUM = ("family", "law", "pin", "tie", "serve", "finetune", "target_loss", "budget", "serve_share")


@reads_runs()
def frontier_command(
    question: OptimumQuestion,
    optimum: Annotated[bool, typer.Option("--optimum", help="Best size and epochs against compute, by three approaches.")] = False,
    objective: Annotated[str, typer.Option(help="With --optimum: of the surface; huber-log is robust to outliers.")] = "log",
    bootstrap: Annotated[int, typer.Option(min=100, help="Draws behind the band and the intervals.")] = 400,
    seed: Annotated[int, typer.Option(help="Of those draws.")] = 0,
    reference: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE.csv", help="Results of others beside it: published, digitised or a CSV; repeatable."),
    ] = None,
    *,
    source: RunsFrom,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Show the compute-optimal frontier: which model and how many epochs are best at each compute.

    A point is a cell (runs alike in all settings) at its best learning rate, the
    mean over its seeds. --optimum fits how the best size and the best epochs grow
    with compute, names what can be run, and says above which compute more than
    one epoch pays. Of its three approaches, the one that forecasts larger budgets
    best from smaller ones makes the headline; where they disagree beyond their
    intervals, it says so.

    --optimum --serve 2e12 names the size that costs least in all, at --target-loss
    or within --budget: training, fine-tuning and serving. Both count examples in
    the unit of examples_seen; one served costs a third of one trained on.

    --reference published shows published ImageNet errors beside the frontier of
    finetune_top1_error against core_hours, converted to the accelerator of the
    runs; digitised is figure 1 of the NFNet study. A CSV of your own has the
    columns name, core_hours (or another --x) and the metric; accelerator,
    source, bound and factor, factor_to, factor_source where wanted. They enter
    no fit.
    """
    from analysis import answer, compute_optimal, frontier, frontier_band, regret
    from analysis.headline import headline as headline_of
    from analysis.reading.accelerator_hours import measured_in
    from analysis.reference_points.beside import accelerators_of, references_of

    which = tuple(reference or ())
    runs = source.load(question.metric, also=accelerators_of(which, question.metric, question.x))
    if optimum and which:
        raise UsageError("--reference is beside the frontier, not beside the optimum", hint="leave out --optimum")
    if not optimum and (alone := [name for name in _OF_OPTIMUM if question.changed.get(name)]):
        raise UsageError(f"--{alone[0].replace('_', '-')} belongs to --optimum", hint="add --optimum")
    if optimum:
        best = compute_optimal(runs, **question.settings, objective=objective, bootstrap=bootstrap, seed=seed)
        print_found(best, runs, partial(_print_optimum, runs), json=json, csv=csv)
        return
    metric, x, level = question.metric, question.x, question.level
    found = frontier(runs, metric=metric, x=x)
    beside = references_of(found, which, source.convert or (), measured_in(runs))
    band = frontier_band(found, draws=bootstrap, level=level, seed=seed)
    if csv:
        print_text(found.to_csv(band))
        print_set_aside(runs, found.excluded)
        return
    cost = regret(runs, metric=metric, x=x, level=level, bootstrap=bootstrap, seed=seed)
    said: Answer | None = None
    try:
        said = answer(runs, metric=metric, x=x, level=level)
    except ScalingError as error:
        no_law = f"no law yet: {error}; {error.hint}"

    def show(out: Console, found: Frontier) -> None:
        from scaling.cli.analysis_tables import print_diagnostics, print_excluded, print_frontier, print_notes, print_points
        from scaling.cli.reference_table import print_references
        from scaling.cli.tables import headline

        headline(out, no_law if said is None else headline_of(said, cost))
        if said is None or cost.is_unknown:
            out.print(cost.sentence(), soft_wrap=True, markup=False, highlight=False)
            out.print()
        print_frontier(out, found)
        print_points(out, found, band)
        if beside is not None:
            print_references(out, beside)
        try:
            best = compute_optimal(runs, metric=metric, x=x, level=level, bootstrap=bootstrap, seed=seed)
            out.print(best.sentence(), soft_wrap=True, markup=False)
        except ScalingError as error:
            out.print(f"best size and epochs: {error}; {error.hint}", soft_wrap=True, markup=False)
        out.print("`scaling frontier --optimum` shows the three approaches side by side", highlight=False)
        out.print()
        print_notes(out, found.notes)
        print_diagnostics(out, found.diagnostics)
        print_excluded(out, found.excluded)

    print_found(found, runs, show, json=json, csv=False, band=band, answer=said, regret=cost, references=beside)


def _print_optimum(runs: DataFrame, out: Console, best: Optimum) -> None:
    from analysis.unfinished import unfinished
    from scaling.cli.analysis_tables import print_diagnostics, print_excluded, print_notes
    from scaling.cli.optimum_table import print_optimum

    print_optimum(out, best, is_complete=unfinished(runs) is None)
    print_notes(out, best.notes)
    print_diagnostics(out, best.diagnostics)
    print_excluded(out, best.excluded)
