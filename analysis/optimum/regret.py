"""What a choice of size and epochs costs at most: its regret against the best size and epochs of the same compute.

The losses are those of the weighed surfaces of size and data (`law="auto"`). In each of their draws the loss of the choice stands
beside the least loss of all sizes at the choice's compute, so that what both share cancels. The bound is the upper quantile of

    log L(choice) − min over sizes of log L(size, data that the compute buys)

over the draws, of one side: `level` of them lie below. A draw holds the noise of the losses (the law's bootstrap), which law it is (their
weights by the back-test), what the law's form may be off by (`analysis.fitting.discrepancy`), and what an example costs
(`analysis.optimum.cost`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd

from analysis.fitting.result import Fit
from analysis.interval import check_level
from analysis.numbers import finite
from analysis.optimum.cells import GridCells, grid_cells, grid_frontier
from analysis.optimum.surface import law_inputs, weighed_surface
from analysis.reading.prices import currency_of, unit_of
from analysis.unfinished import takes_runs
from scaling.errors import ScalingError
from scaling.rounding import percent, significant

__all__ = ["PricedChoice", "Regret", "regret"]

_AHEAD = 10.0
_BEYOND = 10.0
"""The best size is sought up to this factor beyond the sizes tried, at `_AHEAD` times the compute up to `_AHEAD` times more: nothing tells of
others."""

_SIZES = 241
_TAIL = 0.6
"""The tail of the draws is cut smaller than asked by this factor. In simulated grids the plain 95 % quantile held the truth 92 to 96 times
in 100, since what the draws are made from are estimates themselves."""

_MOST = 1.0  # a bound of as much as the loss itself says nothing
_LEAST_SIZES, _LEAST_CELLS = 3, 6
_SAME_DATA = 1.01  # epochs that differ by less are the same budget
_STEP = 1e-3


Kind = Literal["best-so-far", "best-size", "best-model"]


@dataclass(frozen=True)
class PricedChoice:
    """Holds what one choice costs against the best.

    kind: `best-so-far`, the cell of least loss that was run; `best-size`, the size that the surfaces name at a larger compute;
    `best-model`, the best there of the models that were run.
    times: its compute over that of the best cell that was run. at: its compute, in the unit of x.
    model, size, data: the choice; data in epochs, else in examples or steps.
    value: by how much its loss exceeds the least, as a share of it (0.004 is 0.4 %). most: the one-sided upper end of that.
    best_size, best_data: of the least loss at its compute.
    reason: why `most` is not known, and NaN; else empty.
    """

    kind: Kind
    times: float
    at: float
    model: str
    size: float
    data: float
    value: float
    most: float
    best_size: float
    best_data: float
    reason: str = ""

    def to_dict(self) -> dict[str, object]:
        return {name: finite(value) if isinstance(value, float) else value for name, value in self.__dict__.items()}


@dataclass(frozen=True, eq=False)
class Regret:
    """Holds what the best cell so far costs at most against the best of its compute, and what choices at ten times that would.

    family: whose choice it is, where the table has several; else empty.
    choices: none where it cannot be known at all; then `reason` says why. members: law → weight of the surfaces, the heaviest first.
    level: of the one-sided bounds. currency: the label of `cost`, where that is x.
    losses: gives the choice at any other compute, see `best_model_at`; None where nothing is known.
    """

    metric: str
    x: str
    family: str
    data_name: str
    level: float
    choices: tuple[PricedChoice, ...]
    members: dict[str, float]
    reason: str = ""
    currency: str | None = None
    losses: _Losses | None = field(default=None, repr=False)

    def best_model_at(self, compute: float) -> PricedChoice | None:
        """Choose the best of the models that were run at a compute in the unit of x, and bound what it costs against the best size.

        It fits nothing. None where nothing is known of any choice.
        """
        if self.losses is None:
            return None
        return self.losses.priced(self.losses.best_model(compute), compute / self.choices[0].at, self.level)

    def model_name(self, model: str) -> str:
        """Name a model, after its family where the table has several."""
        return f"{self.family} {model}".strip() if model else ""

    def named(self, choice: PricedChoice) -> str:
        """Write a choice: `nano-F3 at 16 epochs`."""
        name = self.model_name(choice.model)
        return f"{name or f'size {significant(choice.size, 3)}'} at {_short(choice.data)} {self._data}{self.beyond(choice.data)}"

    def beyond(self, data: float) -> str:
        """Write that no run had so much data: ` (no run had more than 16)`; empty where some run had, or nothing is known."""
        if self.losses is None:
            return ""
        most = float(np.exp(self.losses.cells.data.max()))
        return f" (no run had more than {_short(most)})" if data > _SAME_DATA * most else ""

    def costs(self, choice: PricedChoice) -> str:
        """Write what a choice costs: `at most 0.40 % of val_loss against the best size and epochs (95 %)`."""
        return f"at most {percent(choice.most)} of {self.metric} against the best size and {self._data} ({100 * self.level:g} %)"

    def sentence(self) -> str:
        """Write the answer in words: `Choosing nano-F3 at 16 epochs costs at most 0.40 % …`."""
        if not self.choices:
            return f"What a choice of size and {self._data} costs against the best is not known: {self.reason}."
        so_far, *others = self.choices
        at, level = self._at(so_far.at), f"{100 * self.level:g} %"
        best = f"against the best size and {self._data}"
        words = (
            f"What choosing {self.named(so_far)} costs {best} at its {at} is not known: {so_far.reason}."
            if so_far.reason
            else f"Choosing {self.named(so_far)} costs at most {percent(so_far.most)} of {self.metric} {best} at its {at} ({level})."
        )
        known = [choice for choice in others if not choice.reason]
        if not known:
            return words
        costs = "; ".join(f"{self.named(choice)} at most {percent(choice.most)}" for choice in known)
        return f"{words} At {known[0].times:g} times that compute, {self._at(known[0].at)}, so cost {costs}."

    @property
    def is_unknown(self) -> bool:
        """Say whether nothing is known of the best cell so far."""
        return not self.choices or bool(self.choices[0].reason)

    @property
    def _data(self) -> str:
        return self.data_name.replace("_", " ")

    def _at(self, compute: float) -> str:
        return f"{significant(compute, 3)} {unit_of(self.x, self.currency)}"

    def to_dict(self) -> dict[str, object]:
        """Return the answer as JSON holds it, without `schema_version`."""
        return {
            "sentence": self.sentence(),
            "metric": self.metric,
            "x": self.x,
            "family": self.family or None,
            "data": self.data_name,
            "level": self.level,
            "choices": [choice.to_dict() for choice in self.choices],
            "laws": [{"law": law, "weight": weight} for law, weight in self.members.items()],
            "reason": self.reason,
        }


@takes_runs
def regret(
    runs: pd.DataFrame,
    *,
    metric: str = "val_loss",
    x: str = "core_hours",
    cell: Sequence[str] = (),
    objective: str = "log",
    bootstrap: int = 400,
    level: float = 0.95,
    seed: int = 0,
) -> Regret:
    """Bound what the best cell so far costs against the best size and epochs at its compute, and the best model at ten times that.

    >>> print(scaling.regret(runs, x="train_flops", bootstrap=100).sentence())
    Choosing ... costs at most ... % of val_loss against the best size ...

    Where the table has several families it is of the family that holds the best cell.

    Args:
        runs: one row a run, as `analysis.compute_optimal` takes them.
        level: of the bound, which is one-sided. bootstrap: draws behind it. objective: by which the surfaces are fitted.

    Returns:
        A `Regret`. Runs that do not tell are an answer: it has the reason, and no bound.

    Raises: UsageError for a level that is none; what `analysis.frontier` raises.
    """
    check_level(level)
    found = grid_frontier(runs, metric=metric, x=x, cell=cell)
    family = ""
    if "family" in found.points and found.points["family"].nunique() > 1:
        family = str(found.best()["family"].iloc[-1])
        found = grid_frontier(runs[runs["family"] == family], metric=metric, x=x, cell=cell)
    nothing = Regret(metric, x, family, "epochs", level, (), {})
    try:
        cells = grid_cells(found)
        if why := _too_few(cells):
            return replace(nothing, reason=why)
        surface = weighed_surface(
            found.runs, cells, metric=metric, objective=objective, bootstrap=bootstrap, level=level, seed=seed
        )
    except ScalingError as error:
        return replace(nothing, reason=str(error))
    losses = _Losses(surface, cells, seed)
    so_far = losses.priced(_best_cell(cells), 1.0, level)
    ahead = _AHEAD * so_far.at
    choices = [so_far, *(losses.priced(choice, _AHEAD, level) for choice in (losses.best_size(ahead), losses.best_model(ahead)))]
    members = surface.members or {surface.law: 1.0}
    return Regret(
        metric, x, family, cells.data_name, level, tuple(choices), dict(members), currency=currency_of(found.runs), losses=losses
    )


def _too_few(cells: GridCells) -> str:
    sizes, many = len(cells.sizes), len(cells.x)
    if sizes >= _LEAST_SIZES and many >= _LEAST_CELLS:
        return ""
    return f"it takes {_LEAST_SIZES} sizes and {_LEAST_CELLS} cells, and there are {sizes} and {many}"


@dataclass(frozen=True)
class _Choice:
    """Holds a size and how much it is trained on, in logarithms.

    at: what it took, as measured. log_x: the same by all runs together. of_model: which of the sizes tried; None of any size.
    """

    kind: Kind
    at: float
    log_x: float
    log_size: float
    log_data: float
    model: str
    of_model: int | None


def _best_cell(cells: GridCells) -> _Choice:
    place = int(np.lexsort((cells.x, cells.loss))[0])
    name, group = str(cells.model[place]), int(cells.group[place])
    took = float(np.exp(cells.measured[place]))
    return _Choice("best-so-far", took, float(cells.x[place]), float(cells.size[place]), float(cells.data[place]), name, group)


def _short(number: float) -> str:
    return f"{number:.3g}" if number < 1000 else significant(number, 3)


class _Losses:
    """Gives the log losses of sizes at equal compute, in every draw."""

    def __init__(self, surface: Fit, cells: GridCells, seed: int) -> None:
        self.surface, self.cells, self.seed = surface, cells, seed

    def sizes(self, times: float) -> np.ndarray:
        """List the log sizes among which the best is sought at so many times the compute of the best cell so far."""
        smallest, largest = self.cells.sizes[[0, -1]]
        return np.linspace(smallest - np.log(_BEYOND), largest + np.log(_BEYOND * times), _SIZES)

    def inputs(self, log_size: np.ndarray, log_data: np.ndarray) -> np.ndarray:
        return law_inputs(self.cells, log_size, log_data)[: len(self.surface.axes)]

    def best_size(self, x: float) -> _Choice:
        """Choose the size of least loss at a compute, whether there is such a model or not."""
        sizes = self.sizes(_AHEAD)
        data = self.cells.cost.log_data(float(np.log(x)), sizes)
        place = int(self.surface.estimate.log_mean(self.inputs(sizes, data)).argmin())
        return _Choice("best-size", x, float(np.log(x)), float(sizes[place]), float(data[place]), "", None)

    def best_model(self, x: float) -> _Choice:
        """Choose the model of the table that reaches the least loss at a compute."""
        cells, log_x = self.cells, float(np.log(x))
        data = cells.cost.log_data(log_x - cells.own_cost(cells.sizes), cells.sizes)
        place = int(self.surface.estimate.log_mean(self.inputs(cells.sizes, data)).argmin())
        name = str(cells.model[np.flatnonzero(cells.group == place)[0]])
        return _Choice("best-model", x, log_x, float(cells.sizes[place]), float(data[place]), name, place)

    def best_model_in_short(self, x: float) -> tuple[str, float]:
        """Return the best model at a compute and how much it is trained on, without what that costs."""
        choice = self.best_model(x)
        return choice.model, float(np.exp(choice.log_data))

    def priced(self, choice: _Choice, times: float, level: float) -> PricedChoice:
        cells, estimate = self.cells, self.surface.estimate
        sizes = self.sizes(times)
        data = cells.cost.log_data(choice.log_x, sizes)
        log_size, log_data = np.append(sizes, choice.log_size), np.append(data, choice.log_data)
        inputs = self.inputs(log_size, log_data)
        mean = estimate.log_mean(inputs)
        draws = estimate.log_mean_draws(inputs)
        draws = draws + self._off_the_law(inputs, len(draws)) + self._dearer(choice, log_size, log_data, mean, len(draws))
        best = int(mean.argmin())
        most = float(np.expm1(np.quantile(draws[:, -1] - draws.min(axis=1), 1 - _TAIL * (1 - level))))
        reason = _why_unknown(best, most)
        return PricedChoice(
            kind=choice.kind,
            times=times,
            at=choice.at,
            model=choice.model,
            size=float(np.exp(choice.log_size)),
            data=float(np.exp(choice.log_data)),
            value=float(np.expm1(mean[-1] - mean.min())),
            most=float("nan") if reason else most,
            best_size=float(np.exp(log_size[best])),
            best_data=float(np.exp(log_data[best])),
            reason=reason,
        )

    def _off_the_law(self, inputs: np.ndarray, draws: int) -> np.ndarray:
        """Draw by what the truth may lie off the heaviest law, (draws, m), in log loss; zero where residuals show no trend."""
        own = self.surface.single_laws[0][1]
        rows = inputs[list(self.surface.rows_of_heaviest)]
        return own.discrepancy.draws_at(rows, own.log_mean_jacobian(rows), draws, self.seed)

    def _dearer(self, choice: _Choice, log_size: np.ndarray, log_data: np.ndarray, mean: np.ndarray, draws: int) -> np.ndarray:
        """Draw by what losses rise where sizes cost more than is thought, and equal compute buys less data, (draws, m)."""
        cells = self.cells
        theta, of_models = cells.cost.draws(draws, self.seed)
        bought = cells.cost.log_data(choice.log_x, np.tile(log_size, (draws, 1)), theta)
        bought -= cells.cost.log_data(choice.log_x, log_size)
        if choice.kind == "best-so-far":
            bought[:, -1] = 0.0
        elif choice.of_model is not None:
            bought[:, -1] = -of_models[:, choice.of_model]
        slope = (self.surface.estimate.log_mean(self.inputs(log_size, log_data + _STEP)) - mean) / _STEP
        return bought * slope


def _why_unknown(best: int, most: float) -> str:
    """Say why there is no bound; empty where there is one. best: place of the least mean loss among the sizes."""
    if best in (0, _SIZES - 1):
        side = "above the largest" if best else "below the smallest"
        return f"the best size lies far {side} that was tried"
    return "" if most < _MOST else "these runs bound it by no less than the loss itself"
