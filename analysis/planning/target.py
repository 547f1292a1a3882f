"""What a plan is to make sure of: a law at a target, and which table of inputs stands for it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.fitting.fit import fit
from analysis.fitting.result import Fit
from analysis.laws import law_named
from analysis.laws.axes import AXIS_COLUMNS
from analysis.optimum.cells import grid_cells, grid_frontier
from analysis.optimum.surface import Surface, surface_laws
from analysis.prediction import runs_to_predict_from
from scaling.errors import DataError, ScalingError, TooFewPoints, UsageError

__all__ = ["Target", "aim"]

_OF_COMPUTE = ("power-floor", "power")


@dataclass(frozen=True, eq=False)
class Target:
    """fit: the law. at: one row, its inputs. words: the same for people."""

    fit: Fit
    at: pd.DataFrame
    words: str


def aim(
    runs: pd.DataFrame, target: float | Mapping[str, float], candidates: pd.DataFrame, *, x: str, law: str | None, **settings: Any
) -> Target:
    """Fit the law and place the target in its inputs.

    Without a `law`: the surface that `analysis.optimum` would choose (data-constrained where epochs repeat and it leaves less than chinchilla,
    else chinchilla), where the runs and candidates have its inputs and it can be fitted, because it tells a candidate's size from its
    epochs; else a law of compute, power-floor, or power where there are too few points for a floor, on the frontier where the runs
    are a grid: every candidate is then taken for compute-optimal at its compute. A number as target is compute: on a surface it stands
    for the best size at that compute; a target of several inputs chooses among the laws of just these.

    Raises: what `analysis.fit` raises; UsageError for a target that does not go with the law; ScalingError where the surface has no best size.
    """
    on = settings.pop("on", None)

    def fitted(name: str) -> Fit:
        columns = _columns(name, x)
        inputs = columns[0] if len(columns) == 1 else columns
        return fit(runs, x=inputs, law=name, on=on or runs_to_predict_from(runs, inputs, name), **settings)

    if law is not None:
        _require(law, x, runs, candidates)
        return _placed(fitted(law), target, runs, x)
    repeats = "epochs" in runs and bool((pd.to_numeric(runs["epochs"], errors="coerce") > 1).any())
    surfaces: list[Fit] = []
    for name in surface_laws(repeats=repeats):
        asked = not isinstance(target, Mapping) or set(target) == set(_columns(name, x))
        if asked and not _missing(name, x, runs, candidates):
            with suppress(TooFewPoints, DataError, UsageError):  # too few, or no such numbers: the next law needs less
                surfaces.append(fitted(name))
    if surfaces:
        with suppress(TooFewPoints, DataError, UsageError):  # sizes of several families do not compare: compute does
            return _placed(min(surfaces, key=lambda each: each.residual_std), target, runs, x)
    _require(_OF_COMPUTE[0], x, runs, candidates)
    try:
        found = fitted(_OF_COMPUTE[0])
    except TooFewPoints:
        found = fitted(_OF_COMPUTE[1])
    return _placed(found, target, runs, x)


def _columns(law: str, x: str) -> tuple[str, ...]:
    axes = law_named(law).axes
    return (x,) if axes == ("C",) else tuple(AXIS_COLUMNS[axis] for axis in axes)


def _missing(law: str, x: str, runs: pd.DataFrame, candidates: pd.DataFrame) -> list[str]:
    return [column for column in _columns(law, x) if column not in runs or column not in candidates]


def _require(law: str, x: str, runs: pd.DataFrame, candidates: pd.DataFrame) -> None:
    missing = _missing(law, x, runs, candidates)
    if missing:
        raise DataError(
            f"law {law} needs {', '.join(missing)} of the runs and of the candidates", hint="--map column=THEIRS, or another --law"
        )


def _placed(found: Fit, target: float | Mapping[str, float], runs: pd.DataFrame, x: str) -> Target:
    if isinstance(target, Mapping):
        missing = [name for name in found.axes if name not in target]
        if missing:
            raise UsageError(f"the target needs {' and '.join(missing)} for law {found.law}", hint=f"give {', '.join(found.axes)}")
        at = pd.DataFrame({name: [float(target[name])] for name in found.axes})
        return Target(found, at, " and ".join(f"{name} {target[name]:,g}" for name in found.axes))
    if not (np.isfinite(target) and target > 0):
        raise UsageError(f"the target {target:g} is not a positive number", hint=f"give it in the unit of {x}")
    words = f"{target:,g} {x}"
    if len(found.axes) == 1:
        return Target(found, pd.DataFrame({found.axes[0]: [float(target)]}), words)
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
    surface = Surface(found, cells, found.axes)
    log_size = surface.optimum(np.log([float(target)]))
    at = surface.table(log_size, cells.cost.log_data(np.log([float(target)]), log_size))
    if not (np.isfinite(log_size).all() and np.isfinite(at.to_numpy()).all()):
        raise ScalingError(
            f"the {found.law} surface has no best size at {words}: it falls on a million times beyond the sizes that were run",
            hint="choose a nearer target, or --law power-floor",
        )
    return Target(found, at, f"{words} at the best size there ({at[found.axes[0]].iloc[0]:,.3g} {found.axes[0]})")
