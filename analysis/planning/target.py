"""What a plan makes sure of: a law at a target, and the inputs of the law that stand for the target."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, Unpack

import numpy as np
import pandas as pd

from analysis.automatic import AUTO
from analysis.choice import choose_law, natural_choice
from analysis.fitting.fit import FitSettings, fit
from analysis.fitting.result import Fit
from analysis.interval import Interval
from analysis.laws import law_named
from analysis.laws.axes import AXIS_COLUMNS
from analysis.laws.constrained import refuse_unnamed
from analysis.optimum.cells import grid_cells, grid_frontier
from analysis.optimum.surface import CANDIDATES, Surface
from analysis.prediction import runs_to_predict_from
from analysis.reading.prices import currency_of, unit_of
from scaling.errors import DataError, ScalingError, TooFewPoints, UsageError
from scaling.rounding import amount

__all__ = ["Target", "aim", "interval_at"]


@dataclass(frozen=True, eq=False)
class Target:
    """Names what gives the value at the target, and what weighs the candidates. They need not be laws of the same inputs.

    forecast: gives the value and its interval, as `analysis.predict` does; the law itself where it was named. at: one row, its inputs.
    words: the same for people. fit: the law by which candidates are weighed. law_at: one row, the inputs of the law at the target.
    surface: that law over the cells of a grid, where a compute stands for the best size there.
    """

    forecast: Fit
    at: pd.DataFrame
    words: str
    fit: Fit
    law_at: pd.DataFrame
    surface: Surface | None = None


def aim(
    runs: pd.DataFrame,
    target: float | Mapping[str, float],
    candidates: pd.DataFrame,
    *,
    x: str,
    law: str | None,
    on: Literal["all", "frontier"] | None,
    **settings: Unpack[FitSettings],
) -> Target:
    """Fit the forecast, and the law of the candidates' inputs, and place the target in the inputs of both.

    A number as target is compute, and the forecast there is that of `analysis.predict`: one of compute. The law that weighs is the one
    that `choose_law` chooses:
    - of surfaces, where the runs and candidates have their inputs and they can be fitted, because a surface tells a candidate's size
    from its epochs: of N, D and U where epochs repeat, else of N and D;
    - else of compute, on the frontier where the runs are a grid: every candidate is then taken for compute-optimal at its compute.

    On a surface a compute stands for the best size there. A target of several inputs chooses among the laws of just these, and the
    forecast is theirs. A named `law` does both.

    Raises: what `analysis.fit` raises; UsageError for a target that does not go with the law; ScalingError where the surface has no
    best size.
    """
    refuse_unnamed(law, settings.get("pin", ()), settings.get("tie", ()))
    if law is not None:
        columns = _columns(law, x)
        _require(columns, f"law {law}", runs, candidates)
        inputs = columns[0] if len(columns) == 1 else columns
        found = fit(runs, x=inputs, law=law, on=on or runs_to_predict_from(runs, inputs, law), **settings)
        return _placed(found, target, runs, x)
    repeats = "epochs" in runs and bool((pd.to_numeric(runs["epochs"], errors="coerce") > 1).any())
    for letters in (("N", "D", "U"), ("N", "D")) if repeats else (("N", "D"),):
        columns = tuple(AXIS_COLUMNS[letter] for letter in letters)
        asked = not isinstance(target, Mapping) or set(target) == set(columns)
        if asked and not _missing(columns, runs, candidates):
            # Too few, or no such numbers, or sizes of several families, which do not compare: the next laws need less.
            with suppress(ScalingError):
                return _forecast_of_compute(
                    _placed(_surface(runs, columns, settings), target, runs, x), target, runs, x, on, settings
                )
    _require((x,), "a law of compute", runs, candidates)
    return _placed(choose_law(runs, x=x, on=on, **settings), target, runs, x)


def _surface(runs: pd.DataFrame, columns: tuple[str, ...], settings: FitSettings) -> Fit:
    """Choose the law of these inputs, of those that say how the best size grows, see `analysis.optimum.surface.CANDIDATES`."""
    found = choose_law(runs, x=columns, **settings)
    if found.law in CANDIDATES:
        return found
    test = found.tested
    name = (test and test.best(CANDIDATES)) or CANDIDATES[0]
    axes = columns[: len(law_named(name).axes)]
    return replace(fit(runs, x=axes, law=name, **settings), chosen=True, forecast=found.forecast, known_test=test or found.untested)


def _forecast_of_compute(
    aimed: Target,
    target: float | Mapping[str, float],
    runs: pd.DataFrame,
    x: str,
    on: Literal["all", "frontier"] | None,
    settings: FitSettings,
) -> Target:
    """Replace the forecast of a target by the one that `analysis.predict` makes at a compute.

    Where there are too few cells for one, the forecast of the surface stays.
    """
    if isinstance(target, Mapping):
        return aimed
    with suppress(TooFewPoints):
        forecast = fit(runs, x=x, law=AUTO, on=on or natural_choice(runs, x), **settings)
        return replace(
            aimed, forecast=forecast, at=pd.DataFrame({x: [float(target)]}), words=f"{target:,g} {unit_of(x, currency_of(runs))}"
        )
    return aimed


def _columns(law: str, x: str) -> tuple[str, ...]:
    axes = law_named(law).axes
    return (x,) if axes == ("C",) else tuple(AXIS_COLUMNS[axis] for axis in axes)


def _missing(columns: tuple[str, ...], runs: pd.DataFrame, candidates: pd.DataFrame) -> list[str]:
    return [column for column in columns if column not in runs or column not in candidates]


def _require(columns: tuple[str, ...], what: str, runs: pd.DataFrame, candidates: pd.DataFrame) -> None:
    missing = _missing(columns, runs, candidates)
    if missing:
        raise DataError(
            f"{what} needs {', '.join(missing)} of the runs and of the candidates", hint="--map column=THEIRS, or another --law"
        )


def _placed(found: Fit, target: float | Mapping[str, float], runs: pd.DataFrame, x: str) -> Target:
    forecast = found.forecast or found
    if isinstance(target, Mapping):
        missing = [name for name in forecast.axes if name not in target]
        if missing:
            raise UsageError(
                f"the target needs {' and '.join(missing)} for law {found.law}", hint=f"give {', '.join(forecast.axes)}"
            )
        at = pd.DataFrame({name: [float(target[name])] for name in forecast.axes})
        return Target(forecast, at, " and ".join(f"{name} {target[name]:,g}" for name in forecast.axes), found, at)
    if not (np.isfinite(target) and target > 0):
        raise UsageError(f"the target {target:g} is not a positive number", hint=f"give it in the unit of {x}")
    words = f"{target:,g} {unit_of(x, currency_of(runs))}"
    if len(forecast.axes) == 1:
        at = pd.DataFrame({found.axes[0]: [float(target)]})
        return Target(forecast, at, words, found, at)
    if "epochs" not in runs:
        raise DataError(
            "a target in compute needs the epochs of every run to be placed on a surface",
            hint="--map epochs=THEIRS, or --law power",
        )
    cells = grid_cells(grid_frontier(found.runs.drop(columns="cell"), metric=found.metric, x=x))
    if cells.size_name != found.axes[0]:
        raise DataError(
            f"law {found.law} is of {found.axes[0]}, but the size of these runs is known as {cells.size_name}",
            hint=f"--map {found.axes[0]}=THEIRS, or --law power",
        )
    surface = Surface(found, cells, forecast.axes)
    log_size = surface.optimum(np.log([float(target)]))
    at = surface.table(log_size, cells.cost.log_data(np.log([float(target)]), log_size))
    if not (np.isfinite(log_size).all() and np.isfinite(at.to_numpy()).all()):
        raise ScalingError(
            f"the {found.law} surface has no best size at {words}: it falls on a million times beyond the sizes that were run",
            hint="choose a nearer target, or --law power-floor",
        )
    best = amount(at[found.axes[0]].iloc[0])
    return Target(forecast, at, f"{words} at the best size there ({best} {found.axes[0]})", found, at, surface)


def interval_at(found: Fit, place: pd.DataFrame, kind: Literal["mean", "new-run"]) -> Interval:
    """Return what a fit says at one row of its inputs."""
    row = found.predict(place, kind=kind).iloc[0]
    return Interval(float(row["mean"]), float(row["low"]), float(row["high"]))
