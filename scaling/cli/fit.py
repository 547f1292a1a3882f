"""`scaling fit`: the law of a metric against compute."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analysis.questions import FitsQuestion
from scaling.cli.options import AsCsv, AsJson
from scaling.cli.runs_input import RunsFrom, print_found, reads_runs
from scaling.errors import UnknownName

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.console import Console

    from analysis.fitting.fit_all import Fits

__all__ = ["EXAMPLES", "fit_command"]

EXAMPLES = """
scaling fit --metric val_loss  # the law that forecasts best, and the plain power law beside it

scaling fit --x flops --law power --on frontier --json

scaling fit --x params,examples_seen --law chinchilla --objective huber-log

scaling fit --data runs.csv --map core_hours=tpu_v4_core_hours --map error=top1_error_pct --metric error

scaling fit --data runs.parquet --map core_hours=gpu_seconds --unit core_hours=seconds*8

scaling fit --data isoflop.csv --map examples_seen=flops --unit "examples_seen=FLOP/(6*params)" --x params,examples_seen --law chinchilla
"""

_INTERVALS = "auto: t intervals, of huber-log and with --envelope a bootstrap; pairs or wild: that bootstrap over cells."
_CHOICES = ("frontier", "all", "both")


@reads_runs(x=None, on=None)
def fit_command(
    question: FitsQuestion,
    envelope: Annotated[float | None, typer.Option(help="0 … 1; below 0.5 draws the law towards the lowest runs.")] = None,
    weights: Annotated[str | None, typer.Option(help="Column by which the objective counts runs. Default: all alike.")] = None,
    intervals: Annotated[str, typer.Option(help=_INTERVALS)] = "auto",
    *,
    source: RunsFrom,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Fit the law of a metric against compute, with intervals.

    Prints in a sentence what the law says. Then come its coefficients with their
    intervals, what the data could not say, and how well it forecasts; and which
    runs it was made from, and which were left out and why. The plain power law is
    printed beside it; the best model and epochs against compute come last.
    """
    settings: dict[str, Any] = {**question.settings, "envelope": envelope, "weights": weights, "intervals": intervals}
    laws, on = settings.pop("law"), settings.pop("on")
    if on is not None and on not in _CHOICES:
        raise UnknownName("choice for --on", on, _CHOICES)
    from analysis import fit_all

    runs = source.load(question.metric)
    if on is None and (json or csv):
        on = "both"
    found = fit_all(runs, laws=laws or (), on=on, **settings)
    print_found(found, runs, partial(_print, runs, question.metric), json=json, csv=csv)


def _print(runs: DataFrame, metric: str, out: Console, found: Fits) -> None:
    from rich.text import Text

    from analysis import frontier
    from scaling.cli.analysis_tables import print_excluded, print_fit, print_frontier, print_plain

    fits = found.fits
    laws = [fit for fit in fits if fit.chosen]
    if laws:
        out.print(Text(laws[0].answer.sentence, "bold"), soft_wrap=True)
    for law in laws:
        print_fit(out, law)
        plain = next((fit for fit in fits if fit.on == law.on and fit.law == "power" and not fit.chosen), None)
        print_plain(out, law, plain)
    if not laws:  # they were named
        for fit in fits:
            print_fit(out, fit)
        for entry in found.not_fitted:
            out.print(Text(f"{entry['law']} law, {entry['on']}: not fitted: {entry['reason']}", "yellow"), soft_wrap=True)
        if found.not_fitted:
            out.print()
    compute = next((fit.x for fit in fits if isinstance(fit.x, str)), None)
    if compute is not None:  # a surface has no frontier of its own
        print_frontier(out, frontier(runs, metric=metric, x=compute))
    print_excluded(out, max(laws or fits, key=lambda fit: len(fit.excluded)).excluded)
