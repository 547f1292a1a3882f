"""Learning rates searched unequally: the lowest of several noisy trials is low by luck too, and the lower the more were tried.

Where the sides tried unlike numbers of rates, as many count in each cell of both. They are those nearest to the rate that the *other*
cells of its side point to. The cell's own noise has no part in that choice; the best of those that count is low by luck alike on both
sides.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import special

from analysis.comparison.pairing import CALIPER
from analysis.design_columns import alike, settings_among, with_epochs
from analysis.pareto import Frontier
from analysis.reading.column_kinds import is_learning_rate
from analysis.selection import Excluded

__all__ = ["equal_number", "luck_of", "more_searched", "rates_tried", "runs_near_predicted_rates"]

_UNLIKE = 0.1
"""The luck of the sides may differ by so many standard deviations of noise: one diverged rate in ten cells makes no other search."""

_FOR_A_LINE, _FOR_A_PLANE = 6, 12
_SPREAD = 1e-6


def rates_tried(own: pd.DataFrame, found: Frontier) -> pd.Series:
    """Count the learning rates that finished in each cell of `found.points`, by `cell`.

    Args: own: the runs of one side that `found` was made of.
    """
    tried = _tried(own, found)
    if tried is None:
        return pd.Series(1, index=found.points["cell"])
    counts = tried.groupby("cell")["rate"].nunique()
    return counts.reindex(found.points["cell"]).fillna(1).clip(lower=1)


def luck_of(rates: np.ndarray) -> np.ndarray:
    """Return how many standard deviations of noise the lowest of so many alike trials lies below their mean (Blom 1958).

    It is 0 of one, 0.6 of two, 1.2 of five.
    """
    return np.asarray(special.ndtri((rates - 0.375) / (rates + 0.25)))


def more_searched(a: pd.DataFrame, b: pd.DataFrame) -> int | None:
    """Return the side, 0 or 1, whose cells tried more learning rates; None where the sides searched alike in either half of their compute.

    Args: tables of cells with `log_x` and `rates_tried`.
    """
    low, high = max(a["log_x"].min(), b["log_x"].min()), min(a["log_x"].max(), b["log_x"].max())
    middle, spare = (low + high) / 2, np.log(CALIPER)
    lucks = [
        [
            luck_of(table.loc[table["log_x"].between(first - spare, last + spare), "rates_tried"].to_numpy(float))
            for first, last in ((low, middle), (middle, high))
        ]
        for table in (a, b)
    ]
    gaps = [np.mean(one) - np.mean(other) for one, other in zip(*lucks, strict=True) if len(one) and len(other)]
    unlike = [gap for gap in gaps if abs(gap) > _UNLIKE]
    return None if not unlike else 0 if unlike[-1] > 0 else 1  # of the larger compute, where the verdict is given


def equal_number(a: pd.DataFrame, b: pd.DataFrame) -> int:
    """Return the number of learning rates that nine in ten cells of either side tried, at the least. Args: as of `more_searched`."""
    return int(min(np.quantile(table["rates_tried"], 0.1, method="lower") for table in (a, b)))


def runs_near_predicted_rates(own: pd.DataFrame, found: Frontier, count: int) -> tuple[pd.DataFrame, tuple[Excluded, ...]]:
    """Choose the runs of each cell at its `count` rates nearest to what the best rates of the side's other cells predict.

    Returns them, and the reason for all others. The prediction is linear in log compute, and in log size where there are cells enough; of
    fewer than six others it is their mean. Cells whose other settings differ (optimiser, batch size) predict nothing for each other; a cell
    alone has its own best rate for it.
    """
    tried = _tried(own, found)
    if tried is None:
        return own[own["id"].isin(found.runs["id"])], ()
    off = (np.log(tried["rate"]) - tried["cell"].map(_predicted(found))).abs().round(9)
    # Of two rates as near as each other the lower counts, whatever the order of rows.
    rates = tried.assign(off=off)[["cell", "off", "rate"]].drop_duplicates(["cell", "rate"]).sort_values(["cell", "off", "rate"])
    near = rates[rates.groupby("cell").cumcount() < count]
    kept = pd.MultiIndex.from_frame(tried[["cell", "rate"]]).isin(pd.MultiIndex.from_frame(near[["cell", "rate"]]))
    kind = f"not at one of the {count} learning rates nearest to where other cells have their best"
    if count == 1:
        kind = "not at the learning rate nearest to where other cells have their best"
    excluded = tuple(
        Excluded(run, f"learning rate {rate:g} is {kind}", kind)
        for run, rate in zip(tried.loc[~kept, "id"], tried.loc[~kept, "rate"], strict=True)
    )
    return own.loc[tried.index[kept]], excluded


def _tried(own: pd.DataFrame, found: Frontier) -> pd.DataFrame | None:
    """Return the runs that a cell's best rate was chosen from, by the rows of `own`; None without rates.

    The columns are `id`, `rate`, and `cell` as in `found`.
    """
    rate = next((str(name) for name in ("learning_rate", *own) if name in own and is_learning_rate(str(name))), None)
    if rate is None or "learning_rate" not in found.runs or own[rate].isna().any():
        return None
    table = with_epochs(own)
    group = alike(table, [name for name in found.cell_columns if name in table])
    cell_of = dict(zip(group[own["id"].isin(found.runs["id"])], _cells_by_id(own, found), strict=True))
    tried = pd.DataFrame({"id": own["id"], "rate": own[rate].astype(float), "cell": group.map(cell_of)})
    return tried[tried["cell"].notna() & (tried["rate"] > 0)]


def _cells_by_id(own: pd.DataFrame, found: Frontier) -> pd.Series:
    cells = found.runs.set_index("id")["cell"]
    return own.loc[own["id"].isin(cells.index), "id"].map(cells)


def _predicted(found: Frontier) -> pd.Series:
    """Return the log of the rate that the other cells point to, by `cell`."""
    points = found.points
    settings = [name for name in settings_among(found.runs, found.cell_columns) if name in points]
    groups = alike(points, settings) if settings else pd.Series(0, index=points.index)
    predicted = np.log(points["learning_rate"].to_numpy(float))
    for rows in groups.groupby(groups).indices.values():
        if len(rows) > 1:
            predicted[rows] = _left_out(_features(points.iloc[rows], found.x), predicted[rows])
    return pd.Series(predicted, index=points["cell"])


def _features(points: pd.DataFrame, x: str) -> np.ndarray:
    """Return a constant, log compute and log size, (n, k): as many as the number of cells allows, each centred and scaled."""
    columns = [np.ones(len(points))]
    names = (x, *(name for name in ("params", "epochs", "examples_seen") if name in points and (points[name] > 0).all()))[:2]
    for name, least in zip(names, (_FOR_A_LINE, _FOR_A_PLANE), strict=False):
        log = np.log(points[name].to_numpy(float))
        if len(points) > least and np.std(log) > _SPREAD:
            columns.append((log - log.mean()) / np.std(log))
    return np.column_stack(columns)


def _left_out(features: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Predict each row by a linear fit to all other rows, (n,); by the mean of the others where they do not determine it."""
    left, size, _ = np.linalg.svd(features, full_matrices=False)
    axes = left[:, size > _SPREAD * size.max()]
    leverage = (axes**2).sum(1)
    means = (y.sum() - y) / (len(y) - 1)
    free = 1 - leverage
    return np.where(free > _SPREAD, y - (y - axes @ (axes.T @ y)) / np.maximum(free, _SPREAD), means)
