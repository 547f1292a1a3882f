"""The second coordinate beside compute, which tells the cells of one compute apart; and which cells count where there is none."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from analysis.pareto import pareto_mask
from analysis.response_surface import Covered

__all__ = ["SECOND", "Layout", "larger_with_second", "layout_of", "lowest_half", "near_frontier", "with_sizes"]

Layout = Literal["surface", "curve", "frontier"]
"""`surface`: a second coordinate tells the cells of one compute apart. `curve`: the cells of a side are one chain, such as the budgets
of one model, and all of them count. `frontier`: nothing tells a side's cells apart, so that only those count which no other beats."""

SECOND = ("epochs", "examples_seen", "params")
"""Columns that may be the second coordinate, the best first."""

_SPREAD = 0.1
"""Share of a coordinate's spread that compute must leave unexplained before it says something that compute does not: measured compute
varies by some per cent, while sizes differ by far more."""

_LEAST_CHAIN = 6
_SCATTER = 2.0
"""All cells of one curve may scatter so many times as much as its lowest, which noise has chosen. Those of a grid scatter ten times as
much."""

_ONE_SIZE = 0.2
"""The measured compute an epoch of one size may vary by so much, in logs."""

_SAME = 1e-9
"""Logs nearer than this are equal: the order of two equal numbers must not depend on how they were rounded."""


def layout_of(a: pd.DataFrame, b: pd.DataFrame, x: str) -> tuple[Layout, pd.DataFrame, pd.DataFrame]:
    """Find the layout of both sides' cells. Returns it with both tables, to which a surface adds the log of the second coordinate, `log_w`.

    The second coordinate is the first column of `SECOND` that both sides have and that compute does not explain. Where none is known but
    the models are, a model's size is told by its median compute.

    Args: tables of cells with `log_x` and `log_metric`, and whichever of `SECOND` and `model` are known.
    """
    known = _known(a, b, x)
    for name in known:
        with_a, with_b = (table.assign(log_w=np.log(table[name].to_numpy(float))) for table in (a, b))
        if _spreads(with_a) or _spreads(with_b):
            return "surface", with_a, with_b
    models = [_models(table) for table in (a, b)]
    if known or models == [1, 1]:
        return "curve", a, b
    if min(models) > 0:
        with_a, with_b = (table.assign(log_w=table.groupby("model")["log_x"].transform("median")) for table in (a, b))
        if _spreads(with_a) or _spreads(with_b):
            return "surface", with_a, with_b
    return ("curve" if _chain(a) and _chain(b) else "frontier"), a, b


def larger_with_second(a: pd.DataFrame, b: pd.DataFrame, x: str) -> int:
    """Return 1 where the larger `log_w` of a surface is the larger model at equal compute, −1 where it is the smaller.

    It is the larger where `log_w` is of the params or a model's compute, the smaller where it is of the epochs or the examples.
    """
    on_epochs = any(np.allclose(a["log_w"], np.log(a[name])) for name in _known(a, b, x) if name != "params")
    return -1 if on_epochs else 1


def with_sizes(a: pd.DataFrame, b: pd.DataFrame, x: str) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Add `log_size` to the tables: of the params, else of the compute an epoch or an example, else `log_w`.

    None where no size is known. Where it is the same on either side, each side has one size, and None is returned too: then these two sizes
    are what is compared.
    """
    known = _known(a, b, x)
    if not known:
        return None if "log_w" not in a else (a.assign(log_size=a["log_w"]), b.assign(log_size=b["log_w"]))
    name = "params" if "params" in known else known[0]
    log = [np.log(table[name].to_numpy(float)) for table in (a, b)]
    sizes = log if name == "params" else [table["log_x"] - each for table, each in zip((a, b), log, strict=True)]
    if all(np.ptp(each) < _ONE_SIZE for each in sizes):
        return None
    return a.assign(log_size=sizes[0]), b.assign(log_size=sizes[1])


def near_frontier(table: pd.DataFrame) -> np.ndarray:
    """Mark cells that no other cell beats with as little compute, (n,); of cells with equal compute the lowest counts."""
    return pareto_mask(_levels(table["log_x"].to_numpy(float)), _levels(table["log_metric"].to_numpy(float)))


def lowest_half(table: pd.DataFrame) -> pd.DataFrame:
    """Return the half of the cells that lie least above the lower convex hull of all, in logs.

    A grid's cells that no other beats still lie above the frontier that runs between its sizes, by up to some per cent.
    """
    u, y = table["log_x"].to_numpy(float), table["log_metric"].to_numpy(float)
    hull = Covered(u, y)
    above = y - np.array([hull.between(float(at))[0] for at in u])
    return table[above <= np.median(above) + _SAME].reset_index(drop=True)


def _known(a: pd.DataFrame, b: pd.DataFrame, x: str) -> list[str]:
    """Return the columns of `SECOND`, without `x`, that both sides have and in which the cells of either side differ."""
    return [
        name
        for name in SECOND
        if name != x and all(_usable(table, name) for table in (a, b)) and any(_varies(table, name) for table in (a, b))
    ]


def _usable(table: pd.DataFrame, name: str) -> bool:
    return name in table and bool(table[name].notna().all() and (table[name] > 0).all())


def _varies(table: pd.DataFrame, name: str) -> bool:
    """Say whether a column varies. If not, it says neither that cells differ in it nor that they differ in nothing else."""
    return bool(np.ptp(np.log(table[name].to_numpy(float))) > _SAME)


def _models(table: pd.DataFrame) -> int:
    """Count the models; 0 where they are not named, or one has fewer than two cells."""
    if "model" not in table or (table["model"] == "").any():
        return 0
    cells = table.groupby("model").size()
    return len(cells) if cells.min() > 1 else 0


def _spreads(table: pd.DataFrame) -> bool:
    """Say whether `log_w` varies by more than a smooth function of `log_x` explains."""
    u, w = table["log_x"].to_numpy(float), table["log_w"].to_numpy(float)
    if len(u) < 3 or np.ptp(w) < _SAME:
        return False
    return bool(_left(u, w) > _SPREAD * np.std(w))


def _chain(table: pd.DataFrame) -> bool:
    """Say whether the cells lie on one curve: those that others beat scatter about it hardly more than those that none beats."""
    best = table[near_frontier(table)]
    if len(best) == len(table):
        return True
    if len(best) < _LEAST_CHAIN:
        return False
    every, lowest = (_left(each["log_x"].to_numpy(float), each["log_metric"].to_numpy(float)) for each in (table, best))
    return every < _SCATTER * lowest


def _left(u: np.ndarray, y: np.ndarray) -> float:
    """Return the standard deviation of what a low polynomial in u leaves of y."""
    powers = np.vander((u - u.mean()) / max(np.ptp(u), _SAME), 4 if len(u) >= 12 else 3 if len(u) >= 8 else 2)
    left = y - powers @ np.linalg.lstsq(powers, y, rcond=None)[0]
    return float(np.sqrt(left @ left / max(1, len(u) - powers.shape[1])))


def _levels(values: np.ndarray) -> np.ndarray:
    """Rank the values, (n,); values nearer than `_SAME` have equal ranks."""
    order = np.argsort(values, kind="stable")
    ranks = np.empty(len(values))
    ranks[order] = np.concatenate(([0], np.cumsum(np.diff(values[order]) > _SAME)))
    return ranks
