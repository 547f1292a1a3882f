"""Which approach makes the headline: the one that forecasts the best sizes at larger budgets from the smaller ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from analysis.fitting.point import fit_point
from analysis.laws.law import Law
from analysis.optimum.best_line import interior_slices
from analysis.optimum.cells import GridCells
from analysis.optimum.envelope import envelope_line
from analysis.optimum.equal_compute import slices_at_equal_compute
from analysis.optimum.isocompute import isocompute_line
from analysis.optimum.local_fit import local_curves
from analysis.optimum.surface import law_inputs, surface_minimum
from scaling.rounding import percent

__all__ = ["ORDER", "Choice", "choose_approach"]

ORDER = ("surface", "isocompute", "envelope")
"""The order of the approaches where forecasts cannot be scored, or scores are equal: one that uses more of the runs comes first."""

_LEAST_BUDGETS = 3  # that an approach sees
_WINDOWS, _LEAST_FORECASTS = 6, 3
_EQUAL = 0.5  # standard errors of a difference


@dataclass(frozen=True)
class Choice:
    """Says which approach was recommended, and why.

    approach: which, None where none answers.
    regret: approach → mean log loss by which the sizes that it forecast for the larger budgets are worse than the best sizes there;
    empty where forecasts could not be scored.
    windows, forecasts: how many times the runs were parted, and how many budgets were forecast in all.
    """

    approach: str | None
    regret: Mapping[str, float] = field(default_factory=dict)
    windows: int = 0
    forecasts: int = 0

    def words(self) -> str:
        """Say which approach was chosen and by which rule, with its scores."""
        if self.approach is None:
            return "no approach answers"
        if not self.regret:
            return (
                f"{self.approach}, the first that answers of {', '.join(ORDER)}: too few budgets, or approaches, to score forecasts of "
                "larger budgets from smaller ones"
            )
        each = ", ".join(f"{name} {percent(np.expm1(self.regret[name]), signed=True)}" for name in ORDER if name in self.regret)
        return (
            f"{self.approach}, by the rule that the approach counts which forecasts larger budgets best from smaller ones, and of equals "
            f"within the noise the first of {', '.join(ORDER)}; loss at the forecast sizes above the least ({self.forecasts} forecasts in "
            f"{self.windows} windows): {each}"
        )

    def to_dict(self) -> dict[str, object]:
        return {
            "approach": self.approach,
            "rule": "forecasts-larger-budgets" if self.regret else "order",
            "order": list(ORDER),
            "regret": dict(self.regret),
            "windows": self.windows,
            "forecasts": self.forecasts,
        }


def choose_approach(
    cells: GridCells, moved: np.ndarray, answering: Sequence[str], *, noise: float, law: Law | None, objective: str
) -> Choice:
    """Choose the approach that forecasts the larger budgets best, of those that answer.

    The rule is fixed beforehand. The cells are parted at a compute, up to six times. The first parting is after half of the slices of
    equal compute and at least three of them, the last before the largest. Each approach is fitted to the cells below and names the best
    size at every slice above whose best size lies between others. The losses of that slice, by their local curve
    (`analysis.optimum.local_fit`), say how much worse that size is than the best there. The mean over slices, then over partings, is
    the approach's regret. An approach that refuses below a parting takes the largest regret of the others there.

    The losses above are noisy, and their draws give the standard error of a difference of two regrets. Approaches that are worse than
    the best by less than half such a standard error are taken for equal. Of equals the first in `ORDER` is chosen, because it uses more
    of the runs. The idea is that of the one-standard-error rule (Breiman et al. 1984, Classification and regression trees, 3.4.3). With
    fewer than three forecasts, or one approach that answers, it is the first in `ORDER`.

    Args:
        moved: (draws, n), see `grid_draws`. noise: standard deviation of a cell's log loss. law, objective: of the surface.
    """
    names = [name for name in ORDER if name in answering]
    first_of = Choice(names[0] if names else None)
    slices, _ = slices_at_equal_compute(cells, np.concatenate([cells.loss[None], moved]))
    if len(names) < 2 or len(slices) <= _LEAST_BUDGETS:
        return first_of
    curves = local_curves(slices, noise)
    at, inner = np.array([own.at for own in slices]), interior_slices(slices, curves)
    first = max(_LEAST_BUDGETS, (len(slices) + 1) // 2)
    partings = np.unique(np.linspace(first, len(slices) - 1, min(_WINDOWS, len(slices) - first)).round().astype(int))
    scores: list[np.ndarray] = []  # (approaches, draws) each
    forecasts = 0
    for parting in partings:
        above = [number for number in range(int(parting), len(slices)) if inner[number]]
        below = cells.up_to(float((at[parting - 1] + at[parting]) / 2))
        named = [_forecast(name, below, at[above], noise, law, objective) if above else None for name in names]
        if all(sizes is None for sizes in named):
            continue
        heights = [
            np.full(len(moved) + 1, np.nan)
            if sizes is None
            else np.mean(
                [
                    curves.height(number, [size, curves.best[0, number]]) @ [1, -1]
                    for number, size in zip(above, sizes, strict=True)
                ],
                axis=0,
            )
            for sizes in named
        ]
        worst = heights[int(np.nanargmax([height[0] for height in heights]))]
        scores.append(np.stack([worst if np.isnan(height[0]) else height for height in heights]))
        forecasts += len(above)
    if forecasts < _LEAST_FORECASTS:
        return first_of
    regret = np.mean(scores, axis=0)
    best = int(np.argmin(regret[:, 0]))
    more = regret - regret[best]
    error = np.std(more[:, 1:], axis=1) if np.isfinite(noise) else np.zeros(len(names))
    chosen = names[int(np.argmax(more[:, 0] <= _EQUAL * error))]
    return Choice(chosen, dict(zip(names, regret[:, 0].tolist(), strict=True)), len(scores), forecasts)


def _forecast(name: str, cells: GridCells, log_x: np.ndarray, noise: float, law: Law | None, objective: str) -> np.ndarray | None:
    """Forecast the log of the best size at each compute (k,) by an approach; None where it refuses."""
    if name == "isocompute":
        return isocompute_line(cells, noise, log_x)
    if name == "envelope":
        return envelope_line(cells, log_x)
    assert law is not None
    if len(cells.loss) < law.least_points or len(cells.sizes) < _LEAST_BUDGETS:
        return None
    inputs = law_inputs(cells, cells.size, cells.data)[: len(law.axes)]
    theta = fit_point(law, inputs, np.exp(cells.loss), objective=objective).theta[0]
    found = surface_minimum(law, theta, cells, log_x)
    return found if np.isfinite(found).all() else None
