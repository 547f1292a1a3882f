"""The cells of one family as arrays: size, epochs, compute and loss, all in logarithms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from analysis.pareto import Frontier, frontier
from analysis.selection import Excluded
from scaling.errors import DataError, UsageError

__all__ = ["GridCells", "grid_cells", "grid_frontier", "with_data"]

_SAME_SIZE = 0.02
_DESIGN = ("epochs", "params", "examples_seen")


@dataclass(frozen=True, eq=False)
class GridCells:
    """n cells in order of compute.

    x, size, epochs, loss: (n,), natural logarithms; where the table has no epochs, `epochs` are the examples seen, see `data_name`. seeds: runs behind each. sizes: the distinct log sizes, ascending.
    size_name: `params`, or `<x> an epoch` where the table has no params: compute then is size times epochs. Sizes within 2 % are one.
    data_name: how much was trained on: `epochs`, else `examples_seen`.
    examples_per_epoch: of the training split; 1 where the table does not say.
    """

    x: np.ndarray
    size: np.ndarray
    epochs: np.ndarray
    loss: np.ndarray
    seeds: np.ndarray
    model: np.ndarray
    size_name: str
    data_name: Literal["epochs", "examples_seen"]
    examples_per_epoch: float

    @property
    def sizes(self) -> np.ndarray:
        return np.unique(self.size)

    @property
    def repeats(self) -> bool:
        """Whether any run saw an example more than once."""
        return self.data_name == "epochs" and bool(self.epochs.max() > 0)

    def log_epochs_at(self, log_x: np.ndarray, log_size: np.ndarray) -> np.ndarray:
        """Epochs that compute x buys at a size: x / (compute of an epoch), which is interpolated in log size between the models."""
        sizes = self.sizes
        cost = np.array([np.median((self.x - self.epochs)[self.size == size]) for size in sizes])
        slope = np.polyfit(sizes, cost, 1)[0] if len(sizes) > 1 else 1.0
        beyond = np.where(log_size < sizes[0], log_size - sizes[0], np.where(log_size > sizes[-1], log_size - sizes[-1], 0.0))
        return log_x - np.interp(log_size, sizes, cost) - slope * beyond


def grid_frontier(runs: pd.DataFrame, *, metric: str, x: str, cell: Sequence[str] = ()) -> Frontier:
    """`analysis.frontier` of the runs whose place in the grid is known: a run without a positive `epochs`, `params` or `examples_seen` is
    left out and listed, unless no run has that column: one hole does not change what the others are measured by.

    Raises: what `analysis.frontier` raises.
    """
    found = frontier(runs, metric=metric, x=x, cell=cell)
    kept, excluded = found.runs, list(found.excluded)
    for name in (name for name in _DESIGN if name in found.runs):
        number = pd.to_numeric(found.runs[name], errors="coerce")
        known = (number > 0) & np.isfinite(number)
        if known.any():
            reason = pd.Series(np.where(number.isna(), f"no {name}", f"{name} is not a positive number"), index=number.index)
            bad = ~known.loc[kept.index]
            excluded += [Excluded(run, why, why) for run, why in zip(kept.loc[bad, "id"], reason.loc[kept.index][bad], strict=True)]
            kept = kept[~bad]
    if len(kept) == len(found.runs):
        return found
    if kept.empty:
        raise DataError("no run has epochs, params and examples seen together", hint="fill the holes of these columns")
    again = frontier(kept.drop(columns="cell"), metric=metric, x=x, cell=cell)
    return replace(again, excluded=(*excluded, *again.excluded))


def grid_cells(found: Frontier) -> GridCells:
    """The cells of a frontier of one family.

    Raises:
        UsageError: the runs are of several families, whose sizes do not compare.
        DataError: the table has no epochs, or neither params nor model names.
    """
    points = found.points
    families = sorted({str(name) for name in points["family"] if name}) if "family" in points else []
    if len(families) > 1:
        raise UsageError(
            f"the runs are of {len(families)} families ({', '.join(families)}), whose sizes do not compare",
            hint=f"choose one: --family {families[0]}; `scaling compare --by family` compares them",
        )
    points, data_name = with_data(found)
    points = points.sort_values([found.x, data_name], kind="stable")
    log_x, log_epochs = np.log(points[found.x].to_numpy(float)), np.log(points[data_name].to_numpy(float))
    if "params" in points and (points["params"] > 0).all():
        log_size, size_name = _merged_sizes(np.log(points["params"].to_numpy(float))), "params"
    elif "model" in points and (points["model"] != "").all():
        cost = pd.Series(log_x - log_epochs).groupby(points["model"].to_numpy()).transform("median")
        log_size, size_name = cost.to_numpy(float), f"{found.x} an epoch"
    else:
        raise DataError(
            "the optimum of size and epochs needs the size of every run", hint="--map params=THEIRS, or --map model=THEIRS"
        )
    runs = found.runs
    per_epoch = (
        float(np.nanmedian(runs["examples_seen"].to_numpy(float) / runs["epochs"].to_numpy(float)))
        if "examples_seen" in runs and data_name == "epochs" and runs["examples_seen"].notna().any()
        else np.nan
    )
    return GridCells(
        x=log_x,
        size=log_size,
        epochs=log_epochs,
        loss=np.log(points[found.metric].to_numpy(float)),
        seeds=points["seeds"].to_numpy(float),
        model=points["model"].to_numpy(str) if "model" in points else np.full(len(points), ""),
        size_name=size_name,
        data_name=data_name,
        examples_per_epoch=per_epoch if np.isfinite(per_epoch) else 1.0,
    )


def with_data(found: Frontier) -> tuple[pd.DataFrame, Literal["epochs", "examples_seen"]]:
    """The points of a frontier with the column that says how much was trained on: `epochs`, else `examples_seen`.

    Raises: DataError, there is neither.
    """
    points, runs = found.points, found.runs
    if "epochs" in points and (points["epochs"] > 0).all():
        return points, "epochs"
    if "examples_seen" in runs and (runs["examples_seen"] > 0).all():
        return points.assign(examples_seen=points["cell"].map(runs.groupby("cell")["examples_seen"].mean())), "examples_seen"
    raise DataError(
        "the optimum of size and epochs needs the epochs, or the examples seen, of every run",
        hint="--map epochs=THEIRS, or --map examples_seen=THEIRS",
    )


def _merged_sizes(log_size: np.ndarray) -> np.ndarray:
    """The same with sizes within `_SAME_SIZE` of each other set to their mean: digitised or rounded parameter counts of one model."""
    distinct, place = np.unique(log_size, return_inverse=True)
    first, groups = -np.inf, []
    for size in distinct:
        if size - first > _SAME_SIZE:
            first = size
        groups.append(first)
    group = np.unique(groups, return_inverse=True)[1][place]
    return (np.bincount(group, log_size) / np.bincount(group))[group]
