"""Selects the pending runs that may start now: a budget allows them, and they need not wait for another run's checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy.orm import Session

from orchestrator.store import finetunings
from orchestrator.store.budget import Affordable, affordable
from orchestrator.store.grid import Waiting
from orchestrator.store.trunks import branch_states

__all__ = ["startable"]


def startable(session: Session, waiting: Sequence[Waiting], estimate: Callable[[Waiting], float | None]) -> Affordable:
    """Pick the waiting runs that may start, and give for each other one the reason why it may not.

    A run that starts from another's checkpoint is expected to cost its own steps only, unless a budget leaves the other out. Then it does
    not wait, and has to be affordable as it is. A fine-tuning always waits for the weights that it starts from.
    """
    parents = {run.id: run.parent for run in waiting if run.parent is not None}
    if not parents:
        return affordable(session, waiting, estimate)
    without_weights = finetunings.waiting(session, list(parents))
    waiting = [run for run in waiting if run.id not in without_weights]
    without: set[str] = set()
    while True:
        states = branch_states(session, list(parents), left_out=without)

        def to_come(run: Waiting) -> float | None:
            cost, state = estimate(run), states.get(run.id)  # noqa: B023 - called within this round only
            return cost if cost is None or state is None else cost * (1.0 - state.inherited)

        found = affordable(session, waiting, to_come)
        left_out = {parent for parent in parents.values() if parent in found.left_out}
        if left_out <= without:
            break
        without |= left_out
    waits = {run: state.reason for run, state in states.items() if state.waits and run not in found.left_out} | without_weights
    return Affordable([run for run in found.runs if run.id not in waits], found.left_out | waits, found.limited or bool(waits))
