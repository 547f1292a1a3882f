"""Which runs of an experiment are fine-tuned, and how: rows of `Finetuning`, the pre-trained runs to choose from, the runs that came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from statistics import fmean
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session, aliased

from orchestrator.store.experiments import wanted_runs
from orchestrator.store.membership import among
from orchestrator.store.models import IS_FINETUNED, Attempt, Experiment, ExperimentRun, Finetuning, Run, Search
from orchestrator.store.run_sums import RunSums, counts_shown, run_sums
from scaling.columns import FINETUNING, PRETRAINING
from scaling.outcomes import RunStatus

__all__ = [
    "NO_WEIGHTS",
    "Pretrained",
    "active",
    "begun",
    "cancel",
    "expected_cells",
    "experiments",
    "link",
    "of_experiment",
    "origin",
    "pretrained",
    "progress",
    "reopen",
    "searched",
    "statuses",
    "waiting",
    "wanted",
]

NO_WEIGHTS = "not fine-tuned:"
"""How the reason of a pending run begins whose parent will not give it weights."""

_ENDED = {RunStatus.FAILED: "failed", RunStatus.DIVERGED: "diverged"}


@dataclass(frozen=True)
class Pretrained:
    """Holds of a pre-trained run what chooses it, by the names of `models.Run`."""

    id: str
    family: str
    model: str
    epochs: float
    learning_rate: float
    seed: int
    batch_size: int
    weight_decay: float | None
    status: RunStatus
    reason: str
    val_loss: float | None
    train_flops: float
    params: int
    examples_seen: int
    unique_examples: int

    @property
    def cell(self) -> tuple[str, str, float]:
        return (self.family, self.model, self.epochs)


_COLUMNS: Any = [getattr(Run, name) for name in Pretrained.__dataclass_fields__]


def link(session: Session, experiment_id: int, rows: Sequence[Mapping[str, Any]], *, revision: int) -> None:
    """Make the experiment fine-tune exactly as these rows say: with `family`, `model`, `chosen`, `template`, `rates` and `policy`."""
    known = {
        (row.family, row.model): row for row in session.scalars(select(Finetuning).where(Finetuning.experiment_id == experiment_id))
    }
    if known:  # which cells are searched follows from pre-training once more
        ours = (Search.experiment_id == experiment_id) & (Search.stage == FINETUNING) & Search.removed_in.is_(None)
        session.execute(update(Search).where(ours).values(removed_in=revision))
    for row in rows:
        there = known.pop((row["family"], row["model"]), None)
        if there is None:
            session.add(Finetuning(experiment_id=experiment_id, added_in=revision, **row))
        else:
            for name in ("chosen", "template", "rates", "policy"):
                setattr(there, name, row[name])
            there.removed_in, there.is_cancelled = None, False
    for there in known.values():
        there.removed_in = there.removed_in or revision


def experiments(session: Session) -> list[int]:
    """List the ids of the experiments that fine-tune, but for cancelled ones."""
    return sorted(
        set(session.scalars(select(Finetuning.experiment_id).where(Finetuning.removed_in.is_(None), ~Finetuning.is_cancelled)))
    )


def of_experiment(session: Session, experiment_id: int) -> list[Finetuning]:
    """List how an experiment fine-tunes, a row a model; none where that was cancelled."""
    ours = Finetuning.experiment_id == experiment_id
    query = select(Finetuning).where(ours, Finetuning.removed_in.is_(None), ~Finetuning.is_cancelled)
    return list(session.scalars(query.order_by(Finetuning.id)))


def active(session: Session, experiment: str) -> list[Finetuning]:
    """List how an experiment, by its name, fine-tunes, a row a model."""
    query = select(Finetuning).join(Experiment, Experiment.id == Finetuning.experiment_id).where(Experiment.name == experiment)
    return list(session.scalars(query.where(Finetuning.removed_in.is_(None)).order_by(Finetuning.id)))


def pretrained(session: Session, experiment_id: int) -> list[Pretrained]:
    """List the runs of an experiment that were not fine-tuned from another, in the order of its file, but for those that a user excluded."""
    query = select(*_COLUMNS).where(Run.id.in_(wanted_runs(experiment_id)), ~IS_FINETUNED, Run.excluded_reason.is_(None))
    return [Pretrained(*row) for row in session.execute(query.order_by(Run.created_at, Run.id))]


def searched(session: Session, experiment_id: int) -> dict[tuple[str, str, float], Search]:
    """Map the cells of pre-training whose learning rates are searched for to their searches."""
    ours = (Search.experiment_id == experiment_id) & Search.removed_in.is_(None) & (Search.stage == PRETRAINING)
    return {(row.family, row.model, row.epochs): row for row in session.scalars(select(Search).where(ours))}


def statuses(session: Session) -> dict[str, RunStatus]:
    """Map every fine-tuned run of the store to its status."""
    return {run_id: status for run_id, status in session.execute(select(Run.id, Run.status).where(IS_FINETUNED))}  # noqa: C416


def wanted(session: Session, experiment_id: int) -> list[str]:
    """List the ids of the fine-tuned runs that an experiment wants, in the order they were asked for."""
    query = select(Run.id).join(ExperimentRun, ExperimentRun.run_id == Run.id)
    ours = (ExperimentRun.experiment_id == experiment_id) & ExperimentRun.removed_in.is_(None)
    return list(session.scalars(query.where(ours, IS_FINETUNED).order_by(Run.created_at, Run.id)))


def begun(session: Session, run_ids: Sequence[str]) -> list[Run]:
    """List those of these fine-tuned runs that are in training or over, but for those that failed or were stopped."""
    states = (RunStatus.RUNNING, RunStatus.FINISHED, RunStatus.DIVERGED)
    return list(session.scalars(select(Run).where(among(session, Run.id, run_ids), IS_FINETUNED, Run.status.in_(states))))


def waiting(session: Session, run_ids: Sequence[str]) -> dict[str, str]:
    """Map those of these pending runs that cannot start yet, since the run whose weights they start from is not there, to why."""
    parent = aliased(Run)
    query = (
        select(Run.id, parent.id, parent.status, parent.resume_attempt)
        .join(parent, parent.id == Run.parent_id)
        .where(among(session, Run.id, run_ids), Run.parent_step.is_(None), Run.resume_attempt.is_(None))
    )
    found = {}
    for run_id, parent_id, status, attempt in session.execute(query):
        if not status.is_final:
            found[run_id] = f"starts from the weights of run {parent_id} once that has finished"
        elif status is not RunStatus.FINISHED:
            found[run_id] = f"{NO_WEIGHTS} run {parent_id}, from whose weights it starts, {_ENDED.get(status, f'was {status}')}"
        elif attempt is None:
            found[run_id] = (
                f"{NO_WEIGHTS} run {parent_id}, from whose weights it starts, has no checkpoint; submit with another seed to train it again"
            )
    return found


def origin(session: Session, run: Run) -> tuple[Attempt, int] | None:
    """Return the attempt whose checkpoint has the weights that a run starts from, and the step of that; None where it starts from none."""
    if run.parent_id is None or run.parent_step is not None:
        return None
    query = select(Attempt, Run.resume_step).join(Run, (Run.id == Attempt.run_id) & (Run.resume_attempt == Attempt.number))
    found = session.execute(query.where(Run.id == run.parent_id)).first()
    return None if found is None else (found[0], found[1])


def expected_cells(rule: Mapping[str, Any], *, models: int, budgets: int) -> int:
    """Estimate how many of the cells of a family are chosen.

    ASSUMPTION: a frontier goes from the smallest cell to the largest, a step in size or in budget at a time.
    """
    most = models * budgets
    return {"all": most, "frontier": models + budgets - 1, "top": min(rule.get("top") or most, most)}[rule["name"]]


def _ahead(session: Session, rows: Sequence[Finetuning], experiment_id: int) -> float:
    """Estimate the core-hours of the families of which it is not known yet which runs are fine-tuned, since pre-training is not over."""
    asked = set(session.scalars(select(Run.family).where(Run.id.in_(wanted_runs(experiment_id)), IS_FINETUNED).distinct()))
    runs = pretrained(session, experiment_id)
    searches = searched(session, experiment_id)
    cells = {run.cell for run in runs} | set(searches)
    is_open = {run.family for run in runs if not run.status.is_final}
    is_open |= {family for (family, *_), search in searches.items() if search.state in ("waiting", "searching")}
    seeds, ahead = len({run.seed for run in runs}), 0.0
    for family in ({row.family for row in rows} & is_open) - asked:
        costs = [_runs_a_cell(row, seeds) * (row.template["estimated_core_hours"] or 0.0) for row in rows if row.family == family]
        budgets = {epochs for of, _, epochs in cells if of == family}
        ahead += expected_cells(rows[0].chosen, models=len(costs), budgets=len(budgets)) * fmean(costs)
    return ahead


def _runs_a_cell(row: Finetuning, seeds: int) -> int:
    if row.policy is None:
        return len(row.rates) * seeds
    tried = row.policy["searched_seeds"]
    return 2 * tried + len(row.policy["seeds"]) - tried


def progress(session: Session, experiment: str, experiment_id: int, sums: Iterable[RunSums] | None = None) -> dict[str, Any] | None:
    """Sum up the fine-tuning of an experiment; None where it has none.

    sums: of `run_sums` over its runs; None: they are summed up here.

    - `runs`: its fine-tuned runs by status; empty while it is not known which they are
    - `core_hours`, `allocated_core_hours`: of these, which are among the experiment's
    - `core_hours_ahead`: estimate for families of which it is not known yet which runs are fine-tuned
    - `best_val_loss`, `best_top1`: of these
    """
    if sums is None:
        sums = run_sums(session, select(Run.id).where(Run.id.in_(wanted_runs(experiment_id)), IS_FINETUNED))
    tuned = [each for each in sums if each.finetuned]
    if not tuned and not active(session, experiment):
        return None
    return {
        "runs": counts_shown(((each.status, each.runs) for each in tuned), gone=False),
        "core_hours": fsum(each.core_hours for each in tuned),
        "allocated_core_hours": fsum(each.allocated_core_hours for each in tuned),
        "core_hours_ahead": _ahead(session, of_experiment(session, experiment_id), experiment_id),
        "best_val_loss": min((each.val_loss for each in tuned if each.val_loss is not None), default=None),
        "best_top1": max((each.val_top1 for each in tuned if each.val_top1 is not None), default=None),
    }


def cancel(session: Session, experiment_id: int | None) -> None:
    """Ask for no more fine-tunings of an experiment (of all, where None), until `reopen` or until it is submitted again."""
    _set_cancelled(session, experiment_id, True)


def reopen(session: Session, experiment_id: int | None) -> None:
    """Take `cancel` back."""
    _set_cancelled(session, experiment_id, False)


def _set_cancelled(session: Session, experiment_id: int | None, value: bool) -> None:
    change = update(Finetuning).values(is_cancelled=value)
    session.execute(change if experiment_id is None else change.where(Finetuning.experiment_id == experiment_id))
