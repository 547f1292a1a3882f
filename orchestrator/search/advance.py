"""Learning-rate searches against the store: asks for the runs that are due, and reads their results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from orchestrator.search.cells import Policy, SearchedCell
from orchestrator.search.replay import CellState, Result, replay
from orchestrator.store import Session, Store, changes, searches
from orchestrator.store.again import AGAIN
from orchestrator.store.experiments import find_experiment
from orchestrator.store.models import Search
from scaling.columns import PRETRAINING
from scaling.outcomes import RunStatus

__all__ = ["Searches", "asked_by", "cell_of", "results_in", "states_of"]


class Searches:
    """Advances the learning-rate searches of a store, as a rule of the scheduler: see `orchestrator.scheduling.policy.Rule`.

    It caches what is costly to work out again: the runs by cell, rate and seed, and which experiments have nothing left to ask. It holds
    nothing that the store does not tell.
    """

    def __init__(self) -> None:
        self._rows: dict[tuple[SearchedCell, int, int, int], dict[str, Any]] = {}
        self._cells: dict[int, SearchedCell] = {}
        self._over: set[int] = set()
        self._grid: int | None = None

    def advance(self, session: Session, experiment_id: int | None = None, *, renew: bool = False) -> bool:
        """Add the runs that are due to their experiment, of one or of all, in this transaction. Returns True when there were any.

        An experiment whose cells are all over is looked at again only when somebody has changed the grid since: retried or submitted
        something. renew: as `searches.want` takes it.
        """
        if changes.number(session) != self._grid:
            self._over.clear()
        changed = False
        ours = searches.searching(session) if experiment_id is None else [experiment_id]
        for one in ours:
            if one not in self._over:
                changed |= self._advance(session, one, renew)
        if changed:
            changes.note(session)
        self._grid = changes.number(session)
        return changed

    def _advance(self, session: Session, experiment_id: int, renew: bool) -> bool:
        search_of = {self._cell(search): search for search in searches.of_experiment(session, experiment_id)}
        states = replay(list(search_of), results_in(session, experiment_id), self._run)
        wanted = [row for state in states for row in state.runs]
        revision = searches.latest_revision_number(session, experiment_id)
        asked = searches.want(session, experiment_id, wanted, revision=revision, renew=renew)
        for state in states:
            _remember(search_of[state.cell], state)
        if asked.put_back:  # it may be a trial of another experiment too
            self._over.clear()
        if all(state.is_over for state in states):
            self._over.add(experiment_id)
        return asked.anything

    def _cell(self, search: Search) -> SearchedCell:
        known = self._cells.get(search.id)
        if known is None or known.template != search.template or known.policy.to_dict() != search.policy:
            known = self._cells[search.id] = cell_of(search)
        return known

    def _run(self, cell: SearchedCell, step: int, seed: int, second: int) -> dict[str, Any]:
        key = (cell, step, seed, second)
        if key not in self._rows:
            self._rows[key] = cell.run(step, seed, second)
        return self._rows[key]


def cell_of(search: Search) -> SearchedCell:
    """Build the searched cell that a row of the store describes."""
    policy = Policy.from_dict(search.policy)
    return SearchedCell(search.family, search.model, search.template["params"], search.epochs, policy, search.template)


def states_of(store: Store, experiment: str, cells: Sequence[SearchedCell]) -> list[CellState]:
    """Return the state of the searches of these cells, by the runs that an experiment of the store has; nothing is written."""
    if not cells:
        return []
    with store.read() as session:
        found = find_experiment(session, experiment)
        return replay(cells, results_in(session, found.id if found else None))


def asked_by(session: Session, experiment_id: int | None, cells: Sequence[SearchedCell]) -> list[dict[str, object]]:
    """List the rows of the runs that searches of these cells, with the same policy, asked for before, and that are still wanted."""
    rows = searches.all_of_experiment(session, experiment_id)
    policies = {(search.family, search.model, search.epochs, search.stage): search.policy for search in rows}
    same = {cell.key: cell for cell in cells if policies.get(cell.key) == cell.policy.to_dict()}
    found = []
    for trial in searches.trials(session, experiment_id):
        cell = same.get((trial.family, trial.model, trial.epochs, PRETRAINING))
        if cell is None:
            continue
        asked = cell.policy.second
        value = getattr(trial, asked.name) if asked else None
        if asked and not value:  # nothing that a search asks for is 0
            continue
        second = asked.step(value) if asked and value else 0
        if (
            cell.is_possible(second)
            and (row := cell.run(cell.policy.step(trial.learning_rate), trial.seed, second))["id"] == trial.id
        ):
            found.append(row)
    return found


def results_in(session: Session, experiment_id: int | None, *, revived: Sequence[RunStatus] = ()) -> Callable[[str], Result | None]:
    """Return a function from run id to how the run ended; None while it has not.

    A run that the experiment does not want yet is looked up when it is asked for. Its result counts when it finished or diverged, else it
    will be pending again once it is asked for.

    revived: statuses of runs that are about to be pending again.
    """
    known = {
        run_id: None if status in revived else _result(status, loss, reason)
        for run_id, status, loss, reason in searches.ended_runs(session, experiment_id)
    }

    def result_of(run_id: str) -> Result | None:
        if run_id not in known:
            there = searches.ended_run(session, run_id)
            known[run_id] = _result(*there[1:]) if there is not None and there.status not in AGAIN else None
        return known[run_id]

    return result_of


def _result(status: RunStatus, loss: float | None, reason: str) -> Result | None:
    """Translate a run's status into the result of a trial; None while it has not ended.

    A run that was stopped early has none: it is pending again as soon as a search asks for it (`searches.want`).
    """
    if status is RunStatus.FINISHED:
        return Result(failed="a trial finished without a validation loss") if loss is None else Result(loss)
    if status is RunStatus.CANCELLED:
        return Result(held="a trial was cancelled; `scaling retry` or submitting again lets the search go on")
    if status is RunStatus.FAILED:
        return Result(failed=f"a trial failed: {reason}" if reason else "a trial failed")
    return Result() if status is RunStatus.DIVERGED else None


def _remember(search: Search, state: CellState) -> None:
    """Write the state of a search into its row, for those who only read: it is worked out anew each time, never read back."""
    search.state, search.trials, search.learning_rate = state.state, len(state.trials), state.learning_rate
    search.second, search.reason = state.second_value, state.reason
