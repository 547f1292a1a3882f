"""`scaling fit`: the law of a metric against compute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args

import typer

from scaling.cli.options import AsCsv, AsJson
from scaling.cli.output import console, print_text
from scaling.cli.runs_input import (
    Level,
    Metric,
    RunsFrom,
    columns_in,
    print_answer,
    print_input,
    print_set_aside,
    reads_runs,
    refuse_both,
)
from scaling.errors import UnknownName

if TYPE_CHECKING:
    from pandas import DataFrame

    from analysis import Fit

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
On = Literal["frontier", "all", "both"]
_CHOICES = get_args(On)
_X = "Column it is explained by: core_hours (default), flops, params …; or one for each input of a surface: params,examples_seen."
_LAW = (
    "power, power-floor, saturating, hill, broken, chinchilla, data-constrained, or auto (the forecast, which may average laws); repeatable. "
    "Default: the one that forecasts the larger runs best from the smaller."
)
_ON = "frontier: the compute-optimal cells; all: every cell; both. Default: the frontier of a grid (sizes × epochs), else all; as JSON and CSV both."


@reads_runs()
def fit_command(
    metric: Metric = "val_loss",
    x: Annotated[str | None, typer.Option("--x", help=_X)] = None,
    law: Annotated[list[str] | None, typer.Option(help=_LAW)] = None,
    on: Annotated[str | None, typer.Option(help=_ON)] = None,
    objective: Annotated[str, typer.Option(help="log, huber-log (robust to outliers), relative or mse.")] = "log",
    envelope: Annotated[float | None, typer.Option(help="0 … 1; below 0.5 draws the law towards the lowest runs.")] = None,
    weights: Annotated[str | None, typer.Option(help="Column by which the objective counts runs. Default: all alike.")] = None,
    intervals: Annotated[str, typer.Option(help=_INTERVALS)] = "auto",
    level: Level = 0.95,
    bootstrap: Annotated[int, typer.Option(min=100, help="Draws, where intervals are of a bootstrap.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of those draws.")] = 0,
    *,
    source: RunsFrom,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Fit the law of a metric against compute, with intervals.

    Prints what the law says in a sentence; its coefficients with their intervals, what the data could not say, how well it forecasts, which runs it was made from and
    which were left out and why; the plain power law beside it; then the best model and epochs against compute.
    """
    refuse_both(json, csv)
    if on is not None and on not in _CHOICES:
        raise UnknownName("choice for --on", on, _CHOICES)
    from analysis import fit_all, fits_payload
    from analysis.as_csv import as_csv

    runs = source.load()
    settings: dict[str, Any] = {"metric": columns_in(runs, metric), "objective": objective, "envelope": envelope}
    settings |= {"x": None if x is None else columns_in(runs, x)}
    settings |= {
        "weights": None if weights is None else columns_in(runs, weights),
        "intervals": intervals,
        "level": level,
        "bootstrap": bootstrap,
        "seed": seed,
    }
    if on is None and (json or csv):
        on = "both"
    fits, not_fitted = fit_all(runs, laws=law or (), on=cast(On | None, on), **settings)

    if json:
        print_answer(fits_payload(fits, not_fitted), runs)
    elif csv:
        print_text(as_csv(_coefficients(fits)))
        print_set_aside(runs, max(fits, key=lambda fit: len(fit.excluded)).excluded)
    else:
        _print(runs, fits, not_fitted, settings)


def _coefficients(fits: list[Fit]) -> DataFrame:
    from pandas import DataFrame

    return DataFrame(
        {
            "law": fit.law,
            "on": fit.on,
            "coefficient": name,
            "value": value,
            "low": fit.interval()["low"][name],
            "high": fit.interval()["high"][name],
            "status": fit.status.value,
            "identified": fit.lights.identified.ok,
            "forecasts_well": fit.lights.forecasts_well.ok,
            "chosen": fit.chosen,
            "forecast_error": fit.forecast_error,
            "runs_used": fit.runs_used,
        }
        for fit in fits
        for name, value in fit.coefficients.items()
    )


def _print(runs: DataFrame, fits: list[Fit], not_fitted: list[dict[str, object]], settings: dict[str, Any]) -> None:
    from rich.text import Text

    from analysis import frontier
    from scaling.cli.analysis_tables import print_excluded, print_fit, print_frontier, print_plain

    out = console()
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
        for entry in not_fitted:
            out.print(Text(f"{entry['law']} law, {entry['on']}: not fitted: {entry['reason']}", "yellow"), soft_wrap=True)
        if not_fitted:
            out.print()
    compute = next((fit.x for fit in fits if isinstance(fit.x, str)), None)
    if compute is not None:  # a surface has no frontier of its own
        print_frontier(out, frontier(runs, metric=settings["metric"], x=compute))
    print_excluded(out, max(laws or fits, key=lambda fit: len(fit.excluded)).excluded)
    print_input(out, runs)
