"""The nouns of the project as tables.

    Experiment ──< Revision            one resolved experiments file, and each later version of it
        │
        └─< ExperimentRun >─ Run       many-to-many: a run wanted by two experiments is done once
                              ├─< Attempt >─ Allocation   one stay on hardware, within one hold of devices
                              ├─< Metric                  (run, step, name) → value
                              ├─< Evaluation              held-out loss and accuracy at a step
                              └─< BranchPoint             a checkpoint that other runs start from
    Lease                              which scheduler may write
    StoreId                            under which folder of SCALING_HOME attempts write
    Intent                             what a command or a page asks of the scheduler
    Change                             how often the grid was changed
    RunChange                          when a run was changed last
    Search                             a cell whose learning rates are chosen one after another
    Finetuning                         how the runs of a model are fine-tuned, and which of them
    Probe                              how fast a model shape was in a few real steps
    Prediction                         what a law said before the run was done; never changed

A cell is not a table: it is (family, model, epochs) of a run.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, Double, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from orchestrator.resources import Resources, RunOptions
from orchestrator.store.column_types import Instant, Named, Stored
from scaling.columns import FINETUNING, PRETRAINING
from scaling.outcomes import AttemptOutcome, RunStatus

__all__ = [
    "IS_FINETUNED",
    "Allocation",
    "Attempt",
    "Base",
    "BranchPoint",
    "Change",
    "Evaluation",
    "Experiment",
    "ExperimentRun",
    "Finetuning",
    "Intent",
    "Lease",
    "Metric",
    "Prediction",
    "Probe",
    "Revision",
    "Run",
    "RunChange",
    "Search",
    "StoreId",
    "now",
]


def now() -> datetime:
    """Return the current time in UTC, with its zone."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012 - read once by SQLAlchemy
        datetime: Instant(), dict[str, Any]: JSON(), float: Double(), Resources: Stored(Resources), RunOptions: Stored(RunOptions),
    }  # fmt: skip


class Experiment(Base):
    """Names a grid of runs. Adding or removing cells is a new revision of the same experiment."""

    __tablename__ = "experiments"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)

    revisions: Mapped[list[Revision]] = relationship(back_populates="experiment", order_by="Revision.number")
    wanted: Mapped[list[ExperimentRun]] = relationship(back_populates="experiment")


class Revision(Base):
    """Holds one version of an experiment's file: its text as written and its fields as resolved."""

    __tablename__ = "revisions"
    __table_args__ = (UniqueConstraint("experiment_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    experiment_id: Mapped[int] = mapped_column(ForeignKey("experiments.id"))
    number: Mapped[int]
    file: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    resolved: Mapped[dict[str, Any]]
    recipe_fields: Mapped[dict[str, Any]]
    """The fields that all runs share: changing one of them needs a new name or `--revise`."""
    created_at: Mapped[datetime] = mapped_column(default=now)

    experiment: Mapped[Experiment] = relationship(back_populates="revisions")


class ExperimentRun(Base):
    """Says that an experiment wants a run. `removed_in` is the revision that no longer wants it."""

    __tablename__ = "experiment_runs"
    __table_args__ = (Index("experiment_runs_by_run", "run_id"),)

    experiment_id: Mapped[int] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    added_in: Mapped[int]
    removed_in: Mapped[int | None]

    experiment: Mapped[Experiment] = relationship(back_populates="wanted")
    run: Mapped[Run] = relationship(back_populates="wanted_by")


class Run(Base):
    """Holds a run: a cell with learning rate, seed and all that changes the result; and its status, cost and results."""

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint(f"status IN ({', '.join(repr(status.value) for status in RunStatus)})", name="run_status_is_known"),
        Index("runs_by_status", "status", "priority"),
        Index("runs_by_cell", "family", "model", "epochs"),
        Index("runs_by_creation", "created_at", "id"),
        Index("runs_by_pace", "family", "model", "shape", "accelerator", "cores", "imported_from", "inherited_core_hours", "core_hours", "step", sqlite_where=text("status = 'finished'")),  # on PostgreSQL the migration says it too: here it would load its dialect
    )  # fmt: skip

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    family: Mapped[str] = mapped_column(String(100))
    model: Mapped[str] = mapped_column(String(200))
    dataset: Mapped[str] = mapped_column(String(200))
    epochs: Mapped[float]
    learning_rate: Mapped[float]
    batch_size: Mapped[int]
    seed: Mapped[int] = mapped_column(BigInteger)
    weight_decay: Mapped[float | None]
    config: Mapped[dict[str, Any]]
    """The whole `trainer.TrainConfig`: what `train` is given."""
    shape: Mapped[str] = mapped_column(String(16))
    """Runs with one shape share one compiled program, so they share a trainer process."""
    resources: Mapped[Resources]
    """The hardware that it is to hold; `accelerator` and `cores` are those that it had."""
    options: Mapped[RunOptions]
    """How it is to be executed."""
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    """The run that it starts from: from its checkpoint after `parent_step`, or, where that is None, in fine-tuning from its last weights."""
    parent_step: Mapped[int | None] = mapped_column(BigInteger)
    provisional: Mapped[bool] = mapped_column(default=False)
    rehearsal: Mapped[bool] = mapped_column(default=False)
    """Whether its loss is only stated: a run of the same family and model, and on the same accelerator, may have been trained."""

    macs: Mapped[float | None]
    """Multiply–accumulates of one example, as the model of a program states them, 0 where it does not; None where our own trainer trains.

    Of a program the five numbers that follow are 0 where neither the file nor the program says them.
    """
    params: Mapped[int] = mapped_column(BigInteger)
    steps: Mapped[int] = mapped_column(BigInteger)
    examples_seen: Mapped[int] = mapped_column(BigInteger)
    unique_examples: Mapped[int] = mapped_column(BigInteger)
    train_flops: Mapped[float]
    estimated_core_hours: Mapped[float | None]

    status: Mapped[RunStatus] = mapped_column(Named(RunStatus), default=RunStatus.PENDING)
    reason: Mapped[str] = mapped_column(Text, default="")
    priority: Mapped[int] = mapped_column(default=0)
    excluded_reason: Mapped[str | None] = mapped_column(Text)
    """Why a fit leaves it out, when a user said so."""
    failures: Mapped[int] = mapped_column(default=0)
    """Attempts that died or were lost, against the retry budget. Preemptions and interruptions are not counted."""

    token: Mapped[str | None] = mapped_column(String(32))
    """Token of the attempt that may advance this run now; whatever carries another token does not count."""
    step: Mapped[int] = mapped_column(BigInteger, default=0)
    resume_attempt: Mapped[int | None]
    """Number of the attempt that owns the checkpoint to go on from, at `resume_step`."""
    resume_step: Mapped[int] = mapped_column(BigInteger, default=0)

    accelerator: Mapped[str | None] = mapped_column(String(40))
    cores: Mapped[int | None]
    core_hours: Mapped[float] = mapped_column(default=0.0)
    """Useful ones: each surviving train step once, those of a shared trunk included."""
    inherited_core_hours: Mapped[float] = mapped_column(default=0.0)
    """The part of `core_hours` that steps of another run gave, and that was spent there."""
    allocated_core_hours: Mapped[float] = mapped_column(default=0.0)
    val_loss: Mapped[float | None]
    val_top1: Mapped[float | None]
    val_top5: Mapped[float | None]
    chance_loss: Mapped[float | None]
    scores: Mapped[dict[str, Any] | None]
    """What else a program reported of the finished run, by name. Of an imported run: what else its row says, and None for each column that it lacks."""
    train_loss: Mapped[float | None]
    code_version: Mapped[str | None] = mapped_column(String(100))
    imported_from: Mapped[str | None] = mapped_column(Text)
    """The file that it was imported from, see `store.imported`; None for a run of this store. Nobody trains an imported run."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]

    wanted_by: Mapped[list[ExperimentRun]] = relationship(back_populates="run")
    attempts: Mapped[list[Attempt]] = relationship(back_populates="run", order_by="Attempt.number")
    evaluations: Mapped[list[Evaluation]] = relationship(order_by="Evaluation.step")
    parent: Mapped[Run | None] = relationship(remote_side=[id])

    @property
    def stage(self) -> str:
        """Return `finetuning` for a run that started from another's weights, else `pretraining`, also where it shares steps with another."""
        return FINETUNING if self.parent_id is not None and self.parent_step is None else PRETRAINING


IS_FINETUNED: Any = Run.parent_id.is_not(None) & Run.parent_step.is_(None)
"""Selects the runs whose `stage` is finetuning."""


class Allocation(Base):
    """Records one hold of devices by a scheduler: from the grant to the release, busy or not.

    `cores × held_seconds = Σ attempts (useful + redone + startup + evaluation + checkpoint) × cores + idle`.
    """

    __tablename__ = "allocations"

    id: Mapped[int] = mapped_column(primary_key=True)
    scheduler: Mapped[str] = mapped_column(String(100))
    shape: Mapped[str] = mapped_column(String(16))
    """It was opened for runs of this shape; its worker may go on with others."""
    accelerator: Mapped[str] = mapped_column(String(40))
    cores: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]
    held_seconds: Mapped[float | None]
    worker: Mapped[str | None] = mapped_column(Text)
    """Name of the worker, where a next scheduler can find it again."""

    attempts: Mapped[list[Attempt]] = relationship(back_populates="allocation")


class Attempt(Base):
    """Records one stay of a run on hardware. It writes only under its own folder, and counts only while its token is the run's."""

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("run_id", "number"), Index("attempts_by_allocation", "allocation_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    number: Mapped[int]
    token: Mapped[str] = mapped_column(String(32), unique=True)
    allocation_id: Mapped[int] = mapped_column(ForeignKey("allocations.id"))
    directory: Mapped[str] = mapped_column(Text)
    store: Mapped[str | None] = mapped_column(String(12))
    """The store's id when it began, a part of its folder; None before stores had one."""
    accelerator: Mapped[str] = mapped_column(String(40))
    cores: Mapped[int]
    packed: Mapped[int] = mapped_column(default=1)
    """How many attempts shared the devices, each charged so much less."""
    host: Mapped[str | None] = mapped_column(String(200))
    node: Mapped[str | None] = mapped_column(String(64))
    """The cluster's name for the machine."""
    device: Mapped[str | None] = mapped_column(String(200))
    devices: Mapped[int | None]
    threads: Mapped[int | None]
    code_version: Mapped[str | None] = mapped_column(String(100))
    jaxlib_version: Mapped[str | None] = mapped_column(String(40))
    resumed_from: Mapped[int | None]
    """Number of the attempt whose checkpoint it started from; None for a fresh start."""
    branched_from: Mapped[int | None]
    """Number of the parent run's attempt whose checkpoint it started from."""

    started_at: Mapped[datetime] = mapped_column(default=now)
    heartbeat_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]
    first_step: Mapped[int] = mapped_column(BigInteger, default=0)
    last_step: Mapped[int | None] = mapped_column(BigInteger)
    checkpoint_step: Mapped[int | None] = mapped_column(BigInteger)
    """Its last committed checkpoint; steps from `first_step` to here survive."""
    outcome: Mapped[AttemptOutcome | None] = mapped_column(Named(AttemptOutcome))
    reason: Mapped[str] = mapped_column(Text, default="")

    useful_seconds: Mapped[float] = mapped_column(default=0.0)
    redone_seconds: Mapped[float] = mapped_column(default=0.0)
    startup_seconds: Mapped[float] = mapped_column(default=0.0)
    evaluation_seconds: Mapped[float] = mapped_column(default=0.0)
    checkpoint_seconds: Mapped[float] = mapped_column(default=0.0)

    run: Mapped[Run] = relationship(back_populates="attempts")
    allocation: Mapped[Allocation] = relationship(back_populates="attempts")

    @property
    def charged_seconds(self) -> float:
        """Sum up the seconds that this attempt held its cores."""
        return self.useful_seconds + self.redone_seconds + self.startup_seconds + self.evaluation_seconds + self.checkpoint_seconds


class Metric(Base):
    """Records a number at a step of a run, e.g. `train_loss`. Replaying an event writes the same row again."""

    __tablename__ = "metrics"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    step: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    value: Mapped[float | None]


class Evaluation(Base):
    """Records loss and accuracy on a held-out split after a step of a run."""

    __tablename__ = "evaluations"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    step: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    split: Mapped[str] = mapped_column(String(60), primary_key=True)
    loss: Mapped[float | None]
    top1: Mapped[float | None]
    top5: Mapped[float | None]
    examples: Mapped[int] = mapped_column(BigInteger)
    seconds: Mapped[float]


class BranchPoint(Base):
    """Names a checkpoint that a run keeps for others to start from: after `step`, in the folder of its attempt number `attempt`."""

    __tablename__ = "branch_points"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    step: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    attempt: Mapped[int]
    accelerator: Mapped[str] = mapped_column(String(40))
    core_hours: Mapped[float]
    """Useful core-hours of the run's steps up to here."""


class Lease(Base):
    """Names the one scheduler that may write results, until `expires_at` unless it renews."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    holder: Mapped[str] = mapped_column(String(100))
    host: Mapped[str] = mapped_column(String(200))
    pid: Mapped[int]
    acquired_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]


class StoreId(Base):
    """Holds an id of this store; the one with the highest number is its id now. See `orchestrator.store.identity`."""

    __tablename__ = "store_ids"

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(12), unique=True)
    place: Mapped[str] = mapped_column(Text)
    """Which file or database it was made for."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class Intent(Base):
    """Records what a command or a page asks of the scheduler. The scheduler executes it and writes down the result."""

    __tablename__ = "intents"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    experiment_id: Mapped[int | None] = mapped_column(ForeignKey("experiments.id"))
    payload: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now)
    executed_at: Mapped[datetime | None]
    result: Mapped[str | None] = mapped_column(Text)


class Change(Base):
    """Counts changes of the grid; whoever makes one raises it: see `orchestrator.store.changes`."""

    __tablename__ = "changes"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, default=0)


class RunChange(Base):
    """Holds the number of a run's last change: see `orchestrator.store.run_changes`. Triggers write it; a deleted run keeps its own."""

    __tablename__ = "run_changes"

    run_id: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, unique=True)


class Search(Base):
    """Holds a cell of an experiment whose learning rates are chosen one after another, each by the results of the ones before."""

    __tablename__ = "searches"
    __table_args__ = (UniqueConstraint("experiment_id", "family", "model", "epochs", "stage", name="one_search_a_cell"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    experiment_id: Mapped[int] = mapped_column(ForeignKey("experiments.id"))
    family: Mapped[str] = mapped_column(String(100))
    model: Mapped[str] = mapped_column(String(200))
    epochs: Mapped[float]
    """They are those of pre-training, also where the rates of fine-tuning are searched for."""
    stage: Mapped[str] = mapped_column(String(20), default=PRETRAINING)
    template: Mapped[dict[str, Any]]
    """A row of `Run` but for its id and learning rate. In fine-tuning `parents` maps each seed to the run that its run starts from."""
    policy: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(20), default="waiting")
    """waiting, searching, settled, given-up or cancelled. Like the next three fields it only tells readers what the results of the runs
    say; but `cancelled` is what somebody asked for."""
    trials: Mapped[int] = mapped_column(default=0)
    learning_rate: Mapped[float | None]
    second: Mapped[float | None]
    """The value found of the policy's second setting, weight decay or batch size, if it searches for one."""
    reason: Mapped[str] = mapped_column(Text, default="")
    """Why it was given up, or goes no further."""
    added_in: Mapped[int]
    removed_in: Mapped[int | None]


class Finetuning(Base):
    """Says how the runs of one model are fine-tuned in an experiment, and which of them: see `orchestrator.search.finetuning`."""

    __tablename__ = "finetunings"
    __table_args__ = (UniqueConstraint("experiment_id", "family", "model"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    experiment_id: Mapped[int] = mapped_column(ForeignKey("experiments.id"))
    family: Mapped[str] = mapped_column(String(100))
    model: Mapped[str] = mapped_column(String(200))
    chosen: Mapped[dict[str, Any]]
    """Which cells: `name` is all, frontier or top, `top` how many of a family."""
    template: Mapped[dict[str, Any]]
    """A row of `Run` but for its id, learning rate, seed and parent."""
    rates: Mapped[list[float]] = mapped_column(JSON)
    """Its learning rates, where they are listed."""
    policy: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """How they are searched for otherwise."""
    is_cancelled: Mapped[bool] = mapped_column(default=False)
    """Whether somebody asked for no more of its runs."""
    added_in: Mapped[int]
    removed_in: Mapped[int | None]


class Probe(Base):
    """Records what a few real steps of a model shape showed on an accelerator: `scaling probe`. The newest of a shape counts."""

    __tablename__ = "probes"
    __table_args__ = (Index("probes_by_shape", "shape", "accelerator"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    shape: Mapped[str] = mapped_column(String(16))
    family: Mapped[str] = mapped_column(String(100))
    model: Mapped[str] = mapped_column(String(200))
    accelerator: Mapped[str] = mapped_column(String(40))
    cores: Mapped[int]
    outcome: Mapped[AttemptOutcome] = mapped_column(Named(AttemptOutcome))
    reason: Mapped[str] = mapped_column(Text, default="")
    compile_seconds: Mapped[float | None]
    step_seconds: Mapped[float | None]
    examples_per_second: Mapped[float | None]
    mfu: Mapped[float | None]
    memory_bytes: Mapped[int | None] = mapped_column(BigInteger)
    core_hours_per_flop: Mapped[float | None]
    code_version: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Prediction(Base):
    """Holds a prediction registered before its run was done. Rows are only ever added: the database refuses to change or remove one."""

    __tablename__ = "predictions"
    __table_args__ = (UniqueConstraint("name", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    number: Mapped[int]
    """Place among the budgets registered under one name."""
    experiment_id: Mapped[int | None] = mapped_column(ForeignKey("experiments.id"))
    law: Mapped[str] = mapped_column(String(40))
    metric: Mapped[str] = mapped_column(String(60))
    on: Mapped[str] = mapped_column("fitted_on", String(20))
    at: Mapped[dict[str, Any]]
    """Input of the law → where it was asked."""
    value: Mapped[float]
    mean_low: Mapped[float]
    mean_high: Mapped[float]
    low: Mapped[float]
    """The lower end of the interval of one more run, whose upper end is `high`; `mean_low` and `mean_high` are those of the law itself."""
    high: Mapped[float]
    level: Mapped[float]
    slope: Mapped[dict[str, Any]]
    """Input → d log value / d log input, to compare with a run at slightly other inputs."""
    fit: Mapped[dict[str, Any]]
    run_ids: Mapped[list[str]] = mapped_column(JSON)
    code_version: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(default=now)
