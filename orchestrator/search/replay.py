"""Replays the searches of all cells from the results of their runs: what was asked, what was found, what is due now."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from orchestrator.search.cells import Policy, SearchedCell, groups_of
from orchestrator.search.two_trial import Forecast, next_move

if TYPE_CHECKING:
    from analysis.learning_rate.early import Trial

__all__ = ["CellState", "Result", "first_step", "replay"]

_ROUNDING = 1e-6
"""Tolerance, in steps: two machines whose last bits differ choose the same rate."""


@dataclass(frozen=True)
class Result:
    """Says how a run ended: its loss, infinite when it diverged (its rate was too high); or `failed`, with nothing learnt.

    held: the run was cancelled, so that its cell goes no further, and none above it, until the run is pending again.
    """

    loss: float = math.inf
    failed: str = ""
    held: str = ""


@dataclass
class CellState:
    """Holds the state of one cell's search.

    trials: step → run rows, one a searched seed, and their result (None while one runs), in the order asked. repeats: rows of the rate
    found, on the other seeds.
    state: waiting (for smaller cells), searching (`reason` says why it goes no further, if so), settled (`accepted` is the step), or
    given-up (`reason` says why).
    """

    cell: SearchedCell
    state: str = "waiting"
    accepted: int | None = None
    reason: str = ""
    forecast: Forecast | None = None
    trials: dict[int, tuple[list[dict[str, object]], Result | None]] = field(default_factory=dict)
    repeats: list[dict[str, object]] = field(default_factory=list)

    @property
    def runs(self) -> list[dict[str, Any]]:
        """List the rows of all runs that the cell has asked for."""
        return [row for rows, _ in self.trials.values() for row in rows] + self.repeats

    @property
    def learning_rate(self) -> float | None:
        """Return the rate that was found; None before."""
        return None if self.accepted is None else self.cell.policy.rate(self.accepted)

    @property
    def is_over(self) -> bool:
        return self.state in ("settled", "given-up")


def replay(
    cells: Sequence[SearchedCell],
    result_of: Callable[[str], Result | None],
    row_of: Callable[[SearchedCell, int, int], dict[str, object]] = SearchedCell.run,
) -> list[CellState]:
    """Work out the state of every cell from the smallest on, as far as the results reach.

    A cell begins once all cells below it are over, and sees only those: with fewer or equal epochs and parameters. So neither the order
    in which runs end nor how many run at once changes what it asks. The trials of a cell that was given up do not count for the others.

    Args:
        result_of: run id → how it ended; None while it has not.
        row_of: cell, step, seed → row of the run.
    """
    states: list[CellState] = []
    for group in groups_of(cells):
        of_group: list[CellState] = []
        for cell in group:
            below = [state for state in of_group if state.cell.is_below(cell)]
            state = CellState(cell)
            of_group.append(state)
            if all(other.is_over for other in below):
                _search(state, [other for other in below if other.accepted is not None], result_of, row_of)
        states += of_group
    return states


def _search(
    state: CellState,
    below: Sequence[CellState],
    result_of: Callable[[str], Result | None],
    row_of: Callable[[SearchedCell, int, int], dict[str, Any]],
) -> None:
    cell, state.state = state.cell, "searching"
    state.forecast = _forecast(cell, below)
    while True:
        results = {step: result for step, (_, result) in state.trials.items()}
        if any(result is None for result in results.values()):
            return
        state.reason = next((result.held for result in results.values() if result is not None and result.held), "")
        if state.reason:
            return
        failed = next((result.failed for result in results.values() if result is not None and result.failed), "")
        if failed:
            state.state, state.reason = "given-up", failed
            return
        move = next_move({step: result.loss for step, result in results.items() if result is not None}, state.forecast)
        if not move.ask:
            break
        for step in move.ask:
            rows = [row_of(cell, step, seed) for seed in cell.policy.trial_seeds]
            state.trials[step] = (rows, _together([result_of(row["id"]) for row in rows]))
    state.accepted, state.reason = move.accepted, move.given_up
    state.state = "given-up" if move.accepted is None else "settled"
    if move.accepted is not None:
        state.repeats = [row_of(cell, move.accepted, seed) for seed in cell.policy.other_seeds]


def _together(results: Sequence[Result | None]) -> Result | None:
    """Combine the results of one rate's runs on several seeds: their mean loss, infinite when one diverged.

    It is held or failed when one of them is, and None while one has not ended.
    """
    ended = [result for result in results if result is not None]
    if len(ended) < len(results):
        return None
    for result in sorted(ended, key=lambda result: not result.held):
        if result.held or result.failed:
            return result
    return Result(sum(result.loss for result in ended) / len(ended))


def _forecast(cell: SearchedCell, below: Sequence[CellState]) -> Forecast | None:
    """Forecast the best rate by the trend of the cells below; None when none of them has two finished trials.

    A loss of 0 has no logarithm, and is left out.
    """
    from analysis.learning_rate.early import Trial

    trials = [
        Trial(state.cell.key, state.cell.params, state.cell.epochs, state.cell.policy.rate(step), result.loss)
        for state in below
        for step, (_, result) in state.trials.items()
        if result is not None and math.isfinite(result.loss) and result.loss > 0
    ]
    if len(trials) == len({trial.cell for trial in trials}):
        return None
    nearest = [state for state in below if not any(state.cell.is_below(other.cell) for other in below)]
    steps = [state.accepted for state in nearest if state.accepted is not None]
    return _by_trend(tuple(trials), cell.policy, cell.params, cell.epochs, min(steps), max(steps))


@lru_cache(maxsize=10_000)
def _by_trend(trials: tuple[Trial, ...], policy: Policy, params: int, epochs: float, least: int, most: int) -> Forecast:
    """Forecast the best rate of a cell from the trials of smaller cells.

    The first rate is on the grid of the policy. A run's id holds its learning rate, so an id must not depend on the last digits of a fit,
    and a run that a grid has done need not be done again.

    The trend's rate is no higher than at the cells below, as it must be when it falls. The first trial lies between the highest rate that
    the nearest cells below accepted and a step below the lowest, since it falls slowly.
    """
    from analysis.learning_rate.early import early_trend

    trend = early_trend(trials)
    value, low, _ = trend.at(params=params, epochs=epochs)
    at_cells = {(trial.params, trial.epochs) for trial in trials}
    value = min([value, *(trend.at(params=n, epochs=e)[0] for n, e in at_cells)])
    return Forecast(min(max(first_step(_steps(value, policy)), least - 1), most), _steps(low, policy) - _ROUNDING)


def first_step(steps: float) -> int:
    """Return the step to try first: the one above the trend's, so that it and the one below bracket it.

    Above and not the nearest: whichever side the trend errs on, the better neighbour is among the two. docs/learning_rates.md compares
    them.
    """
    return math.ceil(steps - _ROUNDING)


def _steps(log_rate: float, policy: Policy) -> float:
    return (log_rate - math.log(policy.start)) / math.log(policy.factor)
