"""What a plan is to make sure of: a law at a target, and which table of inputs stands for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.fitting.fit import fit
from analysis.fitting.result import Fit
from analysis.laws import law_named
from analysis.laws.axes import AXIS_COLUMNS
from analysis.optimum.cells import grid_cells, grid_frontier
from analysis.optimum.surface import Surface
from analysis.prediction import runs_to_predict_from
from scaling.errors import DataError, ScalingError, TooFewPoints, UsageError

__all__ = ["Target", "aim"]

_SURFACE = "chinchilla"


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

    Without a `law`: the Chinchilla surface where the runs and candidates have params and examples seen and it can be fitted, because it tells
    a candidate's size from its epochs; else a power law of compute, on the frontier where the runs are a grid: every candidate is then
    taken for compute-optimal at its compute. A number as target is compute: on a surface it stands for the
    best size at that compute.

    Raises: what `analysis.fit` raises; UsageError for a target that does not go with the law.
    """
    on = settings.pop("on", None)
    names = [law] if law is not None else [_SURFACE, "power"]
    for name in names:
        axes = law_named(name).axes
        columns = (x,) if axes == ("C",) else tuple(AXIS_COLUMNS[axis] for axis in axes)
        last = name == names[-1]
        missing = [column for column in columns if column not in runs or column not in candidates]
        if missing and not last:
            continue
        if missing:
            raise DataError(
                f"law {name} needs {', '.join(missing)} of the runs and of the candidates",
                hint="--map column=THEIRS, or another --law",
            )
        try:
            inputs = columns[0] if len(columns) == 1 else columns
            found = fit(runs, x=inputs, law=name, on=on or runs_to_predict_from(runs, inputs, name), **settings)
            return _placed(found, target, runs, x)
        except (TooFewPoints, DataError, UsageError):
            if last:
                raise
    raise AssertionError("the last name either returns or raises")


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
    log_size = surface.optimum(np.log([float(target)]))[0]
    at = surface.table(log_size, surface.cells.log_epochs_at(np.log([float(target)]), log_size))
    if not (np.isfinite(log_size).all() and np.isfinite(at.to_numpy()).all()):
        raise ScalingError(
            f"the {found.law} surface has no best size at {words}: it falls on a million times beyond the sizes that were run",
            hint="choose a nearer target, or --law power-floor",
        )
    return Target(found, at, f"{words} at the best size there ({at[found.axes[0]].iloc[0]:,.3g} {found.axes[0]})")
