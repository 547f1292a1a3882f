"""`Searches`: asks for the runs that are due, from what the store holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.search.cells import Policy, SearchedCell
from orchestrator.search.replay import CellState, Result, replay
from orchestrator.store import Store, changes, searches
from orchestrator.store.models import Experiment, ExperimentRun, Revision, Run, Search
from scaling.outcomes import RunStatus

if TYPE_CHECKING:
    from orchestrator.plan import Plan

__all__ = ["Searches", "cell_of", "results_in", "states_of"]

_NOTHING_LEARNT = (RunStatus.FAILED, RunStatus.CANCELLED)


class Searches:
    """The learning-rate searches of a store, as a planner of the scheduler: see `orchestrator.scheduler.Planner`.

    It keeps what is costly to work out again, the ids of runs by cell, rate and seed, and nothing that the store does not tell.
    """

    def __init__(self) -> None:
        self._rows: dict[tuple[SearchedCell, int, int], dict[str, Any]] = {}
        self._cells: dict[int, SearchedCell] = {}

    def advance(self, session: Session) -> bool:
        """Add the runs that are due to their experiment, in this transaction. True when there were any."""
        by_experiment: dict[int, list[Search]] = {}
        for search in searches.active(session):
            by_experiment.setdefault(search.experiment_id, []).append(search)
        changed = False
        for experiment_id, rows in by_experiment.items():
            search_of = {self._cell(search): search for search in rows}
            states = replay(list(search_of), results_in(session, experiment_id), self._run)
            revision = session.scalar(
                select(Revision.number).where(Revision.experiment_id == experiment_id).order_by(Revision.number.desc()).limit(1)
            )
            wanted = [row for state in states for row in state.runs]
            changed |= searches.want(session, experiment_id, wanted, revision=revision or 1)
            for state in states:
                _remember(search_of[state.cell], state)
        if changed:
            changes.note(session)
        return changed

    def _cell(self, search: Search) -> SearchedCell:
        known = self._cells.get(search.id)
        if known is None or known.template != search.template or known.policy.to_dict() != search.policy:
            known = self._cells[search.id] = cell_of(search)
        return known

    def _run(self, cell: SearchedCell, step: int, seed: int) -> dict[str, Any]:
        key = (cell, step, seed)
        if key not in self._rows:
            self._rows[key] = cell.run(step, seed)
        return self._rows[key]


def cell_of(search: Search) -> SearchedCell:
    """The cell that a row of the store describes."""
    policy = Policy.from_dict(search.policy)
    return SearchedCell(search.family, search.model, search.template["params"], search.epochs, policy, search.template)


def states_of(store: Store, plan: Plan) -> list[CellState]:
    """How far the searches of a plan are, by the runs that the store holds; nothing is written."""
    if not plan.searches:
        return []
    with store.read() as session:
        experiment = session.scalar(select(Experiment.id).where(Experiment.name == plan.spec.name))
        return replay(plan.cells, results_in(session, experiment))


def results_in(session: Session, experiment_id: int | None, *, revived: Sequence[RunStatus] = ()) -> Callable[[str], Result | None]:
    """How runs ended, by id. A run that is not among those of the experiment is looked up when it is asked for.

    revived: statuses of runs that are about to be pending again.
    """
    columns = select(Run.id, Run.status, Run.val_loss, Run.reason)
    ours = columns.join(ExperimentRun, ExperimentRun.run_id == Run.id).where(ExperimentRun.experiment_id == experiment_id)
    known = _by_id(session.execute(ours))

    def result_of(run_id: str) -> Result | None:
        if run_id not in known:
            known[run_id] = _by_id(session.execute(columns.where(Run.id == run_id))).get(run_id)
        found = known[run_id]
        return None if found is None or found[0] in revived else _result(*found)

    return result_of


def _by_id(rows: Iterable[Any]) -> dict[str, tuple[RunStatus, float | None, str] | None]:
    return {run_id: (status, loss, reason) for run_id, status, loss, reason in rows}


def _result(status: RunStatus, loss: float | None, reason: str) -> Result | None:
    if status is RunStatus.FINISHED and loss is not None:
        return Result(loss)
    if status in _NOTHING_LEARNT:
        return Result(failed=f"a trial {status}: {reason}" if reason else f"a trial {status}")
    return Result() if status.is_final else None


def _remember(search: Search, state: CellState) -> None:
    """For those who only read: where the search stands. It is worked out anew, never read back."""
    search.state, search.trials, search.learning_rate = state.state, len(state.trials), state.learning_rate
