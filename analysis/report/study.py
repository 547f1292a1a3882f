"""Everything that a table of runs says, gathered once: what cannot be said is a refusal with its reason, not a gap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from itertools import combinations
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd

from analysis.automatic import AUTO
from analysis.choice import choose_law, natural_choice
from analysis.comparison.compare import compare
from analysis.comparison.result import Comparison
from analysis.fitting.fit import FitSettings, fit
from analysis.fitting.result import Fit
from analysis.interval import check_level
from analysis.laws import law_named, law_names
from analysis.laws.constrained import Pins, Ties, constrained, pins_of, refuse_unnamed, ties_of
from analysis.learning_rate import LearningRateTrend, learning_rate_trend
from analysis.optimum.allocate import compute_optimal
from analysis.optimum.regret import Regret, regret
from analysis.optimum.result import Optimum
from analysis.optimum.slices import Slices, slices_of
from analysis.pareto import Frontier, frontier
from analysis.planning.neighbours import a_tenth_and_ten_times, neighbouring_cells
from analysis.planning.next_runs import plan
from analysis.planning.result import NextRuns
from analysis.reading.source import source_of
from analysis.unfinished import takes_runs
from scaling.errors import DataError, TooFewPoints, UnknownName, UsageError
from scaling.refusals import why

__all__ = ["Refusal", "Study", "study_of"]

BEYOND = (1.0, 2.0, 5.0, 10.0)
"""Where the law is asked for a prediction, as factors of the largest compute that was run."""

MOST_COMPARISONS = 6

_Part = TypeVar("_Part")


@dataclass(frozen=True)
class Refusal:
    """Says why a part is not there, what to do, and which section of docs/refused.md explains it (`why`, see `scaling.refusals`)."""

    reason: str
    hint: str
    why: str


@dataclass(frozen=True, eq=False)
class Study:
    """Holds what `study_of` found. A part that these runs do not allow is a `Refusal`.

    asked: the name of the law that was asked for; None for the one that forecasts best. pin, tie: of its coefficients, see `analysis.fit`.
    law: the one that the report is about; laws: it and the others, fitted to the same cells; automatic: the forecast.
    predictions: at `BEYOND`, of the forecast unless a law was asked for, columns `x`, `beyond`, `mean`, `low`, `high`, `run_low`,
    `run_high`.
    regret: what the best cell costs at most. optima, slices: by family. comparisons: of the families, where there are several.
    plan: for a tenth of the core-hours spent, aimed at ten times the largest run. source: of `source_of`. created: in UTC.
    """

    title: str
    metric: str
    x: str
    on: Literal["all", "frontier"]
    level: float
    asked: str | None
    pin: dict[str, float]
    tie: tuple[tuple[str, ...], ...]
    frontier: Frontier
    law: Fit | Refusal
    laws: tuple[Fit, ...]
    automatic: Fit | Refusal
    predictions: pd.DataFrame
    regret: Regret | Refusal
    optima: Mapping[str, Optimum | Refusal]
    slices: Mapping[str, Slices]
    comparisons: tuple[Comparison | Refusal, ...]
    plan: NextRuns | Refusal
    learning_rate: LearningRateTrend | Refusal
    source: dict[str, object]
    created: datetime
    version: str


@takes_runs
def study_of(
    runs: pd.DataFrame,
    *,
    metric: str = "val_loss",
    x: str = "core_hours",
    law: str | None = None,
    on: Literal["all", "frontier"] | None = None,
    level: float = 0.95,
    bootstrap: int = 1000,
    seed: int = 0,
    pin: Pins = (),
    tie: Ties = (),
    title: str = "",
) -> Study:
    """Gather the frontier, laws, predictions and all that follows from them.

    Args:
        runs: one row a run, columns as in `scaling.columns`.
        metric, x: what is explained by what.
        law: the law to bet on, or `auto`; None for the one that forecasts best. The other laws of one axis are fitted beside it.
        on: which cells: the compute-optimal ones, or all; None: see `analysis.choice.natural_choice`.
        level, bootstrap, seed: of the intervals. pin, tie: of the law that is named, see `analysis.fit`; the laws beside it are free.
        title: of the report; the file's or store's name where empty.

    Raises:
        What `analysis.frontier` raises: without a usable run there is nothing to report.
        UnknownName: no such law, no such choice of cells. UsageError: pins or ties, and no law is named.
    """
    check_level(level)
    if on not in (None, "frontier", "all"):
        raise UnknownName("choice for --on", on, ("frontier", "all"))
    cells = on or natural_choice(runs, x)
    settings: FitSettings = {"metric": metric, "level": level, "bootstrap": bootstrap, "seed": seed}
    refuse_unnamed(law, pin, tie)
    of_law: FitSettings = {**settings, "pin": pins_of(pin), "tie": ties_of(tie)}
    if law not in (None, AUTO):
        constrained(law_named(law), pin, tie)
    found = frontier(runs, metric=metric, x=x)
    main = _attempt(
        lambda: choose_law(runs, x=x, on=cells, **settings) if law is None else fit(runs, x=x, law=law, on=cells, **of_law)
    )
    shown = main.law if isinstance(main, Fit) else law
    automatic = (
        main.forecast or main
        if isinstance(main, Fit) and law in (None, AUTO)
        else _attempt(lambda: fit(runs, x=x, law=AUTO, on=cells, **settings))
    )
    others = [name for name in law_names() if name != shown and len(law_named(name).axes) == 1]
    fits = [main, *(_attempt(partial(fit, runs, x=x, law=name, on=cells, **settings)) for name in others)]
    if isinstance(automatic, Fit):  # one back-test is of them all, but of a law with pins or ties
        test = automatic.tested or automatic.untested
        fits = [
            replace(entry, known_test=test) if isinstance(entry, Fit) and not (entry.pin or entry.tie) else entry for entry in fits
        ]
        main = fits[0]
    families = sorted(found.points["family"].unique()) if "family" in found.points else [""]
    optima = {name: _attempt(partial(_optimum, runs, name, metric=metric, x=x, level=level, seed=seed)) for name in families}
    sides = list(combinations(families, 2))[:MOST_COMPARISONS]
    source = source_of(runs)
    return Study(
        title=title or str(source.get("file", "")) or f"{metric} against {x}",
        metric=metric,
        x=x,
        on=cells,
        level=level,
        asked=law,
        pin=pins_of(pin),
        tie=ties_of(tie),
        frontier=found,
        law=main,
        laws=tuple(entry for entry in fits if isinstance(entry, Fit)),
        automatic=automatic,
        predictions=_predictions(main.forecast or main) if isinstance(main, Fit) else pd.DataFrame(),
        regret=_attempt(lambda: regret(runs, metric=metric, x=x, level=level, seed=seed)),
        optima=optima,
        slices={name: _slices(runs, name, entry) for name, entry in optima.items() if isinstance(entry, Optimum)},
        comparisons=tuple(
            _attempt(partial(compare, runs, by="family", a=a, b=b, metric=metric, x=x, level=level)) for a, b in sides
        ),
        plan=_attempt(partial(_plan, runs, found, None if law == AUTO else law, cells, of_law)),
        learning_rate=_attempt(lambda: learning_rate_trend(runs, metric=metric, level=level)),
        source=source,
        created=datetime.now(UTC),
        version=metadata.version("scaling"),
    )


def _attempt(part: Callable[[], _Part]) -> _Part | Refusal:
    try:
        return part()
    except (TooFewPoints, DataError, UsageError) as error:
        return Refusal(str(error), error.hint, why(error))


def _optimum(runs: pd.DataFrame, family: str, **settings: Any) -> Optimum:
    return compute_optimal(runs, family=family or None, **settings)


def _slices(runs: pd.DataFrame, family: str, optimum: Optimum) -> Slices:
    own = runs[runs["family"] == family] if family else runs
    return slices_of(frontier(own, metric=optimum.metric, x=optimum.x), optimum)


def _plan(runs: pd.DataFrame, found: Frontier, law: str | None, on: Literal["all", "frontier"], settings: FitSettings) -> NextRuns:
    budget, target = a_tenth_and_ten_times(found)
    candidates = neighbouring_cells(runs, metric=found.metric, in_money=isinstance(budget, str))
    return plan(runs, candidates, budget=budget, target=target, x=found.x, law=law, on=on, **settings)


def _predictions(law: Fit, beyond: Sequence[float] = BEYOND) -> pd.DataFrame:
    x = law.x_range[1] * np.asarray(beyond)
    mean, run = law.predict(x), law.predict(x, kind="new-run")
    return mean.assign(x=x, beyond=beyond, run_low=run["low"], run_high=run["high"])
