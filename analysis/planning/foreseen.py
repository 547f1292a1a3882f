"""What the forecast would say after some runs, in each of the futures (`analysis.planning.futures`), and the runs after which it errs least.

In a future the outcomes of runs are known, and so is the true value at the target. The forecast of the recent runs is then made from the runs
that there are and those outcomes, by the very rule that will make it (`analysis.backtest.recent`). It stands for the whole forecast, also where
laws have a share in that: fitting them anew in each future would take minutes. Runs are judged by the mean over the futures of

    (forecast afterwards − true value)² + variance that the forecast afterwards states

in log metric. So runs count that tell the futures apart, runs that bring the target nearer, and runs that average noise out, each as far as
that forecast uses them. It is the expected loss of decision theory (Raiffa and Schlaifer 1961, Applied Statistical Decision Theory:
preposterior analysis), without a law that is taken to be right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.backtest.learnt import LEARNT
from analysis.backtest.recent import LEAST_CELLS, fit_recent, slope_of
from analysis.backtest.windows import Cells, windows
from analysis.fitting.objective import Objective
from analysis.planning.futures import Futures

__all__ = ["Foreseen", "search"]

_WINDOWS = 96  # fitted at a time: their curves stay in the cache of a core, which halves the time
_MOST = 40
"""The most candidates that are searched; of more, those that help most alone, and those that help most for their cost."""
_ROUNDS = 3
_BETTER = 1e-3
"""A set has to be better by this share: less is the luck of the draws."""


@dataclass(frozen=True, eq=False)
class Foreseen:
    """Judges sets of candidates.

    cells: of the forecast now. log_x, weight: (m,), of candidates, weight being their runs. outcome: (draws, m), log metric of each.
    futures: what the outcomes are of. slope: of the forecast's back-test now. on_frontier: whether a cell counts only while no cheaper
    one is as low.
    """

    cells: Cells
    log_x: np.ndarray
    weight: np.ndarray
    outcome: np.ndarray
    futures: Futures
    log_target: float
    slope: float | None
    objective: Objective
    on_frontier: bool

    def losses(self, sets: Sequence[Sequence[int]]) -> np.ndarray:
        """Return the expected loss of each set of candidates, (sets,), in squared log metric."""
        draws = len(self.outcome)
        at_once = max(1, _WINDOWS // draws)
        found = []
        for start in range(0, len(sets), at_once):
            some = sets[start : start + at_once]
            cells, inside, logs = self._windows(some)
            fitted = fit_recent(cells, inside, self.objective, LEARNT, logs)
            at = np.array([self.log_target])
            error = fitted.log_mean(at)[:, 0] - np.tile(self.futures.at_target, len(some))
            variance = fitted.variance(at, self.slope, of_mean=True)[:, 0]
            found.append((error**2 + variance).reshape(len(some), draws).mean(1))
        return np.concatenate(found)

    def half_width(self, chosen: Sequence[int]) -> float:
        """Return the mean over the futures of the half-width that the forecast will have after these runs, over t, in log metric.

        Its back-test is made anew in each future: outcomes that the forecasts of smaller runs miss widen it.
        """
        cells, inside, logs = self._windows([chosen])
        order = np.argsort(cells.order, kind="stable")
        found = []
        for kept, own in zip(inside[::2], logs[::2], strict=True):
            use = order[kept[order]]
            each = Cells(cells.inputs[:, use], np.exp(own[use]), cells.weights[use], cells.order[use])
            found.append(np.sqrt(_variance(each, self.log_target, self.objective)))
        return float(np.mean(found))

    def _windows(self, sets: Sequence[Sequence[int]]) -> tuple[Cells, np.ndarray, np.ndarray]:
        """Return the cells with all candidates of the sets, which of them each set and draw has, and their log metric there."""
        draws, now = len(self.outcome), len(self.cells.order)
        used = sorted({index for each in sets for index in each})
        order = np.concatenate([self.cells.order, self.log_x[used]])
        weights = np.concatenate([self.cells.weights, self.weight[used]])
        cells = Cells(np.exp(order)[None], np.ones(len(order)), weights, order)
        logs = np.hstack([np.tile(np.log(self.cells.y), (draws, 1)), self.outcome[:, used]])
        member = np.array([[index in each for index in used] for each in map(set, sets)], dtype=bool).reshape(len(sets), -1)
        inside = np.repeat(np.hstack([np.ones((len(sets), now), dtype=bool), member]), draws, axis=0)
        logs = np.tile(logs, (len(sets), 1))
        return cells, _not_beaten(order, logs, inside) if self.on_frontier else inside, logs


def search(foreseen: Foreseen, cost: np.ndarray, budget: float) -> list[int]:
    """Choose candidates of the least expected loss, each at most once, that cost (m,) at most `budget` together.

    There are two greedy starts, by gain and by gain for the cost; then single ones are exchanged as long as that helps. Of those chosen,
    the next one is always the one that helps most. Candidates without which nothing is worse are left out.
    """
    alone = np.flatnonzero(cost <= budget * (1 + 1e-12))
    if not len(alone):
        return []
    nothing = float(foreseen.losses([[]])[0])
    pool = alone
    if len(alone) > _MOST:
        gain = nothing - foreseen.losses([[int(index)] for index in alone])
        ranks = [np.argsort(-each, kind="stable")[: _MOST // 2] for each in (gain, gain / cost[alone])]
        pool = alone[np.unique(np.concatenate(ranks))]
    chosen, value = list[int](), nothing
    for per_cost in (False, True):
        found = _fill(foreseen, cost, budget, pool, [], nothing, per_cost=per_cost)
        chosen, value = min((chosen, value), found, key=lambda each: each[1])
    for _ in range(_ROUNDS):
        best = chosen, value
        for given_up in chosen:
            rest = [index for index in chosen if index != given_up]
            without = float(foreseen.losses([rest])[0])
            found = _fill(foreseen, cost, budget, pool[pool != given_up], rest, without, per_cost=False)
            if found[1] < best[1] * (1 - _BETTER):
                best = found
        if best[1] >= value * (1 - _BETTER):
            break
        chosen, value = best
    return _ordered(foreseen, chosen)


def _fill(
    foreseen: Foreseen, cost: np.ndarray, budget: float, pool: np.ndarray, chosen: list[int], value: float, *, per_cost: bool
) -> tuple[list[int], float]:
    """Add the candidate that helps most until none is left that helps; return the set and its loss."""
    chosen, left = list(chosen), budget - float(cost[chosen].sum())
    while True:
        able = [int(index) for index in pool if index not in chosen and cost[index] <= left * (1 + 1e-12)]
        if not able:
            return chosen, value
        losses = foreseen.losses([[*chosen, index] for index in able])
        gain = value - losses
        gain = np.where(gain > _BETTER * value, gain, -np.inf)
        place = int(np.argmax(gain / cost[able] if per_cost else gain))
        if not np.isfinite(gain[place]):
            return chosen, value
        chosen.append(able[place])
        left, value = left - float(cost[able[place]]), float(losses[place])


def _ordered(foreseen: Foreseen, chosen: list[int]) -> list[int]:
    rest, ordered = list(chosen), list[int]()
    while rest:
        losses = foreseen.losses([[*ordered, index] for index in rest])
        ordered.append(rest.pop(int(np.argmin(losses))))
    return ordered


def _not_beaten(order: np.ndarray, logs: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Keep of each window, (windows, n), the cells for which no cheaper cell is as low."""
    rank = np.argsort(order, kind="stable")
    values = np.where(inside, logs, np.inf)[:, rank]
    lowest = np.minimum.accumulate(values, axis=1)
    before = np.hstack([np.full((len(values), 1), np.inf), lowest[:, :-1]])
    kept = np.empty_like(inside)
    kept[:, rank] = values < before
    return kept


def _variance(cells: Cells, log_target: float, objective: Objective) -> float:
    """Return the variance that the forecast of these cells states of the mean at the target, with a back-test of its own."""
    log_y, distinct = np.log(cells.y), cells.positions
    some = windows(cells, can_be_fitted=lambda inside: bool(np.sum(distinct <= cells.order[inside].max()) >= LEAST_CELLS))
    every = np.vstack([some.inside.reshape(-1, len(log_y)), np.ones((1, len(log_y)), dtype=bool)])
    fitted = fit_recent(cells, every, objective, LEARNT)
    logs = fitted.log_mean(cells.order)
    tested = fitted.of(slice(0, len(some)))
    slope = slope_of(logs[:-1] - log_y, some.ahead, some.held_out, tested) if len(some) else None
    return float(fitted.of(slice(-1, None)).variance(np.array([log_target]), slope, of_mean=True)[0, 0])
