"""`fit` turns a table of runs into a law with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

import numpy as np
import pandas as pd

from analysis.automatic import AUTO, automatic, candidates, letters_of, named
from analysis.backtest.windows import HORIZON
from analysis.cells import assign_clusters, cells_of
from analysis.checkpoints import checkpoints_of
from analysis.diagnostics import diagnose
from analysis.fitting.estimate import Precision, Sample
from analysis.fitting.estimator import INTERVALS
from analysis.fitting.lights import lights_of
from analysis.fitting.objective import objective_named
from analysis.fitting.result import Fit
from analysis.interval import check_level
from analysis.laws import law_named, law_names
from analysis.laws.axes import AXIS_COLUMNS, AXIS_NAMES
from analysis.laws.constrained import Pins, Ties, constrained, pins_of, refuse_unnamed, ties_of
from analysis.laws.law import Law
from analysis.pareto import frontier
from analysis.reading.source import source_of
from analysis.selection import LEAST, MOST, Excluded, count_hint, excluded_words
from analysis.sentence import answer_of
from analysis.unfinished import takes_runs
from scaling.errors import DataError, TooFewPoints, UnknownName, UsageError
from scaling.rounding import significant

__all__ = ["FitSettings", "columns_of", "fit"]


class FitSettings(TypedDict, total=False):
    """Holds the settings of `fit` that functions which fit several laws, or choose one, hand on to it."""

    metric: str
    objective: str
    cell: Sequence[str]
    clusters: Sequence[str]
    bootstrap: int
    level: float
    seed: int
    weights: str | Sequence[float] | None
    envelope: float | None
    intervals: Literal["auto", "pairs", "wild"]
    horizon: float
    pin: Pins
    tie: Ties


@takes_runs
def fit(
    runs: pd.DataFrame,
    *,
    metric: str = "val_loss",
    x: str | Sequence[str] | None = None,
    law: str = "auto",
    objective: str = "log",
    on: Literal["all", "frontier"] = "all",
    cell: Sequence[str] = (),
    clusters: Sequence[str] = (),
    bootstrap: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    weights: str | Sequence[float] | None = None,
    envelope: float | None = None,
    intervals: Literal["auto", "pairs", "wild"] = "auto",
    horizon: float = HORIZON,
    pin: Pins = (),
    tie: Ties = (),
    without: Sequence[str] = (),
) -> Fit:
    """Fit a law of `metric` against `x`.

    >>> law = scaling.fit(runs, x="train_flops", law="power", on="frontier")
    >>> bool(law.interval().loc["a", "low"] < law.coefficients["a"] < law.interval().loc["a", "high"])
    True
    >>> list(scaling.fit(runs, x=("params", "examples_seen"), law="chinchilla").coefficients)
    ['E', 'A', 'alpha', 'B', 'beta']

    Args:
        runs: one row a run, columns as in `scaling.columns`; see `analysis.frontier` for the optional ones.
        metric: any positive column that is better when lower.
        x: a positive column for each input of the law, in the order of its formula, or one text with commas between them. None:
            `core_hours` for compute, `params`, `examples_seen` and `unique_examples` for N, D and U. `core_hours` is refused for runs from
            several kinds of accelerator.
        law: one of `analysis.law_names()`; or `auto`, the forecast: the law, or the average of laws of these inputs, that forecasts the
            larger of the runs best from the smaller ones, see `analysis.automatic`. With too few budgets to tell it is the plainest law.
            `analysis.choose_law` gives the one form whose coefficients to read.
        objective: `log`: squares of log residuals, i.e. of relative errors; `huber-log`: the same, robust to outliers; `relative`:
            squares of 1 − law/metric; `mse`: plain squares.
        on: `frontier`: the runs (every seed) of the compute-optimal cells; the interval takes the choice of cells as given. `all`:
            every cell. In both a cell is represented by its best learning rate (lowest mean over seeds): runs at other rates
            measure the search for it, not what compute buys, and are listed in `excluded`. A surface is fitted to `all`: the
            frontier is one of compute.
        cell: columns that tell cells apart besides the settings of `analysis.design_columns`: what is averaged.
        clusters: columns whose values tell apart what is resampled together; none: the runs of a cell. A table with several rows a run
            (its checkpoints) is reduced to the last of each. Where its progress is an input or `clusters` names its runs, all rows are
            fitted and runs are resampled whole.
        bootstrap: draws, for laws whose intervals need them.
        level: nominal coverage of the intervals.
        seed: of the draws; equal input and seed give equal output.
        weights: by which the objective counts runs: a column, or a number for each row of `runs`. None: all alike.
        envelope: between 0 and 1; below 0.5 the law is drawn towards the lowest runs, see `Objective`.
        intervals: `auto`: t intervals, profiled for coefficients, for sums of squares, and the bootstrap for robust objectives; `pairs`
            or `wild`: that bootstrap over cells, see `analysis.fitting.bootstrap`; `wild` of sums of squares alone.
        horizon: of `auto`: its forecasts count up to so many times the compute that they were made from.
        pin: coefficients that are held at a number, by their letters, `{"E": 1.69}`. They have no interval, and what the others may be
            takes them as known. Of a law that is named.
        tie: sets of letters that share one number, `[("alpha", "beta")]`: exponents, or scales, or numbers of repeats.
        without: of `auto`: names of laws that take no part.

    Raises:
        TooFewPoints: fewer distinct inputs than coefficients + 1, or too few of one input to know its coefficients; says how many more.
        UnknownName: no such law, objective or column.
        DataError: a metric beyond 1e±50 in every run; weights that are not positive.
        UsageError: inputs that do not go with the law; what cannot be pinned or tied; and what `analysis.frontier` raises.
    """
    automatically = law == AUTO
    pins, ties = pins_of(pin), ties_of(tie)
    refuse_unnamed(law, pins, ties)
    if automatically:
        letters = letters_of((AXIS_COLUMNS["C"],) if x is None else columns_of(x))
        if unknown := next((name for name in without if name not in law_names()), None):
            raise UnknownName("law", unknown, law_names())
        if not (taking_part := candidates(letters, without)):
            raise UsageError("no law is left to choose from", hint="leave one out less: without")
        smallest = taking_part[0]
    else:
        smallest = constrained(law_named(law), pins, ties)
        letters = smallest.axes
    aim = objective_named(objective, envelope)
    axes = _axes(law, letters, x)
    if on not in ("all", "frontier"):
        raise UnknownName("choice of runs", on, ("all", "frontier"))
    if on == "frontier" and len(letters) > 1:
        raise UsageError(
            f"law {law} is of {' and '.join(axes)}, but the frontier is one of compute",
            hint="fit a surface to all runs (--on all), or a law of one axis to the frontier (--law power --x core_hours)",
        )
    check_level(level)
    if intervals not in INTERVALS:
        raise UnknownName("kind of intervals", intervals, INTERVALS)
    if intervals == "wild" and not aim.is_least_squares:
        raise UsageError(
            "the wild bootstrap is for sums of squares: of a robust objective its nominal 95 % intervals held 83–90 %",
            hint="--intervals pairs, the default of such objectives",
        )
    if bootstrap < 100:
        raise UsageError(f"{bootstrap} bootstrap draws are too few for an interval", hint="1000 is the default, 100 the least")

    clusters = clusters or source_of(runs).get("clusters", ())
    checkpoints = checkpoints_of(runs, asked=(metric, *axes), cell=cell)
    curve = checkpoints is not None and (checkpoints.is_asked_for(axes) or set(checkpoints.run) <= {*clusters})
    if curve and checkpoints is not None and not clusters:
        clusters = checkpoints.run
    used, excluded, notes = _used(_with_weights(runs, weights), metric, axes, cell, on, curve)
    cluster = assign_clusters(used, clusters)
    sample = Sample(
        inputs=used[list(axes)].to_numpy(float).T,
        y=used[metric].to_numpy(float),
        cell=_in_order(used["cell"]),
        weights=used[_WEIGHT].to_numpy(float) if weights is not None else np.ones(len(used)),
        cluster=_in_order(cluster),
    )
    _require_enough(smallest, sample, axes, on, excluded, source_of(runs), clusters)
    _require_ordinary_size(sample.y, metric)
    precision = Precision(level=level, bootstrap=bootstrap, seed=seed)
    if automatically:
        made = automatic(sample, letters, objective=aim, precision=precision, intervals=intervals, horizon=horizon, without=without)
    else:
        made = named(smallest, sample, objective=aim, precision=precision, intervals=intervals)
    return Fit(
        law=made.law,
        objective=objective,
        on=on,
        metric=metric,
        x=axes if len(axes) > 1 else axes[0],
        estimate=made.estimate,
        precision=precision,
        runs=used.drop(columns=_WEIGHT, errors="ignore").reset_index(drop=True),
        cells=sample.cells,
        clusters_used=sample.clusters,
        excluded=excluded,
        diagnose=diagnose,
        judge=lights_of,
        say=answer_of,
        members=made.members,
        backtest=made.backtest,
        table=runs,
        cell=tuple(cell),
        clusters=tuple(clusters),
        notes=(*notes, *made.notes),
        weights=sample.weights,
        envelope=envelope,
        pin=pins,
        tie=ties,
        without=tuple(without),
    )


_WEIGHT = "_weight"


def columns_of(x: str | Sequence[str]) -> tuple[str, ...]:
    """Return the column names of `x`, given one by one or as one text with commas, `"params, examples_seen"`."""
    return tuple(name.strip() for name in x.split(",")) if isinstance(x, str) else tuple(x)


def _axes(law: str, letters: Sequence[str], x: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the column of each input of the law: those of `x`, else the usual ones. Raises `UsageError` where their number differs."""
    if x is None:
        return tuple(AXIS_COLUMNS[letter] for letter in letters)
    axes = columns_of(x)
    usual = [AXIS_COLUMNS[letter] for letter in letters]
    if sorted(axes) == sorted(usual) and list(axes) != usual:
        raise UsageError(f"law {law} is of {', '.join(usual)}, in this order", hint=f"--x {','.join(usual)}")
    if len(axes) == len(letters):
        return axes
    inputs = ", ".join(f"{letter} {AXIS_NAMES[letter]}" for letter in letters)
    raise UsageError(
        f"law {law} is of {inputs}; x names {len(axes)} column{'' if len(axes) == 1 else 's'} ({', '.join(axes)})",
        hint=f"--x {','.join(usual)}",
    )


def _with_weights(runs: pd.DataFrame, weights: str | Sequence[float] | None) -> pd.DataFrame:
    """Add the weight of each run, divided by the mean weight, as a column of its own. None: return the table as it is."""
    if weights is None:
        return runs
    if isinstance(weights, str) and weights not in runs:
        raise UnknownName("column", weights, known := [str(name) for name in runs], hint=f"weights: one of {', '.join(known)}")
    values = pd.to_numeric(runs[weights], errors="coerce") if isinstance(weights, str) else np.asarray(weights, dtype=float)
    if len(values) != len(runs):
        raise UsageError(f"{len(values)} weights for {len(runs)} runs", hint="give one weight for each row")
    if not (np.isfinite(values) & (values > 0)).all():
        raise DataError("weights must be positive numbers", hint="leave a run out by its row, not by a weight of zero")
    return runs.assign(**{_WEIGHT: np.asarray(values) / np.mean(values)})


def _in_order(numbers: pd.Series) -> np.ndarray:
    """Number the values from 0 in the order in which they first appear, so that draws depend on the runs and not on names."""
    return pd.factorize(numbers)[0]


def _used(
    runs: pd.DataFrame, metric: str, axes: Sequence[str], cell: Sequence[str], on: str, curve: bool
) -> tuple[pd.DataFrame, tuple[Excluded, ...], tuple[str, ...]]:
    if on == "all":
        found = cells_of(runs, metric=metric, x=axes, cell=cell, curve=curve)
        kept, excluded, notes = found.runs, found.excluded, found.notes
    else:
        cells = frontier(runs, metric=metric, x=axes[0], cell=cell)
        notes = cells.notes
        candidates = cells.runs.sort_values([*axes, metric, "id"], kind="stable")
        optimal = candidates["cell"].isin(cells.frontier_runs["cell"])
        kept, others = candidates[optimal], candidates.loc[~optimal, "id"].tolist()
        excluded = cells.excluded + tuple(Excluded(run, "its cell is not on the frontier", "not on the frontier") for run in others)
    # In an order that does not depend on the table's, so that the bootstrap does not either.
    return kept.sort_values([*axes, metric, "id"], kind="stable"), excluded, notes


def _require_ordinary_size(y: np.ndarray, metric: str) -> None:
    for value in (float(y.min()), float(y.max())):
        if not LEAST <= value <= MOST:
            raise DataError(
                f"{metric} is {significant(value, 3)} in a run: laws are fitted to numbers between {LEAST:g} and {MOST:g}",
                hint="give it in another unit, e.g. divided by its largest value",
            )


def _require_enough(
    law: Law,
    sample: Sample,
    axes: Sequence[str],
    on: str,
    excluded: Sequence[Excluded],
    source: Mapping[str, object],
    clusters: Sequence[str],
) -> None:
    # Seeds of a cell differ a little in measured core-hours, but they are one budget.
    distinct, need = min(sample.cells, np.unique(sample.inputs, axis=1).shape[1]), law.least_points
    have = min(sample.clusters, distinct)
    if have < need:
        more, are, is_more = need - have, "is" if have == 1 else "are", "is" if need - have == 1 else "are"
        where = " on the frontier" if on == "frontier" else ""
        start = f"law {law.name} has {len(law.free)} {'free ' if law.pinned else ''}coefficients and needs {need}"
        if have < distinct:  # clusters are what is too few
            what = (
                f"clusters by {' and '.join(clusters)}, which are resampled whole; there {are} {have}, of {distinct} cells{where}"
            )
            cure = f"cluster by what has at least {need} values; or leave --clusters out, where the runs of a cluster do not err together"
        else:
            what = f"cells of distinct {' and '.join(axes)}{where}; there {are} {have}"
            cure = (
                "add epochs or models (a table: rows; an experiments file: `scaling submit` it again, `scaling runs` says why runs are missing)"
                + ("; or fit all runs: --on all" if on == "frontier" else "")
            )
        raise TooFewPoints(
            f"{start} {what} ({excluded_words(excluded)}): {more} more {is_more} needed",
            have=have,
            need=need,
            hint=count_hint(excluded, source) or cure,
        )
    if law.is_surface:
        _require_both_ways(law, sample, axes)


def _require_both_ways(law: Law, sample: Sample, axes: Sequence[str]) -> None:
    """Raise `TooFewPoints` unless each input has three values: with fewer, its power does not show beside a floor and another input."""
    for coefficient, exponent, axis in law.powers:
        have = len(np.unique(sample.inputs[axis]))
        if have < 3:
            at = "one value" if have == 1 else "two values"
            raise TooFewPoints(
                f"the runs have {at} of {axes[axis]}, and law {law.name} needs 3 to know {coefficient} and {exponent}: "
                f"{3 - have} more {'is' if have == 2 else 'are'} needed",
                have=have,
                need=3,
                hint=f"add runs at other {axes[axis]}, or fit a law of one axis: --law power-floor --x {axes[1 - min(axis, 1)]}",
            )
