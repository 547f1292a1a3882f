"""Choosing observations for a linear model under a budget: optimal design by greedy choice and exchange.

Fedorov 1972, Theory of Optimal Experiments; the exchange is that of Mitchell 1974 with costs instead of a number of runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["Candidates", "Criterion", "choose", "spread_after"]

Criterion = Literal["c", "D"]
_MOST_ROUNDS = 50
_FEW = 12
"""Up to this many chosen candidates, every one and every pair is tried for an exchange; of more, this many that are missed least."""
_BETTER = 1e-9


@dataclass(frozen=True, eq=False)
class Candidates:
    """Holds m observations that could be made.

    rows: (m, p), derivatives of what is observed by theta. information: (m,), 1 / variance that each adds. cost: (m,), positive.
    """

    rows: np.ndarray
    information: np.ndarray
    cost: np.ndarray

    @property
    def scaled(self) -> np.ndarray:
        """Return rows over the standard deviation of the observation, (m, p)."""
        return self.rows * np.sqrt(self.information)[:, None]


def spread_after(covariance: np.ndarray, candidates: Candidates, chosen: list[int]) -> np.ndarray:
    """Return the covariance of theta (p, p) once `chosen` have been observed."""
    for index in chosen:
        covariance = _with(covariance, candidates.scaled[index])
    return covariance


def choose(
    covariance: np.ndarray, candidates: Candidates, target: np.ndarray, budget: float, criterion: Criterion = "c"
) -> list[int]:
    """Choose which candidates to observe, each at most once, at a total cost of at most `budget`.

    `c`: the smallest variance of `target · theta`; `D`: the smallest volume of theta's confidence region. There are two greedy starts,
    by gain and by gain for the cost. Each is improved until nothing helps, by exchanging one chosen candidate, or two, for others and
    by filling up. The better of the two is returned. It is the optimum or close to it, not certified to be: choosing subsets under a
    budget is NP-hard.

    Args: covariance (p, p), of theta now; target (p,).
    Returns: indices, in an order in which each next one helps most.
    """
    scaled = candidates.scaled
    best: tuple[float, list[int]] | None = None
    for per_cost in (True, False):
        picked = _fill(covariance, scaled, candidates.cost, target, budget, [], criterion, per_cost=per_cost)
        picked = _exchange(covariance, scaled, candidates.cost, target, budget, picked, criterion)
        value = _value(_after(covariance, scaled, picked), target, criterion)
        if best is None or value < best[0] - _BETTER:
            best = value, picked
    assert best is not None
    return _ordered(covariance, scaled, target, best[1], criterion)


def _with(covariance: np.ndarray, row: np.ndarray) -> np.ndarray:
    along = covariance @ row
    return covariance - np.outer(along, along) / (1 + row @ along)


def _after(covariance: np.ndarray, scaled: np.ndarray, chosen: list[int]) -> np.ndarray:
    for index in chosen:
        covariance = _with(covariance, scaled[index])
    return covariance


def _value(covariance: np.ndarray, target: np.ndarray, criterion: Criterion) -> float:
    """Compute the criterion, in logarithms: the smaller, the better."""
    if criterion == "c":
        return float(np.log(max(target @ covariance @ target, 1e-300)))
    return float(np.linalg.slogdet(covariance)[1])


def _gains(covariance: np.ndarray, scaled: np.ndarray, target: np.ndarray, criterion: Criterion) -> np.ndarray:
    """Compute by how much observing each candidate lowers the criterion, (m,)."""
    along = scaled @ covariance
    one = 1 + np.einsum("mp,mp->m", along, scaled)
    if criterion == "D":
        return np.log(one)
    now = target @ covariance @ target
    share = np.minimum((along @ target) ** 2 / (one * max(now, 1e-300)), 1 - 1e-15)
    return -np.log1p(-share)


def _fill(
    covariance: np.ndarray,
    scaled: np.ndarray,
    cost: np.ndarray,
    target: np.ndarray,
    budget: float,
    chosen: list[int],
    criterion: Criterion,
    *,
    per_cost: bool,
    barred: tuple[int, ...] = (),
) -> list[int]:
    """Add the best affordable candidate that is not barred until none is left that helps."""
    chosen, left = list(chosen), budget - float(cost[chosen].sum())
    now = _after(covariance, scaled, chosen)
    free = np.ones(len(cost), dtype=bool)
    free[[*chosen, *barred]] = False
    while True:
        open_now = free & (cost <= left * (1 + 1e-12))
        if not open_now.any():
            return chosen
        gain = _gains(now, scaled, target, criterion)
        index = int(np.argmax(np.where(open_now, gain / cost if per_cost else gain, -np.inf)))
        if gain[index] <= _BETTER:
            return chosen
        chosen.append(index)
        free[index], left, now = False, left - float(cost[index]), _with(now, scaled[index])


def _exchange(
    covariance: np.ndarray,
    scaled: np.ndarray,
    cost: np.ndarray,
    target: np.ndarray,
    budget: float,
    chosen: list[int],
    criterion: Criterion,
) -> list[int]:
    """Exchange one chosen candidate, or two, for others and fill what is left of the budget, as long as it helps."""
    value = _value(_after(covariance, scaled, chosen), target, criterion)
    for _ in range(_MOST_ROUNDS):
        better = None
        for given_up in _given_up(_after(covariance, scaled, chosen), scaled, target, chosen, criterion):
            rest = [index for index in chosen if index not in given_up]
            for per_cost in (True, False):
                others = _fill(covariance, scaled, cost, target, budget, rest, criterion, per_cost=per_cost, barred=given_up)
                candidate = _fill(covariance, scaled, cost, target, budget, others, criterion, per_cost=per_cost)
                found = _value(_after(covariance, scaled, candidate), target, criterion)
                if found < value - _BETTER:
                    better, value = candidate, found
        if better is None:
            return chosen
        chosen = better
    return chosen


def _given_up(
    now: np.ndarray, scaled: np.ndarray, target: np.ndarray, chosen: list[int], criterion: Criterion
) -> list[tuple[int, ...]]:
    """List the candidates, or pairs of them, to try to do without. `now` is the covariance with all that is chosen."""
    if len(chosen) > _FEW:
        return [(chosen[place],) for place in np.argsort(_losses(now, scaled[chosen], target, criterion), kind="stable")[:_FEW]]
    singles: list[tuple[int, ...]] = [(index,) for index in chosen]
    return singles + [(i, j) for place, i in enumerate(chosen) for j in chosen[place + 1 :]]


def _losses(now: np.ndarray, scaled: np.ndarray, target: np.ndarray, criterion: Criterion) -> np.ndarray:
    """Compute how much the criterion rises without each of the observations (k, p) that are in `now`, (k,), up to a monotone function."""
    along = scaled @ now
    left = np.maximum(1 - np.einsum("kp,kp->k", along, scaled), 1e-15)
    return -np.log(left) if criterion == "D" else (along @ target) ** 2 / left


def _ordered(covariance: np.ndarray, scaled: np.ndarray, target: np.ndarray, chosen: list[int], criterion: Criterion) -> list[int]:
    rest, ordered = list(chosen), []
    while rest:
        gain = _gains(covariance, scaled[rest], target, criterion)
        index = rest.pop(int(np.argmax(gain)))
        ordered.append(index)
        covariance = _with(covariance, scaled[index])
    return ordered
