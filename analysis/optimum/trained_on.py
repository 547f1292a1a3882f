"""Which column of a table says how much each run was trained on: epochs, examples seen, or steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from analysis.pareto import Frontier
from scaling.errors import DataError
from scaling.rounding import significant

__all__ = ["DataName", "with_data", "with_examples"]

DataName = Literal["epochs", "examples_seen", "steps"]

_MUCH_WORSE = 1.25
_ROUNDING = 0.02
"""A column is as good as another where it leaves less than this of log compute more unexplained."""
_CONSTANT = 1e-9


def with_data(found: Frontier) -> tuple[pd.DataFrame, DataName, str]:
    """Choose the column that says how much runs were trained on.

    Epochs come first, then the examples seen, then steps. But compute is what a model of some size costs for that much. So a column is
    passed over that has one value for all, or that leaves clearly more of the compute unexplained than another. Such are the epochs of
    a table of one pass over different data (1 in each row), and epochs that were rounded.

    Returns: the points of the frontier with that column, its name, and a sentence where another was passed over.

    Raises: DataError, there is none of them.
    """
    points, names = _with_columns(found)
    if not names:
        raise DataError(
            "the optimum of size and epochs needs the epochs, or the examples seen, of every run",
            hint="--map epochs=THEIRS, or --map examples_seen=THEIRS; where compute was counted as 6·N·D, the examples are FLOP / (6 · params)",
        )
    varied = [name for name in names if np.ptp(np.log(points[name].to_numpy(float))) > _CONSTANT]
    left = {name: _unexplained(points, found.x, name) for name in varied}
    least = min(left.values(), default=0.0)
    good = [name for name in varied if left[name] <= max(_MUCH_WORSE * least, least + _ROUNDING)]
    chosen = (good or names)[0]
    return points, chosen, _passed_over(names[0], chosen, left, found.x) if chosen != names[0] else ""


def _with_columns(found: Frontier) -> tuple[pd.DataFrame, list[DataName]]:
    """Add each such column that every run has to the points, as the mean of its cell, and name them, the one that counts first."""
    points, runs = found.points, found.runs
    names: list[DataName] = []
    if "epochs" in points and (points["epochs"] > 0).all():
        names.append("epochs")
    others: tuple[DataName, ...] = ("examples_seen", "steps")
    for name in others:
        if (values := _positive(runs, name)) is not None:
            points = points.assign(**{name: points["cell"].map(values.groupby(runs["cell"]).mean())})
            names.append(name)
    return points, names


def with_examples(runs: pd.DataFrame) -> pd.DataFrame:
    """Add `examples_seen` = steps · batch size, where nothing else in the table says how much each run was trained on."""
    said = any(name in runs and runs[name].nunique() > 1 for name in ("epochs", "examples_seen"))
    steps, batch = (_positive(runs, name) for name in ("steps", "batch_size"))
    return runs if said or steps is None or batch is None else runs.assign(examples_seen=steps * batch)


def _positive(runs: pd.DataFrame, name: str) -> pd.Series | None:
    values = pd.to_numeric(runs[name], errors="coerce").astype(float) if name in runs else None
    return values if values is not None and (values > 0).all() and np.isfinite(values).all() else None


def _unexplained(points: pd.DataFrame, x: str, name: str) -> float:
    """Return the standard deviation of log compute about `c(log size) + log data`.

    c is a parabola in log params, or a number for each model.
    """
    cost = np.log(points[x].to_numpy(float)) - np.log(points[name].to_numpy(float))
    if "params" in points and bool((points["params"] > 0).all()):
        size = np.log(points["params"].to_numpy(float))
        powers = np.vander(size - size.mean(), min(3, len(np.unique(size))))
        rest = cost - powers @ np.linalg.lstsq(powers, cost, rcond=None)[0]
    else:
        of_model = pd.Series(cost).groupby(points["model"].to_numpy() if "model" in points else np.zeros(len(points)))
        rest = cost - of_model.transform("mean").to_numpy()
    return float(np.sqrt(np.mean(rest**2)))


def _passed_over(first: DataName, chosen: DataName, left: Mapping[DataName, float], x: str) -> str:
    what = (
        f"{first} leave {x} ×/÷ {significant(float(np.exp(left[first])), 3)} unexplained, {chosen} ×/÷ {significant(float(np.exp(left[chosen])), 3)}"
        if first in left
        else f"{first} are the same for all runs"
    )
    return f"{what}: {chosen} counts as what runs were trained on"
