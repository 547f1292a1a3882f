"""Replays the searches of all cells from the results of their runs: what was asked, what was found, what is due now."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator.search.cells import Policy, SearchedCell, Second, groups_of
from orchestrator.search.two_trial import Forecast, Move, next_move, walk
from scaling.columns import PRETRAINING

if TYPE_CHECKING:
    from analysis.learning_rate.early import Trial

__all__ = ["CellState", "Point", "Result", "first_step", "proposed_second", "replay"]

_ROUNDING = 1e-6
"""Tolerance, in steps: two machines whose last bits differ choose the same rate."""
_REACH = 8
"""Steps to either side of a proposed batch size, within which a possible one is looked for."""


@dataclass(frozen=True)
class Result:
    """Says how a run ended: its loss, infinite when it diverged (its rate was too high); or `failed`, with nothing learnt.

    held: the run was cancelled, so that its cell goes no further, and none above it, until the run is pending again.
    """

    loss: float = math.inf
    failed: str = ""
    held: str = ""


class Point(NamedTuple):
    """Names a trial of a cell by its steps: of the rate, and of the second setting, 0 where none is searched for."""

    rate: int
    second: int = 0


@dataclass
class CellState:
    """Holds the state of one cell's search.

    trials: steps → run rows, one a searched seed, and their result (None while one runs), in the order asked. repeats: rows of what was
    found, on the other seeds.
    state: waiting (for smaller cells), searching (`reason` says why it goes no further, if so), settled (`accepted` is the step of the rate,
    `second` of the second setting), or given-up (`reason` says why).
    """

    cell: SearchedCell
    state: str = "waiting"
    accepted: int | None = None
    second: int = 0
    reason: str = ""
    forecast: Forecast | None = None
    trials: dict[Point, tuple[list[dict[str, object]], Result | None]] = field(default_factory=dict)
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
    def second_value(self) -> float | None:
        """Return the value of the second setting that was found; None before, and where none is searched for."""
        asked = self.cell.policy.second
        return None if asked is None or self.accepted is None else asked.value(self.second)

    @property
    def found(self) -> str:
        """Return what was found in words, `0.8, weight decay 0.05`; empty before."""
        asked = self.cell.policy.second
        if self.learning_rate is None:
            return ""
        return f"{self.learning_rate:g}" + (f", {asked.name.replace('_', ' ')} {self.second_value:g}" if asked else "")

    @property
    def is_over(self) -> bool:
        return self.state in ("settled", "given-up")

    def losses(self, *, rate: int | None = None, second: int | None = None) -> dict[int, float]:
        """Return the losses that are known at one rate, by steps of the second setting, or at one second value, by steps of the rate."""
        return {
            (point.rate if rate is None else point.second): result.loss
            for point, (_, result) in self.trials.items()
            if result is not None and point in ((rate, point.second), (point.rate, second))
        }


RowOf = Callable[[SearchedCell, int, int, int], dict[str, Any]]
"""Cell, step of the rate, seed, step of the second setting → row of the run."""


def replay(
    cells: Sequence[SearchedCell],
    result_of: Callable[[str], Result | None],
    row_of: RowOf = SearchedCell.run,
) -> list[CellState]:
    """Work out the state of every cell from the smallest on, as far as the results reach.

    A cell begins once all cells below it are over, and sees only those: with fewer or equal epochs and parameters. So neither the order
    in which runs end nor how many run at once changes what it asks. The trials of a cell that was given up do not count for the others.

    Args:
        result_of: run id → how it ended; None while it has not.
        row_of: cell, step of the rate, seed, step of the second setting → row of the run.
    """
    states: list[CellState] = []
    for group in groups_of(cells):
        of_group: list[CellState] = []
        for cell in group:
            below = [state for state in of_group if state.cell.is_below(cell)]
            state = CellState(cell)
            of_group.append(state)
            if all(other.is_over for other in below):
                _Search(state, result_of, row_of).go_on([other for other in below if other.accepted is not None])
        states += of_group
    return states


@dataclass(frozen=True)
class _Search:
    """Takes one cell's search as far as the results reach."""

    state: CellState
    result_of: Callable[[str], Result | None]
    row_of: RowOf

    def go_on(self, below: Sequence[CellState]) -> None:
        """Find the rate at the proposed second value, then that value, then the rate again, until neither moves."""
        state, cell = self.state, self.state.cell
        state.state = "searching"
        nearest = [other for other in below if not any(other.cell.is_below(another.cell) for another in below)]
        state.second = second = proposed_second(cell, below, nearest)
        state.forecast = _forecast(cell, below, nearest, second)
        move = self._along(lambda losses: next_move(losses, state.forecast), second=second)
        if move is None or move.accepted is None:
            if move is not None:
                state.state, state.reason = "given-up", move.given_up
            return
        rate = move.accepted
        while cell.policy.second is not None:
            if (move := self._along(partial(walk, at=second, is_possible=cell.is_possible), rate=rate)) is None:
                return
            if move.accepted == second:
                break
            assert move.accepted is not None
            second = move.accepted
            if (move := self._along(partial(walk, at=rate), second=second)) is None:
                return
            if move.accepted == rate:
                break
            assert move.accepted is not None
            rate = move.accepted
        state.state, state.accepted, state.second = "settled", rate, second
        state.repeats = [self.row_of(cell, rate, seed, second) for seed in cell.policy.other_seeds]

    def _along(self, rule: Callable[[dict[int, float]], Move], **line: int) -> Move | None:
        """Ask for trials along one line, at one rate or one second value, until the rule is through; None while they have not ended.

        None is also the answer where a trial fails or is held; the state then says so.
        """
        while True:
            if not self._has_ended():
                return None
            move = rule(self.state.losses(**line))
            if not move.ask:
                return move
            for step in move.ask:
                point = Point(**{"rate": step, "second": step} | line)
                rows = [self.row_of(self.state.cell, point.rate, seed, point.second) for seed in self.state.cell.policy.trial_seeds]
                self.state.trials[point] = (rows, _together([self.result_of(row["id"]) for row in rows]))

    def _has_ended(self) -> bool:
        state, results = self.state, [result for _, result in self.state.trials.values()]
        if any(result is None for result in results):
            return False
        ended = [result for result in results if result is not None]
        state.reason = next((result.held for result in ended if result.held), "")
        if state.reason:
            return False
        if failed := next((result.failed for result in ended if result.failed), ""):
            state.state, state.reason = "given-up", failed
        return not failed


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


def _forecast(cell: SearchedCell, below: Sequence[CellState], nearest: Sequence[CellState], second: int) -> Forecast | None:
    """Forecast the best rate by the trend of the cells below; None when none of them has two finished trials.

    Of a cell with a second setting the trials at the value that it accepted count. nearest: the largest of those below. A loss of 0 has no
    logarithm, and is left out.
    """
    trials = [trial for state in below for trial in _trials(state, state.losses(second=state.second), state.cell.policy.rate)]
    if len(trials) == len({trial.cell for trial in trials}):
        return None
    steps = [state.accepted for state in nearest if state.accepted is not None]
    may_rise = any(state.second != second for state in nearest)
    by_trend = _by_trend if cell.stage == PRETRAINING else _by_trend_of_finetuning
    return by_trend(tuple(trials), cell.policy, cell.params, cell.epochs, min(steps), max(steps), may_rise)


def _trials(state: CellState, losses: Mapping[int, float], value: Callable[[int], float]) -> list[Trial]:
    from analysis.learning_rate.early import Trial

    cell = state.cell
    return [
        Trial(cell.key, cell.params, cell.epochs, value(step), loss)
        for step, loss in losses.items()
        if math.isfinite(loss) and loss > 0
    ]


@lru_cache(maxsize=10_000)
def _by_trend(
    trials: tuple[Trial, ...], policy: Policy, params: int, epochs: float, least: int, most: int, may_rise: bool
) -> Forecast:
    """Forecast the best rate of a cell from the trials of smaller cells.

    The first rate is on the grid of the policy. A run's id holds its learning rate, so an id must not depend on the last digits of a fit,
    and a run that a grid has done need not be done again.

    The trend's rate is no higher than at the cells below, as it must be when it falls. The first trial lies between the highest rate that
    the nearest cells below accepted and a step below the lowest, since it falls slowly. Where the second setting changes on the way from
    them it `may_rise`: by a step at most.
    """
    from analysis.learning_rate.early import early_trend

    trend = early_trend(trials)
    value, low, _ = trend.at(params=params, epochs=epochs)
    at_cells = {(trial.params, trial.epochs) for trial in trials}
    if may_rise:
        most += 1
    else:
        value = min([value, *(trend.at(params=n, epochs=e)[0] for n, e in at_cells)])
    first = min(max(first_step(_steps(value, policy)), least - 1), most)
    return Forecast(first, _steps(low, policy) - _ROUNDING, may_rise)


@lru_cache(maxsize=10_000)
def _by_trend_of_finetuning(
    trials: tuple[Trial, ...], policy: Policy, params: int, epochs: float, least: int, most: int, may_rise: bool
) -> Forecast:
    """Forecast the same of a fine-tuning, whose best rate may rise or fall with size and epochs of pre-training: no side is closed.

    ASSUMPTION: the published study says of pre-training alone that the best rate falls.
    """
    from analysis.learning_rate.early import UNKNOWN_DIRECTION, early_trend

    value, low, high = early_trend(trials, UNKNOWN_DIRECTION).at(params=params, epochs=epochs)
    first = min(max(first_step(_steps(value, policy)), least), most + 1)  # it is tried with the one below
    return Forecast(first, _steps(low, policy) - _ROUNDING, may_rise, _steps(high, policy) + _ROUNDING)


def proposed_second(cell: SearchedCell, below: Sequence[CellState], nearest: Sequence[CellState]) -> int:
    """Propose a step of the second setting: the trend's at the cells below, within a step of what the nearest accepted; at first the start.

    The trend is that of the rates, of the trials at the rate that each cell accepted, with priors that know no direction. Of a batch size it
    is the nearest that the cell's runs can have.
    """
    asked = cell.policy.second
    if asked is None or not below:
        return 0
    accepted = [state.second for state in nearest]
    trials = [trial for state in below for trial in _trials(state, state.losses(rate=state.accepted), asked.value)]
    step = round(sum(accepted) / len(accepted) - _ROUNDING)
    if len(trials) > len({trial.cell for trial in trials}):
        step = _second_by_trend(tuple(trials), asked, cell.params, cell.epochs)
    step = min(max(step, min(accepted) - 1), max(accepted) + 1)
    nearby = sorted(range(step - _REACH, step + _REACH + 1), key=lambda other: (abs(other - step), other))
    return next((other for other in nearby if cell.is_possible(other)), step)


@lru_cache(maxsize=10_000)
def _second_by_trend(trials: tuple[Trial, ...], asked: Second, params: int, epochs: float) -> int:
    from analysis.learning_rate.early import UNKNOWN_DIRECTION, early_trend

    value, _, _ = early_trend(trials, UNKNOWN_DIRECTION).at(params=params, epochs=epochs)
    return math.ceil((value - math.log(asked.start)) / math.log(asked.factor) - 0.5 - _ROUNDING)


def first_step(steps: float) -> int:
    """Return the step to try first: the one above the trend's, so that it and the one below bracket it.

    Above and not the nearest: whichever side the trend errs on, the better neighbour is among the two. docs/learning_rates.md compares
    them.
    """
    return math.ceil(steps - _ROUNDING)


def _steps(log_rate: float, policy: Policy) -> float:
    return (log_rate - math.log(policy.start)) / math.log(policy.factor)
