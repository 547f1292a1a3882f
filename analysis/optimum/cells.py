"""The cells of one family as arrays: size, epochs, compute and loss, all in logarithms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.pareto import Frontier
from scaling.errors import DataError, UsageError

__all__ = ["GridCells", "grid_cells"]


@dataclass(frozen=True, eq=False)
class GridCells:
    """n cells in order of compute.

    x, size, epochs, loss: (n,), natural logarithms. seeds: runs behind each. sizes: the distinct log sizes, ascending.
    size_name: `params`, or `<x> an epoch` where the table has no params: compute then is size times epochs.
    examples_per_epoch: of the training split; 1 where the table does not say.
    """

    x: np.ndarray
    size: np.ndarray
    epochs: np.ndarray
    loss: np.ndarray
    seeds: np.ndarray
    model: np.ndarray
    size_name: str
    examples_per_epoch: float

    @property
    def sizes(self) -> np.ndarray:
        return np.unique(self.size)

    def log_epochs_at(self, log_x: np.ndarray, log_size: np.ndarray) -> np.ndarray:
        """Epochs that compute x buys at a size: x / (compute of an epoch), which is interpolated in log size between the models."""
        sizes = self.sizes
        cost = np.array([np.median((self.x - self.epochs)[self.size == size]) for size in sizes])
        slope = np.polyfit(sizes, cost, 1)[0] if len(sizes) > 1 else 1.0
        beyond = np.where(log_size < sizes[0], log_size - sizes[0], np.where(log_size > sizes[-1], log_size - sizes[-1], 0.0))
        return log_x - np.interp(log_size, sizes, cost) - slope * beyond


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
    if "epochs" not in points or points["epochs"].isna().any():
        raise DataError("the optimum of size and epochs needs the epochs of every run", hint="--map epochs=THEIRS")
    points = points.sort_values([found.x, "epochs"], kind="stable")
    log_x, log_epochs = np.log(points[found.x].to_numpy(float)), np.log(points["epochs"].to_numpy(float))
    if "params" in points and points["params"].notna().all():
        log_size, size_name = np.log(points["params"].to_numpy(float)), "params"
    elif "model" in points and (points["model"] != "").all():
        cost = pd.Series(log_x - log_epochs).groupby(points["model"].to_numpy()).transform("median")
        log_size, size_name = cost.to_numpy(float), f"{found.x} an epoch"
    else:
        raise DataError(
            "the optimum of size and epochs needs the size of every run", hint="--map params=THEIRS, or --map model=THEIRS"
        )
    runs = found.runs
    per_epoch = (
        float(np.median(runs["examples_seen"].to_numpy(float) / runs["epochs"].to_numpy(float)))
        if "examples_seen" in runs
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
        examples_per_epoch=per_epoch if np.isfinite(per_epoch) else 1.0,
    )
