"""The main job, from a file to a fitted law: plan, price, confirm, accept, see through, fit, judge what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.experiments_file import read_spec
from orchestrator.home import home_folder
from orchestrator.planning.accept import accept_plan, finetuned_status, plan_status
from orchestrator.planning.plan import make_plan
from orchestrator.planning.priced import Priced, price, rates_of
from orchestrator.planning.shipped import remarks_on, shipment_of, shipped
from orchestrator.scheduling.policy import SchedulingPolicy
from orchestrator.scheduling.see_through import Progress, see_through
from orchestrator.search.advance import states_of
from orchestrator.store import DEFAULT_URL, Store, finetunings, queries, searches
from orchestrator.store.experiments import experiment_id, experiment_names
from orchestrator.store.grid import Accepted
from orchestrator.store.payloads import runs_payload
from orchestrator.store.skipped import skipped_examples
from scaling.columns import FINETUNING, PRETRAINING
from scaling.errors import ScalingError, UsageError
from scaling.outcomes import RunStatus
from trainer.users_code import look_in

if TYPE_CHECKING:
    import pandas as pd

    from analysis import Answer, Regret
    from orchestrator.detach import Detached

__all__ = ["Ending", "Outcome", "Submitted", "ending", "submit"]

Outcome = Literal["done", "nothing to do", "paused", "left", "detached", "dry run", "declined"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Ending:
    """Says in which state an experiment is once this call no longer works on it.

    outcome: `done`; `nothing to do`: all was done before; `paused`: runs in training have checkpointed; `left`: another scheduler works on;
        `detached`: one on the cluster does; `dry run`; `declined`: it was not confirmed.
    rows: its runs, keys as in `scaling.columns`; searched: its cells whose learning rates are searched for, of `store.searches.cells`;
        skipped: of `store.skipped`; finetuning: of `store.finetunings.progress`. All empty where no run was seen through.
    answer: what its law says, once all is done; no_law: why there is none. finetuned: what the law of its fine-tuned runs says, where there is one.
    regret: what the best cell so far costs at most against the best size and epochs of its compute; None where there is no frontier.
    file: as it was named when it was submitted; empty of a dictionary. options: of a command that asks about these runs.
    """

    experiment: str
    outcome: Outcome
    rows: list[dict[str, Any]] = field(default_factory=list, repr=False)
    searched: list[dict[str, Any]] = field(default_factory=list, repr=False)
    skipped: dict[str, int] | None = field(default=None, repr=False)
    finetuning: dict[str, Any] | None = field(default=None, repr=False)
    answer: Answer | None = field(default=None, repr=False)
    no_law: ScalingError | None = None
    finetuned: Answer | None = field(default=None, repr=False)
    regret: Regret | None = field(default=None, repr=False)
    file: str = field(default="", repr=False)
    options: tuple[str, ...] = field(default=(), repr=False)

    @property
    def failed(self) -> list[str]:
        """List the ids of the runs that failed."""
        return [row["id"] for row in self.rows if row["status"] == RunStatus.FAILED]

    @property
    def incomplete(self) -> list[tuple[str, str, float, str]]:
        """List family, model, epochs of pre-training, and stage of the cells that have no finished run, or no learning rate.

        One rate among several that diverged is a result, and so is a cell that the file's own rule stopped: nothing is fine-tuned from it.
        """
        epochs = {row["id"]: row["epochs"] for row in self.rows}
        stopped = {row["id"] for row in self.rows if row["status"] == RunStatus.STOPPED}

        def cell(row: Mapping[str, Any]) -> tuple[str, str, float, str]:
            pretraining = row["epochs"] if row["stage"] == PRETRAINING else epochs.get(row.get("parent", ""), row["epochs"])
            return (row["family"], row["model"], pretraining, row["stage"])

        settled = {cell(row) for row in self.rows if row["status"] in (RunStatus.FINISHED, RunStatus.STOPPED)}
        missing = [cell(row) for row in self.rows if cell(row) not in settled and row.get("parent") not in stopped]
        return list(dict.fromkeys(missing + [cell(search) for search in self.searched if search["learning_rate"] is None]))

    @property
    def exit_code(self) -> int:
        """Return the command's exit code.

        130: it was interrupted. 1: a run failed, a cell ended without a finished run, or what it costs was not confirmed. 0: all else.
        """
        if self.outcome in ("paused", "left"):
            return 130
        return int(bool(self.failed or self.incomplete) or self.outcome == "declined")

    def runs(self) -> pd.DataFrame:
        """Return the runs as the table that the analysis takes."""
        from analysis.unfinished import table_of

        return table_of(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return `{"schema_version", "runs": […], "headline", "answer", "regret"}`, as `scaling submit --json` prints it; `finetuned_answer` too where runs were fine-tuned."""
        tuned = {} if self.finetuned is None else {"finetuned_answer": self.finetuned.to_dict()}
        regret = None if self.regret is None else self.regret.to_dict()
        answer = None if self.answer is None else self.answer.to_dict()
        return {**runs_payload(self.rows), "headline": self.headline, "answer": answer, "regret": regret, **tuned}

    @property
    def headline(self) -> str | None:
        """Return the answer in words, with what its choices cost at most: what the pages begin with. None where there is no law."""
        from analysis.headline import headline

        return None if self.answer is None else headline(self.answer, self.regret)


@dataclass(frozen=True, eq=False, kw_only=True)
class Submitted(Ending):
    """Says what `submit` did.

    plan: with its price. accepted: ids of the runs that were new, waited, go on or were done; None where none were accepted.
    job: the scheduler on the cluster of a job that was `detached`.
    """

    plan: Priced = field(repr=False)
    accepted: Accepted | None = field(default=None, repr=False)
    job: Detached | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what `Ending.to_dict` does; of a dry run the plan."""
        return self.plan.to_dict() if self.outcome == "dry run" else super().to_dict()


def submit(
    study: str | Path | Mapping[str, Any],
    *,
    db: str = DEFAULT_URL,
    home: str | Path = "scaling-runs",
    address: str = "local",
    dry_run: bool = False,
    simulate: bool = False,
    detach: bool = False,
    revise: bool = False,
    yes: bool = False,
    confirm: Callable[[str], bool] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    on_plan: Callable[[Priced], None] = lambda plan: None,
    on_accepted: Callable[[Accepted], None] = lambda accepted: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_notice: Callable[[str], None] = lambda sentence: None,
    policy: SchedulingPolicy | None = None,
) -> Submitted:
    """Train what an experiments file asks for, write every run to the database, and fit the law of the runs.

    Submitting again does nothing twice: finished runs are kept, interrupted ones go on where they stopped. It works in a thread or a
    notebook, and leaves signals alone: a `KeyboardInterrupt` leaves the runs to the next call, which goes on from their last checkpoints.

    >>> study = {"name": "small", "dataset": {"name": "digits"}, "models": ["nano-F0"],
    ...          "epochs": [1, 2], "batch_size": 64, "learning_rate": 1.6}
    >>> planned = scaling.submit(study, dry_run=True)
    >>> planned.outcome, [cell["steps"] for cell in planned.plan.cells]
    ('dry run', [22, 43])

    Args:
        study: an experiments file, or a dictionary of the same keys (`scaling docs experiments`). Paths in either start at the working
            directory.
        db: the database, a path or a SQLAlchemy URL. home: the folder for checkpoints and logs; made if need be.
        address: a Ray cluster, host:port, or "local" to start one for this call.
        dry_run: check file, store and data, and return the plan with its cost; run and write nothing.
        simulate: train nothing, let losses follow a stated surface.
        detach: hand the scheduler over to the cluster at `address`, as a Ray job, and return.
        revise: let this file replace an experiment of the same name with other settings.
        yes: do not ask when the estimate passes the file's `confirm_above`. confirm: asked then, with a question; None refuses.
        should_stop: polled about twice a second while runs are under way. When it says True, runs in training checkpoint and the rest is
            paused.
        on_plan, on_accepted: called with the plan before anything is asked or written, and with the ids of the runs once they are accepted.
        on_progress, on_notice: see `orchestrator.scheduling.see_through`.
        policy: order of the runs and timeouts; see `orchestrator.scheduling.policy`.

    Raises:
        SpecError: the file has faults, all of them listed.
        UsageError: above `confirm_above` without `yes` or `confirm`; finished runs of another study have its name; options that make no
            sense.
        StoreError, DataError, ClusterError: the store, the data or the cluster cannot be used.
    """
    if detach and address == "local":
        raise UsageError("--detach hands the scheduler over to a cluster", hint="name it: --address host:port")
    folder = home_folder(home)
    look_in(Path.cwd())
    priced = price(make_plan(*read_spec(study, simulate=simulate)), rates_of(db))
    plan, name = priced.plan, priced.plan.spec.name
    if dry_run:
        from orchestrator.planning.dry_run import dry_run as checked

        return Submitted(experiment=name, outcome="dry run", plan=checked(priced, db, folder, revise=revise, address=address))

    shipment = shipment_of(plan, home=folder, db=db, address=address)
    with Store.open(db) as store:
        store.wait_for_server()
        priced = replace(
            priced,
            states=plan_status(store, plan),
            searched=states_of(store, name, plan.cells),
            finetuned=finetuned_status(store, plan),
        )
        on_plan(priced)
        if not (yes or _is_confirmed(priced, confirm)):
            return Submitted(experiment=name, outcome="declined", plan=priced)
        for remark in remarks_on(shipment, plan, store, folder):
            on_notice(remark)
        accepted = accept_plan(store, shipped(shipment, plan, folder) if shipment else plan, revise=revise, home=folder)
        on_accepted(accepted)
        outcome: Outcome = "nothing to do"
        if accepted.ahead:
            if detach:
                from orchestrator.detach import detach as hand_over

                job = hand_over(store, name, address=address, home=folder, policy=policy or SchedulingPolicy())
                return Submitted(experiment=name, outcome="detached", plan=priced, accepted=accepted, job=job)
            told: dict[str, Any] = {"should_stop": should_stop, "on_progress": on_progress, "on_notice": on_notice}
            outcome = see_through(store, name, home=folder, address=address, policy=policy, **told)
        return Submitted(**vars(ending(store, name, outcome, db=db)), plan=priced, accepted=accepted)


def ending(store: Store, experiment: str, outcome: Outcome, *, db: str = DEFAULT_URL) -> Ending:
    """Judge an experiment that was seen through, here or by a scheduler on the cluster; where all is done, fit its law.

    db: the store's name as it was given, for the commands that come next.
    """
    with store.read() as session:
        revision = queries.revision(session, experiment)
        found = Ending(
            experiment=experiment,
            outcome=outcome,
            rows=queries.runs(session, experiment=experiment),
            searched=searches.cells(session, experiment),
            skipped=skipped_examples(session, experiment),
            finetuning=finetunings.progress(session, experiment, experiment_id(session, experiment)),
            file=revision["file"] if revision else "",
            options=(*_experiment_option(experiment_names(session), experiment), *_db_option(db)),
        )
    if outcome not in ("done", "nothing to do"):
        return found
    answer, no_law = _fitted(found.runs())
    cost = _regret(found.runs())
    return replace(found, answer=answer, no_law=no_law, finetuned=_fitted_to_finetuned(found), regret=cost)


def _is_confirmed(priced: Priced, confirm: Callable[[str], bool] | None) -> bool:
    """Say whether what is estimated may be spent: core-hours and money are below the file's `confirm_above`, or somebody confirms them.

    Raises `UsageError` where nobody can be asked.
    """
    if not (passes := priced.passes_confirm_above):
        return True
    fact = f"this is estimated at {passes}."
    if confirm is None:
        raise UsageError(fact, hint="--yes goes on without asking; in Python yes=True")
    return confirm(f"{fact} Go on?")


def _fitted_to_finetuned(found: Ending) -> Answer | None:
    """Fit the law of what fine-tuned runs come to against what pre-training cost; None where there is none."""
    if not any(row["stage"] == FINETUNING and row["status"] == RunStatus.FINISHED for row in found.rows):
        return None
    from analysis.finetuned import finetuned_metrics

    runs = found.runs()
    metrics = finetuned_metrics(runs)
    errors = [name for name in metrics if name.endswith("_error")]
    return _fitted(runs, [*errors, *metrics][0])[0] if metrics else None


def _fitted(runs: pd.DataFrame, metric: str = "val_loss") -> tuple[Answer | None, ScalingError | None]:
    """Fit the law of the runs, and return what it says, or why there is none."""
    from analysis import answer

    try:
        return answer(runs, metric=metric), None
    except ScalingError as error:
        return None, error


def _regret(runs: pd.DataFrame) -> Regret | None:
    """Bound what the best cell so far costs against the best of its compute; None where the runs make no frontier."""
    from analysis import regret

    with suppress(ScalingError):
        return regret(runs)
    return None


def _experiment_option(known: list[str], experiment: str) -> tuple[str, ...]:
    """Return the option that names the experiment; none where its store has no others."""
    return () if known == [experiment] else ("--experiment", experiment)


def _db_option(db: str) -> tuple[str, ...]:
    """Return the option that names the database; none for a URL: it may hold a password, and SCALING_DB has it."""
    return () if db == DEFAULT_URL or "://" in db else ("--db", db)
