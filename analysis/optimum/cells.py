"""The cells of one family as arrays: size, epochs, compute and loss, all in logarithms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from analysis.optimum.budgets import spread_in_budgets
from analysis.optimum.cost import Cost, exact_cost, fit_cost
from analysis.optimum.trained_on import DataName, with_data, with_examples
from analysis.pareto import Frontier, frontier
from analysis.selection import Excluded
from scaling.errors import DataError, UsageError

__all__ = ["GridCells", "grid_cells", "grid_frontier"]

_SAME_SIZE = 0.02
_DESIGN = ("epochs", "params", "examples_seen")


@dataclass(frozen=True, eq=False)
class GridCells:
    """Holds n cells, in order of size, then data, then loss: an order that neither rows nor names nor units decide.

    x, size, data, loss: (n,), natural logarithms. `x` is the compute that counts: what a model of that size costs for that data by all
    runs together, see `Cost`; `measured`: (n,), as the table has it. The two are one where the table's budgets are meant, see
    `counted_x`.
    seeds: runs behind each. sizes: (K,), the distinct log sizes, ascending; group: (n,), which of them a cell has.
    size_name: `params`, or `<x> an epoch` where the table has no params: compute then is size times epochs. Sizes within 2 % are one.
    data_name: how much was trained on: `epochs`, `examples_seen` or `steps`, see `with_data`.
    data_note: a sentence where that is not the first that the table has, else empty.
    others: logarithms of further columns of the cells, (n,) each, see `grid_cells`.
    examples_per_epoch: of the training split; 1 where the table does not say.
    """

    x: np.ndarray
    measured: np.ndarray
    size: np.ndarray
    data: np.ndarray
    loss: np.ndarray
    seeds: np.ndarray
    model: np.ndarray
    cost: Cost
    size_name: str
    data_name: DataName
    examples_per_epoch: float
    data_note: str = ""
    others: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def sizes(self) -> np.ndarray:
        return np.unique(self.size)

    @property
    def group(self) -> np.ndarray:
        return np.unique(self.size, return_inverse=True)[1]

    @property
    def repeats(self) -> bool:
        """Say whether any run saw an example more than once."""
        return self.data_name == "epochs" and bool(self.data.max() > 0)

    @property
    def counts_measured(self) -> bool:
        """Say whether compute counts as the table has it."""
        return bool(np.array_equal(self.x, self.measured))

    def own_cost(self, log_size: np.ndarray) -> np.ndarray:
        """Return how much more models of these sizes (m,) cost than the smooth relation says, in logarithms; 0 for untried sizes."""
        sizes = self.sizes
        nearest = np.abs(np.asarray(log_size)[:, None] - sizes).argmin(axis=1)
        return np.where(np.abs(sizes[nearest] - log_size) <= _SAME_SIZE, self.cost.own[nearest], 0.0)

    def up_to(self, log_x: float) -> GridCells:
        """Return the cells of at most this compute; what an example costs is taken as known."""
        kept = self.x <= log_x + 1e-9
        names = ("x", "measured", "size", "data", "loss", "seeds", "model")
        others = {name: values[kept] for name, values in self.others.items()}
        return replace(self, **{name: getattr(self, name)[kept] for name in names}, others=others)


def grid_frontier(runs: pd.DataFrame, *, metric: str, x: str, cell: Sequence[str] = ()) -> Frontier:
    """Find the frontier (`analysis.frontier`) of the runs whose place in the grid is known.

    A run without a positive `epochs`, `params` or `examples_seen` is left out and listed, unless no run has that column. One missing
    value does not change what the others are measured by.

    Raises: what `analysis.frontier` raises.
    """
    found = frontier(with_examples(runs), metric=metric, x=x, cell=cell)
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
        raise DataError(
            "no run has epochs, params and examples seen together", hint="give at least one run a value in each of these columns"
        )
    again = frontier(kept.drop(columns="cell"), metric=metric, x=x, cell=cell)
    return replace(again, excluded=(*excluded, *again.excluded))


def grid_cells(found: Frontier, others: Sequence[str] = ()) -> GridCells:
    """Return the cells of a frontier of one family as arrays.

    others: further positive columns of its points, to be in the same order.

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
    points, data_name, data_note = with_data(found)
    measured, log_data = np.log(points[found.x].to_numpy(float)), np.log(points[data_name].to_numpy(float))
    loss = np.log(points[found.metric].to_numpy(float))
    with_params = "params" in points and bool((points["params"] > 0).all())
    if with_params:
        exact_size = np.log(points["params"].to_numpy(float))
        log_size, size_name = _merged_sizes(exact_size), "params"
    elif "model" in points and (points["model"] != "").all():
        cost_of = pd.Series(measured - log_data).groupby(points["model"].to_numpy()).transform("median")
        log_size = exact_size = cost_of.to_numpy(float)
        size_name = f"{found.x} an epoch"
    else:
        raise DataError(
            "the optimum of size and epochs needs the size of every run", hint="--map params=THEIRS, or --map model=THEIRS"
        )
    order = np.lexsort((measured, loss, log_data, log_size))
    further = {name: np.log(points[name].to_numpy(float))[order] for name in others}
    measured, log_data, loss, log_size, exact_size = (values[order] for values in (measured, log_data, loss, log_size, exact_size))
    sizes, group = np.unique(log_size, return_inverse=True)
    cost = fit_cost(measured, exact_size, log_data, group) if with_params else exact_cost(measured, log_data, sizes, group)
    runs = found.runs
    per_epoch = (
        float(np.nanmedian(runs["examples_seen"].to_numpy(float) / runs["epochs"].to_numpy(float)))
        if "examples_seen" in runs and data_name == "epochs" and runs["examples_seen"].notna().any()
        else np.nan
    )
    return GridCells(
        x=counted_x(measured, cost.log_x(exact_size, log_data) + cost.own[group], group),
        measured=measured,
        size=log_size,
        data=log_data,
        loss=loss,
        seeds=points["seeds"].to_numpy(float)[order],
        model=points["model"].to_numpy(str)[order] if "model" in points else np.full(len(points), ""),
        cost=cost,
        size_name=size_name,
        data_name=data_name,
        examples_per_epoch=per_epoch if np.isfinite(per_epoch) else 1.0,
        data_note=data_note,
        others=further,
    )


def counted_x(measured: np.ndarray, fitted: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Choose the compute of the cells that counts, measured or fitted, (n,), in logarithms.

    The fitted one, because measured compute is noisy, and a loss is compared at equal compute. But where cells of several sizes were
    run at common budgets (an isoFLOP table), whichever holds the cells of a budget closer together: budgets that are equal in the table
    are meant to be equal.
    """
    return measured if spread_in_budgets(measured, group) < spread_in_budgets(fitted, group) else fitted


def _merged_sizes(log_size: np.ndarray) -> np.ndarray:
    """Set sizes within `_SAME_SIZE` of each other to their mean: they are digitised or rounded parameter counts of one model."""
    distinct, place = np.unique(log_size, return_inverse=True)
    first, groups = -np.inf, []
    for size in distinct:
        if size - first > _SAME_SIZE:
            first = size
        groups.append(first)
    group = np.unique(groups, return_inverse=True)[1][place]
    return (np.bincount(group, log_size) / np.bincount(group))[group]
