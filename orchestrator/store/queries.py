"""Queries of commands and pages: they return rows as plain dictionaries, spelled as in `scaling.columns`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import fsum
from operator import itemgetter
from typing import Any

from sqlalchemy import Row, case, func, or_, select
from sqlalchemy.orm import Session

from orchestrator.store import finetunings, lease, searches
from orchestrator.store.asked_runs import OLDEST, beyond, conditions, ordered, status_named
from orchestrator.store.budget import budget_of
from orchestrator.store.estimates import estimate_error
from orchestrator.store.experiments import experiment_id, latest_revision, wanted_runs
from orchestrator.store.membership import among
from orchestrator.store.models import IS_FINETUNED, Attempt, Evaluation, Experiment, ExperimentRun, Metric, Run
from orchestrator.store.pace import IS_SHORT, shared_core_hours
from orchestrator.store.prices import all_prices, cost_columns, experiment_cost
from orchestrator.store.recipes import recipes_of, settings_of
from orchestrator.store.run_sums import counts_shown, run_sums, total
from orchestrator.store.skipped import skipped_examples
from scaling.columns import FINETUNING, PRETRAINING
from scaling.errors import UnknownName, UsageError
from scaling.outcomes import NO_BETTER_THAN_GUESSING, AttemptOutcome, RunStatus

__all__ = [
    "INTERRUPTED",
    "core_hours",
    "count_runs",
    "experiment_counts",
    "experiments",
    "interrupted",
    "is_gone",
    "metrics",
    "models",
    "results",
    "revision",
    "run_detail",
    "run_id",
    "run_ids_like",
    "runs",
    "scheduler",
    "siblings",
    "status_counts",
    "wanted_ids",
]

_PRETRAINED_LOSS: Any = case((~IS_FINETUNED, Run.val_loss))

INTERRUPTED = "interrupted: its scheduler is gone; `scaling submit` goes on from the last checkpoint"
"""Reason of a run that was in training when its scheduler died: it waits for the next one, whatever the store had time to hear."""


def runs(
    session: Session,
    *,
    experiment: str | None = None,
    status: Iterable[str] = (),
    family: str | None = None,
    model: str | None = None,
    q: str = "",
    ids: Collection[str] | None = None,
    reasons: Iterable[str] = (),
    sort: str = OLDEST,
    after: str | None = None,
    back: bool = False,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """List runs, oldest first, as rows with the keys of `scaling.columns.RUN_COLUMNS`; and of `RECIPE_COLUMNS` where a setting is not neutral.

    `q`, `sort`: as of `store.asked_runs`. `ids`: only these. `reasons`: only runs whose reason begins with one of these. `after`: the id of the last row of the page before, or with
    `back` that of the first row of the page after. `limit`: rows a page.
    Raises `UnknownName` when there is no experiment, field or column of that name.
    """
    query = _filtered(select(*_ROW), session, experiment=experiment, status=status, family=family, model=model, q=q)
    if begun := [Run.reason.startswith(reason, autoescape=True) for reason in reasons]:
        query = query.where(or_(*begun))
    query = query if ids is None else query.where(among(session, Run.id, ids))
    if after is not None:
        query = query.where(beyond(session, sort, after, back=back))
    query = query.order_by(*ordered(sort, back=back))
    if limit is not None:
        query = query.limit(limit)
    found = session.execute(query).all()[:: -1 if back else 1]
    shown = None if limit is None and ids is None else [run.id for run in found]
    wanted_by, attempts = _experiments_of(session, shown), _attempt_counts(session, shown)
    gone, shared = is_gone(session), shared_core_hours(session, found)
    searched, recipes = searches.searched_besides(session, experiment, runs=shown), recipes_of(session, shown)
    prices, rows = all_prices(session), []
    for run in found:
        row = run_row(run, wanted_by.get(run.id, []), *attempts.get(run.id, (0, None)), gone=gone)
        row["searched"] = searched.get(run.id) or row.get("searched", "")
        row.update(recipes.get(run.id, {}))
        row["core_hours"] = shared.get(run.id, row["core_hours"])
        row.update(cost_columns(row, prices, () if experiment is None else (experiment,)))
        rows.append(row)
    return rows


def count_runs(
    session: Session,
    *,
    experiment: str | None = None,
    status: Iterable[str] = (),
    family: str | None = None,
    model: str | None = None,
    q: str = "",
) -> int:
    """Count the runs that `runs` with the same filter would return in all."""
    query = _filtered(
        select(func.count()).select_from(Run), session, experiment=experiment, status=status, family=family, model=model, q=q
    )
    return session.scalar(query) or 0


def run_row(run: Row[Any], experiments: list[str], attempts: int, packed: int | None, *, gone: bool = False) -> dict[str, Any]:
    """Build the row of one run, with the keys of `RUN_COLUMNS` but for its cost and what was searched; of a program's run also those of the metrics that it reported at its end.

    run: a row that begins with `_ROW`. packed: the most runs that shared the devices of one of its attempts. gone: as `is_gone` says; then a run that is running in the store
    is shown as pending.
    """
    row = dict(zip(_PLAIN_RUN_COLUMNS, _plain_values(run), strict=True))
    if is_interrupted := gone and run.status is RunStatus.RUNNING:
        row["reason"] = INTERRUPTED
    if run.macs is not None:  # a program trains it
        row |= _of_program(run)
    row.update(run.scores or {})
    named = {"imported_from": run.imported_from or "", "imported_id": row.get("imported_id", "")}
    if run.imported_from is not None:  # nothing is known of how it was trained, but what its file says
        named |= {
            "stage": row.get("stage"),
            "parent": run.parent_id or row.get("parent"),
            "attempts": None,
            "packed": row.get("packed"),
        }
    row.update(
        {
            "status": str(RunStatus.PENDING if is_interrupted else run.status),
            "experiments": experiments,
            "parent": run.parent_id,
            "stage": FINETUNING if run.parent_id is not None and run.parent_step is None else PRETRAINING,
            "attempts": attempts,
            "packed": packed,
            "excluded": run.excluded_reason or "",
            "core_hours": run.core_hours or None,
            "inherited_core_hours": run.inherited_core_hours or None,
            "allocated_core_hours": run.allocated_core_hours or None,
            "created_at": run.created_at.isoformat(),
            "ended_at": run.ended_at.isoformat() if run.ended_at else None,
            **named,
        }
    )
    return row


def _of_program(run: Row[Any]) -> dict[str, Any]:
    """Return what a program's run does not know, as None."""
    known = {
        name: getattr(run, name) or None
        for name in ("batch_size", "params", "steps", "examples_seen", "unique_examples", "train_flops")
    }
    if known["train_flops"] is None and run.macs and known["examples_seen"]:
        known["train_flops"] = 6.0 * run.macs * known["examples_seen"]
    return known | {"optimizer": None}


_PLAIN_RUN_COLUMNS = (
    "id", "family", "model", "rehearsal", "dataset", "epochs", "seed", "learning_rate", "batch_size", "weight_decay", "accelerator", "cores", "params", "steps", "step",
    "examples_seen", "unique_examples", "train_flops", "val_loss", "val_top1", "val_top5", "chance_loss", "train_loss",
    "reason",
)  # fmt: skip


_ROW: Any = [*(column for column in Run.__table__.c if column.name not in ("config", "resources", "options")), IS_SHORT]
"""What a row of a run is made from. It does not show these three, and their JSON is most of what the table holds."""
_plain_values = itemgetter(*([column.key for column in _ROW].index(name) for name in _PLAIN_RUN_COLUMNS))


def wanted_ids(session: Session, experiment: str) -> list[str]:
    """List the ids of the runs that an experiment wants, the oldest first. Raises `UnknownName`."""
    ours = Run.id.in_(wanted_runs(experiment_id(session, experiment)))
    return list(session.scalars(select(Run.id).where(ours).order_by(*ordered(OLDEST))))


def run_ids_like(session: Session, prefix: str) -> list[str]:
    """List the run ids that begin with `prefix`, at most ten."""
    return list(session.scalars(select(Run.id).where(Run.id.startswith(prefix, autoescape=True)).order_by(Run.id).limit(10)))


def run_id(session: Session, prefix: str) -> str:
    """Return the run id that begins with `prefix`. Raises `UnknownName` when no run has it, `UsageError` when several have."""
    if session.scalar(select(Run.id).where(Run.id == prefix)):  # a scan looks for the others
        return prefix
    ids = run_ids_like(session, prefix)
    if not ids:
        raise UnknownName("run", prefix, session.scalars(select(Run.id).limit(1000)), hint="`scaling runs` lists them")
    if len(ids) > 1:
        raise UsageError(f"run {prefix!r} is not unique: {', '.join(ids[:4])} …", hint="give more digits")
    return ids[0]


def results(session: Session, ids: Iterable[str]) -> Sequence[Row[str, RunStatus, float | None, float]]:
    """List the results of these runs so far: `id`, `status`, `val_loss`, `core_hours`. Ids that the store does not have are left out."""
    return session.execute(select(Run.id, Run.status, Run.val_loss, Run.core_hours).where(Run.id.in_(list(ids)))).all()


def siblings(session: Session, run_id: str, limit: int = 100) -> list[dict[str, Any]]:
    """List the runs of the same model, data set, epochs and batch size, by learning rate and seed; the run is among them."""
    run = session.execute(select(*_ROW).where(Run.id == run_id)).one()
    alike = [
        getattr(Run, name) == getattr(run, name) for name in ("family", "model", "dataset", "epochs", "batch_size", "rehearsal")
    ]
    stage = Run.parent_id.is_(None) if run.parent_id is None or run.parent_step is not None else Run.parent_id == run.parent_id
    query = select(*_ROW).where(*alike, stage if run.parent_step is None else Run.parent_step.is_not(None))
    found = session.execute(query.order_by(Run.learning_rate, Run.seed, Run.id).limit(limit)).all()
    gone, shared = is_gone(session), shared_core_hours(session, found)
    rows = [run_row(each, [], 0, None, gone=gone) for each in found]
    return [row | {"core_hours": shared.get(row["id"], row["core_hours"])} for row in rows]


def run_detail(session: Session, prefix: str) -> dict[str, Any]:
    """Return one run by a unique prefix of its id: its row, config, attempts and evaluations. Raises as `run_id`."""
    found = run_id(session, prefix)
    whole: Any = select(*_ROW, Run.config, Run.resources, Run.options)
    run = session.execute(whole.where(Run.id == found)).one()
    attempts = session.scalars(select(Attempt).where(Attempt.run_id == found).order_by(Attempt.number)).all()
    evaluations = session.scalars(select(Evaluation).where(Evaluation.run_id == found).order_by(Evaluation.step)).all()
    gone, packed = is_gone(session), max((attempt.packed for attempt in attempts), default=None)
    row = run_row(run, _experiments_of(session, [found]).get(found, []), len(attempts), packed, gone=gone)
    row |= {"core_hours": shared_core_hours(session, [run]).get(found, row["core_hours"])}
    return row | {
        "searched": searches.searched_besides(session, runs=[found]).get(found) or row.get("searched", ""),
        **(settings_of(run.config) if run.macs is None else {}),
        **cost_columns(row, all_prices(session)),
        "config": run.config if run.imported_from is None else run.config | {"columns": run.scores},
        "resources": run.resources.to_dict(),
        "options": run.options.to_dict(),
        "parent_step": run.parent_step,
        "provisional": run.provisional,
        "estimated_core_hours": run.estimated_core_hours,
        "code_version": run.code_version,
        "attempt_rows": [_attempt_row(attempt, gone) for attempt in attempts],
        "evaluations": [_evaluation_row(evaluation) for evaluation in evaluations],
    }


def _attempt_row(attempt: Attempt, gone: bool) -> dict[str, Any]:
    names = (
        "number", "packed", "host", "device", "devices", "threads", "accelerator", "cores", "code_version", "jaxlib_version", "resumed_from",
        "branched_from", "first_step", "last_step", "reason", "useful_seconds", "redone_seconds", "startup_seconds", "evaluation_seconds",
        "checkpoint_seconds", "directory",
    )  # fmt: skip
    is_open = attempt.outcome is None and attempt.ended_at is None
    ending = {"outcome": str(AttemptOutcome.INTERRUPTED), "reason": INTERRUPTED} if is_open and gone else {}
    return {name: getattr(attempt, name) for name in names} | {
        "outcome": str(attempt.outcome) if attempt.outcome else None,
        "started_at": attempt.started_at.isoformat(),
        "ended_at": attempt.ended_at.isoformat() if attempt.ended_at else None,
        **ending,
    }


def _evaluation_row(evaluation: Evaluation) -> dict[str, Any]:
    return {name: getattr(evaluation, name) for name in ("step", "split", "loss", "top1", "top5", "examples", "seconds")}


def metrics(session: Session, run_id: str) -> dict[str, list[tuple[int, float | None]]]:
    """Return the curves of a run: metric name → [(step, value), …] in order of steps.

    Those of a run that started from another's trunk begin with the trunk's.
    """
    curves: dict[str, list[tuple[int, float | None]]] = {}
    query = select(Metric.name, Metric.step, Metric.value).where(Metric.run_id == run_id).order_by(Metric.name, Metric.step)
    for name, step, value in session.execute(query):
        curves.setdefault(name, []).append((step, value))
    origin = select(Run.parent_id, Run.parent_step).where(Run.id == run_id, Run.inherited_core_hours != 0.0)
    parent, parent_step = session.execute(origin).one_or_none() or (None, None)
    if parent is not None and parent_step is not None:
        trunk = metrics(session, parent)
        for name, points in curves.items():
            begins = min(parent_step + 1, points[0][0])
            curves[name] = [point for point in trunk.get(name, ()) if point[0] < begins] + points
    return curves


def status_counts(session: Session, experiment: str | None = None) -> dict[str, int]:
    """Count runs by status; only statuses that occur. Runs that a scheduler left running when it died count as pending."""
    query = _filtered(select(Run.status, func.count()), session, experiment=experiment).group_by(Run.status)
    return counts_shown((tuple(row) for row in session.execute(query)), gone=is_gone(session))


def core_hours(session: Session) -> tuple[float, float]:
    """Sum up the useful and the allocated core-hours of all runs that were trained here."""
    query = select(func.sum(Run.core_hours), func.sum(Run.inherited_core_hours), func.sum(Run.allocated_core_hours))
    done, inherited, allocated = session.execute(query.where(Run.imported_from.is_(None))).one()
    return (done or 0.0) - (inherited or 0.0), allocated or 0.0


def experiment_counts(session: Session) -> dict[str, dict[str, int]]:
    """Count the runs of each experiment by status, as the store has them; only statuses that occur."""
    query = (
        select(Experiment.name, Run.status, func.count())
        .join(ExperimentRun, ExperimentRun.experiment_id == Experiment.id)
        .join(Run, Run.id == ExperimentRun.run_id)
        .where(ExperimentRun.removed_in.is_(None))
        .group_by(Experiment.name, Run.status)
    )
    found: dict[str, dict[str, int]] = {}
    for name, status, count in session.execute(query):
        found.setdefault(name, {})[str(status)] = count
    return found


def experiments(session: Session, name: str | None = None) -> list[dict[str, Any]]:
    """List each experiment (the one of this name) with its runs by status and its core-hours: done, allocated, estimated in all, and the cap on them.

    - `core_hours`: what its runs would have cost so far, each alone
    - `inherited_core_hours`: the part of it that they got from one another
    - `spent_core_hours`: the rest, what the grid did cost
    - `saved`: the inherited share, 0 … 1
    - `interrupted`: how many of the pending runs were in training when a scheduler died
    - `finetuning`: as of `finetunings.progress`; `best_val_loss` is of pre-training
    - `searches`: as of `searches.progress`; what the searches are expected to take is part of the estimate
    - `no_better_than_guessing`: ids of its finished runs that have learnt nothing
    - `estimate_error`: the median over finished runs of |actual / estimated − 1|
    - `skipped`: see `skipped_examples`
    - `imported_from`: the file that its runs were imported from; None for runs of this store. `imported`: how it was read
    - `cost`, `allocated_cost`, `estimated_cost`: these core-hours in money of `currency`; `budget_cost`: the cap on what is allocated
    """
    rows, gone = [], is_gone(session)
    asked = select(Experiment).order_by(Experiment.created_at.desc(), Experiment.id.desc())
    for experiment in session.scalars(asked if name is None else asked.where(Experiment.name == name)):
        sums = run_sums(session, wanted_runs(experiment.id))
        done, inherited = fsum(each.core_hours for each in sums), fsum(each.inherited_core_hours for each in sums)
        estimated = total(each.estimated_core_hours for each in sums)
        latest, budget = latest_revision(session, experiment.name), budget_of(session, experiment.name)
        searched = searches.progress(session, experiment.name)
        if searched is not None:
            estimated = (estimated or 0.0) + searched["core_hours_ahead"]
        if (tuned := finetunings.progress(session, experiment.name, experiment.id, sums)) is not None:
            estimated = (estimated or 0.0) + tuned["core_hours_ahead"]
        rows.append(
            {
                "name": experiment.name,
                "created_at": experiment.created_at.isoformat(),
                "simulated": any(each.rehearsal for each in sums),
                "revision": latest.number if latest else None,
                "file": latest.file if latest else None,
                "imported_from": (imported := latest.resolved.get("imported") if latest else None) and imported["file"],
                "imported": imported,
                "runs": counts_shown(((each.status, each.runs) for each in sums), gone=gone),
                "interrupted": sum(each.runs for each in sums if each.status is RunStatus.RUNNING) if gone else 0,
                "core_hours": done,
                "inherited_core_hours": inherited,
                "spent_core_hours": done - inherited,
                "saved": inherited / done if done else 0.0,
                "allocated_core_hours": fsum(each.allocated_core_hours for each in sums),
                "estimated_core_hours": estimated,
                "estimate_error": estimate_error(session, wanted_runs(experiment.id)),
                "budget_core_hours": budget["core_hours"],
                "budget_cost": budget["money"],
                **experiment_cost(latest, sums, estimated),
                "best_val_loss": min(
                    (each.val_loss for each in sums if each.val_loss is not None and not each.finetuned), default=None
                ),
                "finetuning": tuned,
                "no_better_than_guessing": _guesses(session, experiment.id) if any(each.guesses for each in sums) else [],
                "searches": searched,
                "skipped": skipped_examples(session, experiment.name),
            }
        )
    return rows


def _guesses(session: Session, experiment: int) -> list[str]:
    """List the ids of an experiment's runs that have learnt nothing."""
    ours = Run.id.in_(wanted_runs(experiment)), Run.reason.startswith(NO_BETTER_THAN_GUESSING)
    return list(session.scalars(select(Run.id).where(*ours)))


def models(session: Session) -> list[tuple[str, str]]:
    """List every (family, model) that has a run, by family and in order of size."""
    query = select(Run.family, Run.model).group_by(Run.family, Run.model).order_by(Run.family, func.min(Run.params), Run.model)
    return [(family, model) for family, model in session.execute(query)]


def revision(session: Session, experiment: str) -> dict[str, Any] | None:
    """Return the latest version of an experiment's file: number, file, text and when it was accepted. None where there is none."""
    found = latest_revision(session, experiment)
    if found is None:
        return None
    return {"number": found.number, "file": found.file, "text": found.text, "created_at": found.created_at.isoformat()}


def scheduler(session: Session) -> Mapping[str, Any] | None:
    """Return holder, host, process id and start of the lease of the scheduler that is at work; None when none is."""
    found = lease.standing(session)
    if found is None or lease.is_over(found):
        return None
    return {"holder": found.holder, "host": found.host, "pid": found.pid, "acquired_at": found.acquired_at.isoformat()}


def is_gone(session: Session) -> bool:
    """Say whether the last scheduler ended without giving its lease back: then nobody trains the runs that are running in the store."""
    found = lease.standing(session)
    return found is not None and lease.is_over(found)


def interrupted(session: Session, experiment: str | None = None) -> int:
    """Count the runs that were in training when their scheduler died."""
    if not is_gone(session):
        return 0
    query = _filtered(select(func.count()).select_from(Run), session, experiment=experiment)
    return session.scalar(query.where(Run.status == RunStatus.RUNNING)) or 0


def _filtered(
    query: Any,
    session: Session,
    *,
    experiment: str | None = None,
    status: Iterable[str] = (),
    family: str | None = None,
    model: str | None = None,
    q: str = "",
) -> Any:
    if experiment is not None:
        query = query.where(Run.id.in_(wanted_runs(experiment_id(session, experiment))))
    if statuses := {status_named(value) for value in status}:
        if statuses & {RunStatus.PENDING, RunStatus.RUNNING} and is_gone(session):  # as `run_row` shows them
            statuses.discard(RunStatus.RUNNING)
            statuses |= {RunStatus.RUNNING} if RunStatus.PENDING in statuses else set()
        query = query.where(Run.status.in_(statuses))
    if family is not None:
        query = query.where(Run.family == family)
    if model is not None:
        query = query.where(Run.model == model)
    if q:
        query = query.where(*conditions(q, gone=is_gone(session)))
    return query


def _experiments_of(session: Session, ids: list[str] | None) -> dict[str, list[str]]:
    query = (
        select(ExperimentRun.run_id, Experiment.name)
        .join(Experiment, Experiment.id == ExperimentRun.experiment_id)
        .where(ExperimentRun.removed_in.is_(None))
        .order_by(Experiment.created_at, Experiment.id)
    )
    if ids is not None:
        query = query.where(ExperimentRun.run_id.in_(ids))
    names: dict[str, list[str]] = {}
    for run_id, name in session.execute(query):
        names.setdefault(run_id, []).append(name)
    return names


def _attempt_counts(session: Session, ids: list[str] | None) -> dict[str, tuple[int, int]]:
    """Map each run id to how many attempts it had, and to the most runs that shared the devices of one of them."""
    query = select(Attempt.run_id, func.count(), func.max(Attempt.packed)).group_by(Attempt.run_id)
    if ids is not None:
        query = query.where(Attempt.run_id.in_(ids))
    return {run_id: (count, packed) for run_id, count, packed in session.execute(query)}
