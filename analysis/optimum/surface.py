"""The optimum from a fitted surface: minimise L(N, D) at each compute.

Approach 3 of Hoffmann et al. 2022 (arXiv 2203.15556, sec. 3.3); with repeated epochs the surface is that of Muennighoff et al. 2023
(arXiv 2305.16264). The surface is one of size and data alone. What a run costs is a smooth relation of its own (`analysis.optimum.cost`)
rather than 6·N·D, so that compute may be measured, noisy core-hours and models may be convolutional.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.choice import best_forecaster
from analysis.constant import constant
from analysis.diagnostics.residuals import residual_trend
from analysis.fitting.bootstrap import small_sample_factor
from analysis.fitting.fit import fit
from analysis.fitting.law_estimate import LawEstimate
from analysis.fitting.result import Fit
from analysis.laws import law_named, law_names
from analysis.laws.constrained import Pins, Ties, refuse_unnamed
from analysis.laws.law import Law
from analysis.optimum.cells import GridCells
from analysis.optimum.path import Path, path_along, refused
from scaling.errors import TooFewPoints, UnknownName
from scaling.outcomes import FitStatus, OptimumStatus

__all__ = [
    "CANDIDATES",
    "Surface",
    "fit_surface",
    "law_inputs",
    "surface_laws",
    "surface_minimum",
    "surface_path",
    "weighed_surface",
]

CANDIDATES = ("chinchilla", "data-constrained")
"""The surfaces among which an optimum chooses. Tied exponents forecast losses well, but have answered how the best size grows before any run
has: as the root of compute. The others are taken where they are named."""

_ANSWERED = ("chinchilla-tied",)
"""The laws that are in no average that an optimum is sought in, for that reason."""

_BUDGETS = 9
_SIZES = 361
_BEYOND = np.log(1e6)  # how far outside the sizes tried an optimum is followed; there it is no optimum but the edge of the grid

_NOT_IDENTIFIED = (FitStatus.NOT_IDENTIFIED, FitStatus.EXPONENT_NOT_IDENTIFIED, FitStatus.TERM_VANISHES, FitStatus.NOT_CONVERGED)
"""Statuses of a surface's fit that leave its minimum open: it depends on the exponents and terms, though not on the floor."""


class Surface:
    """Evaluates a fitted surface over the cells of one family, by log size and log epochs."""

    def __init__(self, found: Fit, cells: GridCells, columns: Sequence[str]) -> None:
        self.fit, self.cells, self.columns = found, cells, tuple(columns)

    def table(self, log_size: np.ndarray, log_data: np.ndarray) -> pd.DataFrame:
        """Make the inputs of the law at these sizes and epochs, one row each."""
        return pd.DataFrame(dict(zip(self.columns, law_inputs(self.cells, log_size, log_data), strict=False)))

    def scatter(self) -> tuple[float, int]:
        """Return the standard deviation of the log loss of a cell about the surface, and its degrees of freedom."""
        cells = self.cells
        left = cells.loss - self.fit.log_mean(self.table(cells.size, cells.data))
        freedom = len(left) - len(self.fit.form.free)
        return float(np.sqrt(left @ left / max(freedom, 1))), freedom

    def optimum(self, log_x: np.ndarray) -> np.ndarray:
        """Return log size of the minimum at each compute, (k,); ±inf where there is none.

        There is none where the curve falls to the end of the sizes looked at, a million times beyond those tried.
        """
        return surface_minimum(self.fit.form, self.fit.theta, self.cells, log_x)

    def optimum_draws(self, log_x: np.ndarray, costs: np.ndarray) -> np.ndarray:
        """Return log size of the minimum in every draw, (draws, k), NaN where one has none.

        A draw moves the surface by the noise of the losses, and the relation of cost by that of the computes.

        costs: (draws, p), theta of the relation, see `Cost.draws`.
        """
        value = self.optimum(log_x)
        estimate = self.fit.estimate
        assert isinstance(estimate, LawEstimate)
        thetas = estimate.draws
        found = np.array(
            [
                surface_minimum(self.fit.form, theta, self.cells, log_x, costs[number % len(costs)])
                for number, theta in enumerate(thetas)
            ]
        )
        # Spread for the small sample alone. What the form of the law may be off by shows in how far the approaches differ.
        spread = small_sample_factor(self.fit.cells, len(self.fit.form.free), self.fit.precision)
        known = np.isfinite(found) & np.isfinite(value)
        return np.where(known, value + spread * (np.where(known, found, 0.0) - np.where(known, value, 0.0)), np.nan)


def law_inputs(cells: GridCells, log_size: np.ndarray, log_data: np.ndarray) -> np.ndarray:
    """Compute N, D and U (3, n) at these sizes and epochs, in the unit that the surface is fitted in."""
    with np.errstate(over="ignore", under="ignore"):
        seen = np.exp(log_data) * cells.examples_per_epoch
        return np.stack([np.exp(log_size), seen, _unique(seen, cells)])


def surface_minimum(law: Law, theta: np.ndarray, cells: GridCells, log_x: np.ndarray, cost: np.ndarray | None = None) -> np.ndarray:
    """Find the log size at which the law theta (p,) is least at each compute (k,).

    It is ±inf where the law falls to the end of the sizes looked at.
    """
    sizes = np.linspace(cells.sizes[0] - _BEYOND, cells.sizes[-1] + _BEYOND, _SIZES)
    log_data = cells.cost.log_data(log_x[:, None], sizes, None if cost is None else cost[None])
    inputs = law_inputs(cells, np.tile(sizes, len(log_x)), log_data.ravel())[: len(law.axes)]
    return _minimum(sizes, law.log_curve(inputs, theta[None]).reshape(len(log_x), _SIZES))


def fit_surface(
    runs: pd.DataFrame,
    cells: GridCells,
    *,
    metric: str,
    law: str | None,
    objective: str,
    bootstrap: int,
    level: float,
    seed: int,
    pin: Pins = (),
    tie: Ties = (),
) -> Surface:
    """Fit `law`, or, where none is named, the one of `CANDIDATES` that forecasts the larger runs best from the smaller.

    Args:
        runs: those of the cells, as `Frontier.runs` has them.
        pin, tie: of a law that is named, see `analysis.fit`.

    Raises: TooFewPoints; UnknownName for a law that is not a surface.
    """
    table, columns = _with_inputs(runs, cells)
    if law is not None and law not in surface_laws():
        raise UnknownName("surface", law, surface_laws())
    refuse_unnamed(law, pin, tie)
    names = [law] if law is not None else [name for name in CANDIDATES if cells.repeats or "U" not in law_named(name).axes]
    fits: list[Surface] = []
    fault: TooFewPoints | None = None
    for name in names:
        own = columns[: len(law_named(name).axes)]
        try:
            found = fit(
                table,
                metric=metric,
                x=own,
                law=name,
                cell=("cell",),
                objective=objective,
                bootstrap=bootstrap,
                level=level,
                seed=seed,
                pin=pin,
                tie=tie,
            )
        except TooFewPoints as error:
            fault = fault or error
            continue
        fits.append(Surface(found, cells, own))
    if not fits:
        assert fault is not None
        raise fault
    best = best_forecaster([surface.fit for surface in fits])
    return next(surface for surface in fits if surface.fit is best)


def weighed_surface(
    runs: pd.DataFrame, cells: GridCells, *, metric: str, objective: str, bootstrap: int, level: float, seed: int
) -> Fit:
    """Fit the surfaces of these cells together, weighed by what they forecast: `law="auto"` of size and data, and of unique examples.

    It is without the surface that fixes how the best size grows: beside it the others have little weight, and no doubt is left.

    Raises: what `analysis.fit` raises.
    """
    table, columns = _with_inputs(runs, cells)
    inputs = columns if cells.repeats else columns[:2]
    return fit(
        table,
        metric=metric,
        x=inputs,
        law="auto",
        cell=("cell",),
        objective=objective,
        bootstrap=bootstrap,
        level=level,
        seed=seed,
        without=_ANSWERED,
    )


def surface_laws() -> list[str]:
    """List the laws of size and examples."""
    return [name for name in law_names() if law_named(name).axes in (("N", "D"), ("N", "D", "U"))]


def surface_path(surface: Surface, *, x: str, level: float, seed: int, noise: float) -> Path:
    """Find the path of a fitted surface, at the computes where its optimum lies inside the sizes and epochs that were tried."""
    cells, law = surface.cells, surface.fit.law
    budgets = np.linspace(cells.x.min(), cells.x.max(), _BUDGETS)
    size = surface.optimum(budgets)
    data = cells.cost.log_data(budgets, size)
    sizes = cells.sizes
    inside = (size > sizes[0]) & (size < sizes[-1]) & (data >= cells.data.min()) & (data <= cells.data.max())
    points = pd.DataFrame({x: np.exp(budgets), "size": np.exp(size), cells.data_name: np.exp(data), "interior": inside})
    if inside.sum() < 2:
        side = (
            "above the largest"
            if np.median(size) >= sizes[-1]
            else "below the smallest"
            if np.median(size) <= sizes[0]
            else f"outside the {cells.data_name.replace('_', ' ')}"
        )
        reason = f"the minimum of the {law} surface lies {side} tried at {int((~inside).sum())} of {_BUDGETS} computes"
        return refused("surface", OptimumStatus.NOT_INTERIOR, reason, points, law)
    at = budgets[inside]
    costs, _ = cells.cost.draws(surface.fit.precision.bootstrap, seed)
    size_draws = surface.optimum_draws(at, costs)
    return path_along(
        "surface",
        x=x,
        data=cells.data_name,
        log_x=at,
        size=(size[inside], size_draws),
        epochs=(data[inside], cells.cost.log_data(at, size_draws, costs)),
        level=level,
        reason=f"minimum of the {law} surface of {surface.fit.cells} cells ({surface.fit.status.value})",
        points=points,
        epochs_tried=(float(np.exp(cells.data.min())), float(np.exp(cells.data.max()))),
        law=law,
        identified=surface.fit.status not in _NOT_IDENTIFIED,
        trend=bool(residual_trend(surface.fit)),
        noise=noise,
    )


def _with_inputs(runs: pd.DataFrame, cells: GridCells) -> tuple[pd.DataFrame, tuple[str, str, str]]:
    """Add a column for N, D and U each to the runs, and return the names of these."""
    table = runs.copy()
    if cells.size_name != "params":
        table["size"] = table["model"].map(dict(zip(cells.model, np.exp(cells.size), strict=True)))
    seen = "examples_seen" if cells.examples_per_epoch != 1.0 else cells.data_name
    if "unique_examples" not in table or table["unique_examples"].isna().any():
        table["unique_examples"] = _unique(table[seen].astype(float).to_numpy(), cells)
    return constant(table), ("params" if cells.size_name == "params" else "size", seen, "unique_examples")


def _unique(seen: np.ndarray, cells: GridCells) -> np.ndarray:
    """Count the distinct ones among examples seen: at most one epoch's, and all where an epoch's size is not known."""
    return np.minimum(seen, cells.examples_per_epoch) if cells.data_name == "epochs" else seen


def _minimum(sizes: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """Find where each curve (k, sizes) is lowest, (k,), by the parabola through the lowest point and its neighbours.

    It is -inf or inf where the lowest point is the first or the last.
    """
    lowest = np.argmin(curves, axis=-1)
    best = np.clip(lowest, 1, len(sizes) - 2)
    left, here, right = (np.take_along_axis(curves, (best + step)[..., None], -1)[..., 0] for step in (-1, 0, 1))
    bend = left - 2 * here + right
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(bend > 0, (left - right) / (2 * bend), 0.0)
    inner = sizes[best] + np.clip(shift, -1, 1) * (sizes[1] - sizes[0])
    return np.where(lowest == 0, -np.inf, np.where(lowest == len(sizes) - 1, np.inf, inner))
