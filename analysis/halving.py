"""What would help most: which part of a forecast's interval comes from where, and the cheapest way to halve it.

The variance of the forecast at a target has these parts, each a share of the whole:

- `seeds`: noise of runs about their cell. Where it explains all of the scatter of cells about the law, the laws' interval is of it alone:
  trends of residuals and errors of the back-test are then what noise looks like. Else it has the share of it that it has of the scatter.
- `cells`: the scatter of cells that seeds do not explain, as far as it moves the law: `Σ_g (∂ log L/∂ log y_g)² σ² / n_g` over cells g. Where
  no cell was repeated, it holds the noise of the seeds.
- `form`: the rest. It is by what the law's form may be off, as residual trend, disagreement of laws, and the back-test say. All that the
  forecast of the recent runs adds to the interval is of it.
- `evaluation`: that the held-out images are few. They are the same for all runs, so that this part moves all losses together, and no number
  of runs averages it out. The interval of the loss on these very images does not hold it; that of the loss on images like them does.

What a way would leave of the interval follows from the parts. Seeds and images divide their part by how many times there are of them. Runs up
to a larger compute bring the target nearer: the interval is then taken to be what it is now at as many times the largest compute.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from analysis.automatic import AUTO
from analysis.backtest.forecast import ForecastEstimate
from analysis.choice import natural_choice
from analysis.fitting.fit import fit
from analysis.fitting.result import Fit
from analysis.interval import Interval
from analysis.laws.constrained import Pins, Ties
from analysis.numbers import finite, records
from analysis.planning.neighbours import neighbouring_cells
from analysis.planning.next_runs import plan
from analysis.planning.result import NextRuns, log_width
from analysis.reading.prices import currency_of, unit_of
from analysis.selection import Excluded, excluded_payload
from analysis.unfinished import takes_runs
from scaling.errors import ScalingError, UsageError
from scaling.rounding import percent, significant

__all__ = ["Halving", "Part", "Way", "halve"]

STANDARD_ERROR = "val_loss_standard_error"
"""The column that says how sure the loss of a run is, by the spread of the losses of its held-out examples."""

_HALF = 0.5
_MOST_TIMES, _SOME_TIMES = 100.0, 4.0
_BUDGETS = (3.0, 1.0, 0.3, 0.1)
"""Budgets of a plan that are tried, as parts of what the runs took; the largest first, since where that does not do, none does."""
_STEP = 2.0
_PLACES = 49
_ROUNDING = 1e-9  # of a difference of variances that are equal but for it


@dataclass(frozen=True)
class Part:
    """Holds a part of the variance of a forecast. share: of the whole, 0 … 1; NaN where the runs do not tell."""

    name: Literal["seeds", "cells", "form", "evaluation"]
    share: float
    words: str


@dataclass(frozen=True, eq=False)
class Way:
    """Holds a way to narrow the interval.

    name: `seeds`: more seeds in every cell; `images`: more held-out images; `larger`: runs up to a larger compute; `cells`: cells that a plan
    chooses among those like the ones that were run.
    times: by how many times there are then seeds or images, or by how many times the largest compute grows; NaN of cells.
    cost: of the new runs, in the unit of x; 0 of images, on which nothing is trained.
    width: what it leaves of the interval's width, in logarithms. halves: whether that is half of it or less.
    chosen: of `cells`, the rows of the plan. images: by how many times the held-out images grow besides; 1 where they stay.
    """

    name: Literal["seeds", "images", "larger", "cells"]
    times: float
    cost: float
    width: float
    words: str
    chosen: pd.DataFrame | None = None
    images: float = 1.0

    @property
    def halves(self) -> bool:
        return self.width <= _HALF * (1 + 1e-3)

    def to_dict(self) -> dict[str, object]:
        return {
            "way": self.name,
            "times": finite(self.times),
            "images": finite(self.images),
            "cost": finite(self.cost),
            "width": finite(self.width),
            "halves": self.halves,
            "words": self.words,
            "chosen": [] if self.chosen is None else records(self.chosen),
        }


@dataclass(frozen=True, eq=False)
class Halving:
    """Holds where the interval of a forecast comes from, and how to halve it.

    forecast: gives the value at the target. interval: of the mean there, for images like those held out. on_these: without the part of them.
    parts: they add up to 1. ways: the cheapest that halves first, then those that do not, by what they leave.
    """

    target: float
    forecast: Fit
    interval: Interval
    on_these: Interval
    parts: tuple[Part, ...]
    ways: tuple[Way, ...]

    @property
    def cheapest(self) -> Way | None:
        """Return the cheapest way that halves the interval; None where none does."""
        return next((way for way in self.ways if way.halves), None)

    @property
    def excluded(self) -> tuple[Excluded, ...]:
        """Return the runs that the forecast left out."""
        return self.forecast.excluded

    def share(self, name: str) -> float:
        """Return the share of a part."""
        return next(part.share for part in self.parts if part.name == name)

    def sentence(self) -> str:
        """Write the answer in words."""
        metric, at = self.forecast.metric, f"{significant(self.target, 3)} {unit_of(self.forecast.axes[0], self.forecast.currency)}"
        parts = sorted((part for part in self.parts if part.share > 0.005), key=lambda part: -part.share)
        whence = ", ".join(f"{percent(part.share)} {part.words}" for part in parts)
        start = f"{metric} at {at} is {self.interval.words(4)}; of that variance {whence}."
        best = self.cheapest
        if best is not None:
            return f"{start} The cheapest way to halve the interval: {best.words}."
        if not self.ways:
            return f"{start} No way is known to narrow it."
        return f"{start} Nothing that was looked at halves it; most helps {self.ways[0].words}, which leaves {significant(self.ways[0].width, 2)} of the width."

    def to_dict(self) -> dict[str, object]:
        """Return the answer as JSON holds it, without `schema_version`."""
        return {
            "metric": self.forecast.metric,
            "x": self.forecast.axes[0],
            "currency": self.forecast.currency,
            "at": self.target,
            "level": self.forecast.precision.level,
            "sentence": self.sentence(),
            "interval": self.interval.to_dict(),
            "on_these_images": self.on_these.to_dict(),
            "parts": [{"part": part.name, "share": finite(part.share), "words": part.words} for part in self.parts],
            "ways": [way.to_dict() for way in self.ways],
            "cheapest": None if self.cheapest is None else self.cheapest.to_dict(),
            "lights": self.forecast.lights.to_dict(),
            "excluded": excluded_payload(self.excluded),
        }

    def to_csv(self) -> str:
        """Write the ways as CSV."""
        from analysis.as_csv import as_csv

        names = ("way", "times", "cost", "width", "halves", "words")
        return as_csv(pd.DataFrame([way.to_dict() for way in self.ways], columns=list(names)))


@takes_runs
def halve(
    runs: pd.DataFrame,
    *,
    target: float,
    candidates: pd.DataFrame | None = None,
    metric: str = "val_loss",
    x: str = "core_hours",
    law: str = AUTO,
    on: Literal["all", "frontier"] | None = None,
    cell: Sequence[str] = (),
    clusters: Sequence[str] = (),
    bootstrap: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    pin: Pins = (),
    tie: Ties = (),
) -> Halving:
    """Say where the interval of a forecast comes from, and find the cheapest way to halve it.

    >>> found = scaling.halve(runs, x="train_flops", target=1e11)
    >>> found.sentence()
    'val_loss at ... of that variance ...'

    Args:
        runs: one row a run, as for `analysis.fit`. `val_loss_standard_error`, where it is there, is how sure the loss of each run is.
        target: compute at which the metric should be known, in the unit of x.
        candidates: cells that could be run, as `analysis.plan` takes them; None: cells like those that were run.
        law, on, metric, x, cell, clusters, bootstrap, level, seed, pin, tie: of `analysis.fit`.

    Raises: what `analysis.fit` raises; UsageError for a target that is no positive number.
    """
    if not (np.isfinite(target) and target > 0):
        raise UsageError(f"the target {target:g} is not a positive number", hint=f"give it in the unit of {x}")
    settings = {
        "metric": metric,
        "cell": cell,
        "clusters": clusters,
        "bootstrap": bootstrap,
        "level": level,
        "seed": seed,
        "pin": pin,
        "tie": tie,
    }
    found = fit(runs, x=x, law=law, on=on or natural_choice(runs, x), **settings)  # type: ignore[arg-type]  # of FitSettings
    if len(found.axes) > 1:
        raise UsageError(
            f"law {law} is of {' and '.join(found.axes)}: a target is one compute", hint="choose a law of one input, or auto"
        )
    variances = _Variances(found, target)
    parts = variances.parts()
    ways = [*_more_seeds(found, parts), *_more_images(parts), *_larger_runs(variances)]
    if x in ("core_hours", "cost"):
        ways += _planned(runs, candidates, variances, target, x, law, on, settings)
    ways += [both for way in ways if (both := _with_images(way, parts)) is not None]
    ways.sort(key=lambda way: (not way.halves, way.cost if way.halves else way.width, way.width))
    return Halving(target, found, variances.interval(), variances.now, parts, tuple(ways))


class _Variances:
    """Holds the parts of the squared half-width, in log metric, of the forecast at the target."""

    def __init__(self, found: Fit, target: float) -> None:
        self.found, self.target = found, target
        self.now = self.at(target)
        own, rows = found.single_laws[0][1], list(found.rows_of_heaviest)
        inputs = found.inputs_at([target])[rows]
        tangent = own.tangent
        # How far the law at the target moves when all runs of a cell do, (G,).
        reach = own.log_mean_jacobian(inputs)[0] @ tangent.response
        of_noise = float(np.sum(reach**2 * tangent.mean_of_cells(tangent.noise) ** 2 / tangent.seeds))
        squared = own.precision.t(own.degrees_of_freedom) ** 2 * of_noise
        self.repeats = bool(np.isfinite(tangent.seed_variance))
        of_cells = tangent.cell_variance
        by_seeds = min(1.0, tangent.seed_variance / of_cells) if self.repeats and of_cells > 0 else 0.0
        whole, of_laws = self.half**2, self._of_laws(inputs)
        self.seeds = by_seeds * of_laws
        self.cells = min((1 - by_seeds) * of_laws, squared * of_cells)
        rest = whole - self.seeds - self.cells
        self.form = rest if rest > _ROUNDING * whole else 0.0
        self.evaluation = (found.precision.t(1e9) * relative_error(found.runs, found.metric)) ** 2

    def at(self, x: float) -> Interval:
        """Return the forecast's interval of the mean at a compute."""
        row = self.found.predict([x]).iloc[0]
        return Interval(float(row["mean"]), float(row["low"]), float(row["high"]))

    def _of_laws(self, inputs: np.ndarray) -> float:
        """Return how much of the squared half-width is the laws'; the rest is of the recent runs, whose learnt scale no seed narrows."""
        estimate = self.found.estimate
        if not isinstance(estimate, ForecastEstimate):
            return self.half**2
        low, high = estimate.laws.estimate.log_band(inputs)
        share = 1.0 - float(estimate.part(inputs)[0])
        return min(self.half**2, (share * float(high[0] - low[0]) / 2) ** 2)

    @property
    def half(self) -> float:
        """Return the half-width in log metric, on the held-out images that there are."""
        return log_width(self.now) / 2

    def nearer(self, times: float) -> float:
        """Return what runs up to so many times the largest compute leave of the squared half-width, by how near the target is then."""
        return float((log_width(self.at(self.target / times)) / 2 / self.half) ** 2)

    @property
    def whole(self) -> float:
        """Return the squared half-width for images like those."""
        return self.seeds + self.cells + self.form + self.evaluation

    def interval(self) -> Interval:
        """Return the interval at the target for images like those that were held out."""
        value = np.log(self.now.value)
        sides = (np.hypot(value - np.log(end), np.sqrt(self.evaluation)) for end in (self.now.low, self.now.high))
        low, high = sides
        return Interval(self.now.value, float(np.exp(value - low)), float(np.exp(value + high)))

    def parts(self) -> tuple[Part, ...]:
        whole = max(self.whole, 1e-300)
        cells = (
            "scatter of cells beyond their seeds"
            if self.repeats
            else "scatter of cells, their seeds among it (no cell was repeated)"
        )
        return (
            Part("seeds", self.seeds / whole if self.repeats else float("nan"), "seed noise"),
            Part("cells", self.cells / whole, cells),
            Part("form", self.form / whole, "what the form of the law may be off by there"),
            Part("evaluation", self.evaluation / whole, "the choice of held-out images"),
        )


def relative_error(runs: pd.DataFrame, metric: str) -> float:
    """Return how sure the loss of the runs is, as a share of it, by their held-out images; 0 where the table does not say.

    It is the median over the better half of the runs, which are nearer to what is forecast.
    """
    if metric != "val_loss" or STANDARD_ERROR not in runs:
        return 0.0
    loss = runs[metric].astype(float)
    share = (pd.to_numeric(runs[STANDARD_ERROR], errors="coerce") / loss)[loss <= loss.median()]
    return float(share.median()) if share.notna().any() else 0.0


def _more_seeds(found: Fit, parts: Sequence[Part]) -> list[Way]:
    """Repeat every cell of the law so many times as often that the interval is half as wide."""
    share = parts[0].share
    if not share > 0:
        return []
    times = _times(share)
    seeds = found.runs_used / found.cells
    more = max(1, int(np.ceil(times * seeds - seeds - 1e-9)))
    times = (seeds + more) / seeds
    cost = more * float(found.runs.groupby("cell")[found.axes[0]].mean().sum())
    width = float(np.sqrt(1 - share * (1 - 1 / times)))
    words = f"{more} more seed{'s' if more > 1 else ''} in each of the {found.cells} cells, {_spent(found, cost)}"
    return [Way("seeds", times, cost, width, words)]


def _more_images(parts: Sequence[Part]) -> list[Way]:
    share = parts[-1].share
    if not share > 0:
        return []
    times = _times(share)
    return [
        Way(
            "images",
            times,
            0.0,
            float(np.sqrt(1 - share * (1 - 1 / times))),
            f"{significant(times, 2)} times the held-out images, on which the checkpoints that there are can be evaluated",
        )
    ]


def _with_images(way: Way, parts: Sequence[Part]) -> Way | None:
    """Add held-out images to a way that does not halve the interval without them; None where that does not, or is not needed."""
    share = parts[-1].share
    rest = way.width**2 - share
    if way.name == "images" or way.halves or not share > 0 or rest + share / _MOST_TIMES > _HALF**2:
        return None
    images = share / (_HALF**2 - rest)
    return replace(way, images=images, width=_HALF, words=f"{way.words}, and {significant(images, 2)} times the held-out images")


def _times(share: float) -> float:
    """Return how many times as many it takes to halve the width, where at most `_MOST_TIMES` do; else `_SOME_TIMES`."""
    left = share - (1 - _HALF**2)
    return share / left if left > share / _MOST_TIMES else _SOME_TIMES


def _larger_runs(variances: _Variances) -> list[Way]:
    """Go up to the least compute from which the target is near enough, in steps of two, a run a step and as many as usual at the last."""
    found, target = variances.found, variances.target
    largest = found.x_range[1]
    if target <= largest:
        return []
    times = np.geomspace(1, target / largest, _PLACES)[1:]
    nearer = np.array([variances.nearer(each) for each in times])
    widths = np.sqrt((nearer * variances.half**2 + variances.evaluation) / variances.whole)
    enough = np.flatnonzero(widths <= _HALF)
    place = int(enough[0]) if len(enough) else len(times) - 1
    grown = float(times[place])
    steps = largest * _STEP ** np.arange(1, int(np.ceil(np.log(grown) / np.log(_STEP) - 1e-9)))
    seeds = max(1, round(found.runs_used / found.cells))
    cost = float(steps.sum() + seeds * grown * largest)
    again = f", {seeds} of them there" if seeds > 1 else ""
    words = f"runs up to {significant(grown, 2)} times the largest compute{again}, {_spent(found, cost)}"
    return [Way("larger", grown, cost, float(widths[place]), words)]


def _planned(
    runs: pd.DataFrame,
    candidates: pd.DataFrame | None,
    variances: _Variances,
    target: float,
    x: str,
    law: str,
    on: Literal["all", "frontier"] | None,
    settings: dict[str, object],
) -> list[Way]:
    """Look for the least budget of a plan that halves the interval."""
    found = variances.found
    currency = currency_of(runs) if x == "cost" else None
    spent = float(found.runs[x].astype(float).sum())
    best: Way | None = None
    with suppress(ScalingError):  # cells that cannot be priced, or no law that weighs them: the other ways remain
        cells = neighbouring_cells(runs, metric=found.metric, in_money=x == "cost") if candidates is None else candidates
        for part in _BUDGETS:
            budget: float | str = part * spent if currency is None else f"{part * spent:.6g} {currency}"
            chosen = plan(runs, cells, budget=budget, target=target, x=x, law=None if law == AUTO else law, on=on, **settings)  # type: ignore[arg-type]
            way = _way(chosen, variances, x)
            if way is None or (best is not None and not way.halves):
                break
            best = way
            if not way.halves:
                break
    return [] if best is None else [best]


def _way(chosen: NextRuns, variances: _Variances, x: str) -> Way | None:
    cost = chosen.cost if x == "cost" else chosen.core_hours
    if chosen.chosen.empty or cost is None or not np.isfinite(chosen.shrinkage):
        return None
    of_law = chosen.share_of_law
    scale = max(0.0, chosen.shrinkage**2 - (1 - of_law))  # what is left of the law's part, as a share of the whole
    reach = max(1.0, float(_of_one_run(chosen.chosen, x).max()) / variances.found.x_range[1])
    left = (scale + (1 - of_law) * variances.nearer(reach)) * variances.half**2 + variances.evaluation
    many = len(chosen.chosen)
    words = f"{many} run{'s' if many > 1 else ''} of cells that a plan chooses, {_spent(variances.found, cost)}"
    return Way("cells", float("nan"), float(cost), float(np.sqrt(left / variances.whole)), words, chosen.chosen)


def _of_one_run(chosen: pd.DataFrame, x: str) -> pd.Series:
    return chosen[x].astype(float) / next((chosen[name].astype(float) for name in ("runs", "seeds") if name in chosen), 1.0)


def _spent(found: Fit, cost: float) -> str:
    return f"{significant(cost, 3)} {unit_of(found.axes[0], found.currency)}"
