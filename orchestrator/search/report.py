"""Reports what a search did: trials a cell, how far its rates are from the best of a grid, and what it saved against one."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from orchestrator.search.advance import cell_of, results_in
from orchestrator.search.replay import CellState, replay
from orchestrator.store import Session, queries, searches
from scaling.columns import SCHEMA_VERSION
from scaling.outcomes import RunStatus

__all__ = ["GRID_RATES", "CellReport", "SearchReport", "reports_payload", "search_report"]

GRID_RATES = 5
"""Learning rates of the grid that a search is compared with: five, each twice the next, as in the study."""
_TOLD = (
    "experiment",
    "trials_per_cell",
    "regret",
    "regret_error",
    "seed_noise",
    "share_of_grid",
    "share_of_grid_flops",
    "core_hours_saved",
)
_REACH = 8
"""Steps to either side of the rate found, within which the store is asked for runs at other rates."""


@dataclass(frozen=True)
class CellReport:
    """Reports on one searched cell.

    epochs: of pre-training, also where `stage` is finetuning. state: as of `CellState`. learning_rate: the one found. trials: how many there were. loss: of what was found, mean over the seeds.
    second, second_value: what is searched for besides, empty for nothing, and the value found. Rates beside it are at that value.
    grid_rates: how many rates the grid beside it has, 0 where none was run. best_of_grid: the lowest mean loss among them, at `best_rate`.
    seed_std: standard deviation of log loss between seeds at one rate, at the rate found and its neighbours; None with one seed.
    runs: that the search asked for, on all seeds; grid_runs: of the grid, or of `GRID_RATES` rates on every seed, times as many values of a second
        setting. train_flops: of one of
        them.
    core_hours: useful ones, of all runs that the search asked for. grid_core_hours: of the grid's runs; where none was run, of `GRID_RATES`
        rates on every seed at the mean of the search's own runs. With a second setting it is that too, for as many values of it.
    """

    family: str
    model: str
    epochs: float
    stage: str
    state: str
    learning_rate: float | None
    trials: int
    loss: float | None
    grid_rates: int
    best_of_grid: float | None
    best_rate: float | None
    seed_std: float | None
    runs: int
    grid_runs: int
    train_flops: float
    core_hours: float
    grid_core_hours: float | None
    second: str = ""
    second_value: float | None = None

    @property
    def regret(self) -> float | None:
        """Return the loss at the rate found over the best of the grid, less 1; None without a grid, or where that best is 0."""
        return None if self.loss is None or not self.best_of_grid else self.loss / self.best_of_grid - 1.0


@dataclass(frozen=True)
class SearchReport:
    """Reports on all searched cells of an experiment, in the file's order."""

    experiment: str
    cells: tuple[CellReport, ...]

    @property
    def trials_per_cell(self) -> float | None:
        """Return the mean number of trials over the cells that are settled; None when none is."""
        return _mean([float(cell.trials) for cell in self.cells if cell.state == "settled"])

    @property
    def regret(self) -> float | None:
        """Return the mean regret over the cells that have a grid beside them; None when none has."""
        return _mean([cell.regret for cell in self.cells if cell.regret is not None])

    @property
    def regret_error(self) -> float | None:
        """Return the standard error of `regret`, over the cells: each is compared with its own grid. None with fewer than two."""
        regrets = [cell.regret for cell in self.cells if cell.regret is not None]
        return statistics.stdev(regrets) / math.sqrt(len(regrets)) if len(regrets) > 1 else None

    @property
    def seed_noise(self) -> float | None:
        """Return the standard deviation of log loss between seeds: root mean square over the cells."""
        mean = _mean([cell.seed_std**2 for cell in self.cells if cell.seed_std is not None])
        return None if mean is None else math.sqrt(mean)

    @property
    def share_of_grid(self) -> float | None:
        """Return the core-hours of the search over those of the grid, summed over the settled cells."""
        settled = [cell for cell in self.cells if cell.state == "settled" and cell.grid_core_hours]
        grid = sum(cell.grid_core_hours or 0.0 for cell in settled)
        return sum(cell.core_hours for cell in settled) / grid if grid else None

    @property
    def share_of_grid_flops(self) -> float | None:
        """Return the training FLOPs of the search over those of the grid, summed over the settled cells.

        They do not depend on how busy the machine was; a run that diverged early counts as a whole one.
        """
        settled = [cell for cell in self.cells if cell.state == "settled"]
        grid = sum(cell.grid_runs * cell.train_flops for cell in settled)
        return sum(cell.runs * cell.train_flops for cell in settled) / grid if grid else None

    @property
    def core_hours_saved(self) -> float | None:
        settled = [cell for cell in self.cells if cell.state == "settled" and cell.grid_core_hours]
        return sum((cell.grid_core_hours or 0.0) - cell.core_hours for cell in settled) if settled else None

    def to_dict(self) -> dict[str, object]:
        names = [entry.name for entry in fields(CellReport)]
        return {name: getattr(self, name) for name in _TOLD} | {
            "cells": [{name: getattr(cell, name) for name in names} | {"regret": cell.regret} for cell in self.cells],
        }


def reports_payload(reports: Sequence[SearchReport]) -> dict[str, Any]:
    """Build `{"schema_version", "searches": [SearchReport.to_dict()]}`."""
    return {"schema_version": SCHEMA_VERSION, "searches": [report.to_dict() for report in reports]}


def search_report(session: Session, experiment: str) -> SearchReport:
    """Report what the searches of an experiment did.

    The grid beside a cell is another experiment of the store that lists `GRID_RATES` rates or more of it. Its runs differ from the
    search's in nothing but the learning rate. Of several such experiments the one with most rates counts, and of its rates the
    `GRID_RATES` next to the rate found, so that a wider grid saves no more.
    """
    rows = searches.active(session, experiment)
    cells = [cell_of(search) for search in rows]
    experiment_id = rows[0].experiment_id if rows else None
    states = {state.cell.key: state for state in replay(cells, results_in(session, experiment_id))}
    return SearchReport(experiment, tuple(_of_cell(session, states[cell.key], experiment_id) for cell in cells))


def _of_cell(session: Session, state: CellState, experiment_id: int | None) -> CellReport:
    cell, seeds = state.cell, len(state.cell.policy.seeds)
    tried, grid = _tried_around(session, state, experiment_id)
    means = {step: mean for step, runs in tried.items() if (mean := _mean_loss(runs, seeds)) is not None}
    own = [result.core_hours for result in queries.results(session, [row["id"] for row in state.runs])]
    each = _mean([hours for hours in own if hours > 0])
    best = min((step for step in grid if step in means), key=lambda step: means[step], default=None)
    asked, values = cell.policy.second, GRID_RATES if cell.policy.second else 1
    if grid and asked is None:
        grid_hours: float | None = sum(run.core_hours for step in grid for run in tried[step])
    else:
        grid_hours = None if each is None else each * GRID_RATES * values * seeds
    return CellReport(
        family=cell.family,
        model=cell.model,
        epochs=cell.epochs,
        stage=cell.stage,
        state=state.state,
        learning_rate=state.learning_rate,
        trials=len(state.trials),
        loss=None if state.accepted is None else means.get(state.accepted),
        grid_rates=len(grid),
        best_of_grid=None if best is None else means[best],
        best_rate=None if best is None else cell.policy.rate(best),
        seed_std=_seed_std(
            [runs for step, runs in tried.items() if state.accepted is not None and abs(step - state.accepted) <= 1]
        ),
        runs=len(own),
        grid_runs=len(grid if grid and asked is None else range(GRID_RATES)) * values * seeds,
        train_flops=cell.template["train_flops"],
        core_hours=sum(own),
        grid_core_hours=grid_hours,
        second=asked.name if asked else "",
        second_value=state.second_value,
    )


@dataclass(frozen=True)
class _Run:
    status: RunStatus
    loss: float | None
    core_hours: float


def _tried_around(session: Session, state: CellState, experiment_id: int | None) -> tuple[dict[int, list[_Run]], list[int]]:
    """Return the ended runs of the cell at rates near the one found, by step, and the steps of the grid beside it.

    The steps are empty where there is no such grid.
    """
    cell, middle = state.cell, state.accepted or 0
    steps = {
        str(cell.run(step, seed, state.second)["id"]): step
        for step in range(middle - _REACH, middle + _REACH + 1)
        for seed in cell.policy.seeds
    }
    tried: dict[int, list[_Run]] = {}
    for run_id, status, loss, core_hours in queries.results(session, steps):
        if status in (RunStatus.FINISHED, RunStatus.DIVERGED):
            tried.setdefault(steps[run_id], []).append(_Run(status, loss, core_hours))
    grids: dict[int, set[int]] = {}
    for other, run_id in searches.experiments_with_grids(session, steps, key=cell.key):
        step = steps[run_id]
        if len(tried.get(step, ())) == len(cell.policy.seeds):
            grids.setdefault(other, set()).add(step)
    largest = max(grids.values(), key=len, default=set())
    if len(largest) < GRID_RATES:
        return tried, []
    return tried, sorted(sorted(largest, key=lambda step: (abs(step - middle), step))[:GRID_RATES])


def _mean_loss(runs: Sequence[_Run], seeds: int) -> float | None:
    """Return the mean loss over the seeds; None unless the rate finished on every seed."""
    losses = [run.loss for run in runs if run.status is RunStatus.FINISHED and run.loss is not None]
    return _mean(losses) if len(losses) == seeds else None


def _seed_std(groups: Sequence[Sequence[_Run]]) -> float | None:
    """Return the standard deviation of log loss between seeds, pooled over the rates with two finished seeds or more; None without any."""
    logs = [[math.log(run.loss) for run in runs if run.loss] for runs in groups]
    several = [group for group in logs if len(group) > 1]
    if not several:
        return None
    squares = sum(sum((value - sum(group) / len(group)) ** 2 for value in group) for group in several)
    return math.sqrt(squares / sum(len(group) - 1 for group in several))


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
