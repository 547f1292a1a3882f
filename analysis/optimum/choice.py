"""Which approach makes the headline: the one that forecasts the best sizes at larger budgets from the smaller ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.fitting.point import fit_point
from analysis.laws import law_named
from analysis.optimum.cells import GridCells
from analysis.optimum.envelope import envelope_line
from analysis.optimum.equal_compute import slices_at_equal_compute
from analysis.optimum.isocompute import isocompute_line
from analysis.optimum.local_fit import local_curves
from analysis.optimum.surface import law_inputs, surface_minimum

__all__ = ["ORDER", "Choice", "choose_approach"]

ORDER = ("surface", "isocompute", "envelope")
"""Which approach counts where forecasts cannot be scored, and of equal scores: that which uses more of the runs comes first."""

_LEAST_BUDGETS = 3  # that an approach sees
_WINDOWS = 6


@dataclass(frozen=True)
class Choice:
    """Why an approach was recommended.

    regret: approach → mean log loss by which the sizes that it forecast for the larger budgets are worse than the best sizes there; empty where
    forecasts could not be scored. windows, forecasts: how many times the runs were parted, and how many budgets were forecast in all.
    """

    regret: Mapping[str, float] = field(default_factory=dict)
    windows: int = 0
    forecasts: int = 0

    def best(self, candidates: Sequence[str]) -> str | None:
        """Of the approaches that answer, the one with the least regret; without scores the first in `ORDER`."""
        order = [name for name in ORDER if name in candidates]
        return min(order, key=lambda name: self.regret.get(name, np.inf), default=None)

    def words(self) -> str:
        """`chosen by forecasts of 6 larger budgets from smaller ones, loss over the best there: surface +0.02 %, …`."""
        if not self.regret:
            return f"too few budgets to score forecasts of the larger ones: the first that answers, of {', '.join(ORDER)}"
        each = ", ".join(f"{name} +{100 * np.expm1(self.regret[name]):.2g} %" for name in ORDER if name in self.regret)
        return (
            f"the approach that forecasts larger budgets best, {self.forecasts} forecasts in {self.windows} windows; loss at its sizes over "
            f"the least there: {each}"
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "rule": "forecasts-larger-budgets" if self.regret else "order",
            "order": list(ORDER),
            "regret": dict(self.regret),
            "windows": self.windows,
            "forecasts": self.forecasts,
        }


def choose_approach(cells: GridCells, answering: Sequence[str], *, noise: float, law: str | None, objective: str) -> Choice:
    """Score the approaches that answer by what they forecast.

    The rule, fixed beforehand: the cells are parted at a compute, up to six times, the first after half of the slices of equal compute and at
    least three of them, the last before the largest. Each approach is fitted to the cells below and names the best size at every slice
    above. The losses of that slice, by their local curve (`analysis.optimum.local_fit`), say how much worse that size is than the best
    there. The mean over slices, then over partings, is the approach's regret; the least regret wins. An approach that refuses below
    a parting takes the largest regret of the others there.

    Args: noise: standard deviation of a cell's log loss. law, objective: of the surface.
    """
    slices, _ = slices_at_equal_compute(cells, cells.loss[None])
    if len(answering) < 2 or len(slices) <= _LEAST_BUDGETS:
        return Choice()
    curves = local_curves(slices, noise)
    at = np.array([own.at for own in slices])
    inner = [own.size[0] < best < own.size[-1] for own, best in zip(slices, curves.best[0], strict=True)]
    first = max(_LEAST_BUDGETS, (len(slices) + 1) // 2)
    partings = np.unique(np.linspace(first, len(slices) - 1, min(_WINDOWS, len(slices) - first)).round().astype(int))
    scores: list[dict[str, float]] = []
    forecasts = 0
    for parting in partings:
        above = [number for number in range(int(parting), len(slices)) if inner[number]]
        if not above:
            continue
        below = cells.up_to(float((at[parting - 1] + at[parting]) / 2))
        named = {name: _forecast(name, below, at[above], noise, law, objective) for name in answering}
        regret = {
            name: float(np.mean([curves.height(number, size) for number, size in zip(above, sizes, strict=True)]))
            for name, sizes in named.items()
            if sizes is not None
        }
        if not regret:
            continue
        worst = max(regret.values())
        scores.append({name: regret.get(name, worst) for name in answering})
        forecasts += len(above)
    if not scores:
        return Choice()
    return Choice({name: float(np.mean([score[name] for score in scores])) for name in answering}, len(scores), forecasts)


def _forecast(
    name: str, cells: GridCells, log_x: np.ndarray, noise: float, law: str | None, objective: str
) -> np.ndarray | None:
    """Log of the best size at each compute (k,) by an approach; None where it refuses."""
    if name == "isocompute":
        return isocompute_line(cells, noise, log_x)
    if name == "envelope":
        return envelope_line(cells, log_x)
    assert law is not None
    shape = law_named(law)
    if len(cells.loss) < shape.least_points or len(cells.sizes) < _LEAST_BUDGETS:
        return None
    inputs = law_inputs(cells, cells.size, cells.data)[: len(shape.axes)]
    theta = fit_point(shape, inputs, np.exp(cells.loss), objective=objective).theta[0]
    found = surface_minimum(law, theta, cells, log_x)
    return found if np.isfinite(found).all() else None
