"""Writes a plan's runs into the store as wanted by its experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.planning.edited import refuse_edited_program
from orchestrator.planning.finetuned import finetuning_rows
from orchestrator.planning.plan import Plan
from orchestrator.search.advance import Searches, asked_by, results_in
from orchestrator.search.cells import SearchedCell, alike
from orchestrator.search.finetuning import Finetunings
from orchestrator.search.replay import replay
from orchestrator.store import Session, Store, finetunings
from orchestrator.store.again import AGAIN
from orchestrator.store.experiments import find_experiment
from orchestrator.store.grid import Accepted, accept, known_statuses
from orchestrator.store.models import Finetuning
from scaling.errors import UsageError
from scaling.fault_points import reached
from scaling.outcomes import RunStatus
from trainer import TrainConfig

__all__ = ["accept_plan", "finetuned_status", "plan_status"]


def plan_status(store: Store, plan: Plan) -> dict[str, str]:
    """Map the id of each run of a plan to `new` or to its status in the store."""
    ids = [run.id for run in plan.runs]
    with store.read() as session:
        known = {run_id: str(status) for run_id, status in known_statuses(session, ids).items()}
    return {run_id: known.get(run_id, "new") for run_id in ids}


def finetuned_status(store: Store, plan: Plan) -> dict[str, str]:
    """Map the fine-tuned runs that the experiment of a plan has to their status in the store; none where it fine-tunes otherwise so far."""
    if plan.finetuning is None:
        return {}
    with store.read() as session:
        found = find_experiment(session, plan.spec.name)
        before = {(row.family, row.model): row for row in finetunings.active(session, plan.spec.name)}
        rows = {(row["family"], row["model"]): row for row in finetuning_rows(plan)}
        if found is None or not all(_is_same(before[key], rows[key]) for key in before.keys() & rows.keys()):
            return {}
        ids = finetunings.wanted(session, found.id)
        return {run_id: str(status) for run_id, status in known_statuses(session, ids).items()}


def _is_same(before: Finetuning, row: Mapping[str, Any]) -> bool:
    """Say whether a model is fine-tuned as it was: from the same cells, to the same runs but for their seeds."""
    was, now = (alike(TrainConfig.from_dict(template["config"])) for template in (before.template, row["template"]))
    return (was, before.chosen, before.rates) == (now, row["chosen"], row["rates"])


def accept_plan(store: Store, plan: Plan, *, revise: bool = False, home: Path | None = None) -> Accepted:
    """Write down that the plan's runs are wanted; durable when this returns. home: the folder of runs, where it is known.

    Raises `UsageError` for another study of the same name, for a program that was edited, and for a data set that is only declared.
    """
    cards = (plan.card, plan.finetuning.card) if plan.finetuning else (plan.card,)
    if plan.spec.simulate is None and (declared := [card.name for card in cards if card.provisional]):
        raise UsageError(
            f"data set {declared[0]!r} is only declared, so nothing can be trained on it",
            hint="--dry-run plans it, --simulate rehearses it; to train, name a data set at hand",
        )
    refuse_edited_program(store, plan, home, revise=revise)
    resources, options = plan.resources, plan.options
    rows = [run.row(resources, options) for run in plan.runs]
    tuned = finetuning_rows(plan)
    with store.write() as session:
        before = finetunings.statuses(session) if tuned else {}
        found = find_experiment(session, plan.spec.name) if tuned else None
        had = finetunings.wanted(session, found.id) if found else []
        accepted = accept(
            session,
            name=plan.spec.name,
            file=plan.document.path,
            text=plan.document.text,
            resolved=plan.resolved,
            shared=plan.shared,
            runs=rows + _asked_before(session, plan),
            searched=[_search_row(cell) for cell in plan.cells],
            revise=revise,
        )
        finetunings.link(session, accepted.experiment_id, tuned, revision=accepted.revision)
        if plan.searches or tuned:
            session.flush()
            asking = Finetunings(Searches())
            asking.advance(session, accepted.experiment_id, renew=True)
            asking.keep(session, accepted.experiment_id, had)
            session.flush()
            accepted = _with_stopped_ones(session, accepted)
            accepted = _with_finetuned(session, accepted, before)
    reached("accepted")
    return accepted


def _asked_before(session: Session, plan: Plan) -> list[dict[str, Any]]:
    """List the runs that the file's searches have asked for so far, and those they ask for first.

    All that they ever asked for belong to the experiment: a trial that is to be tried again leaves open what comes after it.
    """
    if not plan.searches:
        return []
    found = find_experiment(session, plan.spec.name)
    experiment = found.id if found else None
    states = replay(plan.cells, results_in(session, experiment, revived=AGAIN))
    rows = {row["id"]: row for state in states for row in state.runs}
    return [*rows.values(), *(row for row in asked_by(session, experiment, plan.cells) if row["id"] not in rows)]


def _with_stopped_ones(session: Session, accepted: Accepted) -> Accepted:
    """Move runs that were stopped early, and that a search put back to pending, from `done` to `again`."""
    again = [run_id for run_id, status in known_statuses(session, accepted.done).items() if status is RunStatus.PENDING]
    return replace(accepted, again=accepted.again + again, done=[run_id for run_id in accepted.done if run_id not in again])


def _with_finetuned(session: Session, accepted: Accepted, before: Mapping[str, RunStatus]) -> Accepted:
    """Add the fine-tuned runs that are known already. before: run id → status of all that the store had."""
    lists: dict[str, list[str]] = {"new": [], "waiting": [], "again": [], "done": []}
    for run_id in finetunings.wanted(session, accepted.experiment_id):
        status = before.get(run_id)
        is_open = status in (RunStatus.PENDING, RunStatus.RUNNING)
        lists["new" if status is None else "waiting" if is_open else "again" if status in AGAIN else "done"].append(run_id)
    return replace(accepted, **{name: getattr(accepted, name) + ids for name, ids in lists.items()})


def _search_row(cell: SearchedCell) -> dict[str, Any]:
    names = ("family", "model", "epochs", "template")
    return {name: getattr(cell, name) for name in names} | {"policy": cell.policy.to_dict()}
