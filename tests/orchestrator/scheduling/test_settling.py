"""An event that the store refuses ends its attempt alone; a store that cannot be written ends the command, as ever."""

import json
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, select, text

from orchestrator.messages import Message, Placed
from orchestrator.scheduling.attempt import AttemptLog
from orchestrator.scheduling.recovery import recover
from orchestrator.scheduling.scheduler import Scheduler
from orchestrator.scheduling.settling import end, settle
from orchestrator.store import Store, lease
from orchestrator.store.models import Allocation, Attempt, Evaluation, Metric, Run
from scaling.errors import StoreAway, StoreError
from scaling.outcomes import AttemptOutcome, RunStatus
from tests.orchestrator.conftest import new_database
from tests.orchestrator.rows import a_run, accepted, granted, rehearsals
from tests.orchestrator.threads import ThreadCluster
from trainer.events import Checkpoint, Ended, Evaluated, Reported, Started
from trainer.result import Seconds, TrainResult

IDS = [letter * 16 for letter in "abc"]
PLACE = {"device": "cpu", "devices": 1, "threads": 1, "jaxlib_version": None, "code_version": "1"}
GOOD = [
    Started(step=0, steps=100),
    Checkpoint(step=40, train_seconds=4.0, checkpoint_seconds=0.5),
    Reported(step=60, steps=100, train_seconds=6.0, metrics={"train_loss": 0.5}),
]


def result(**changes):
    fields = {
        "outcome": AttemptOutcome.FINISHED, "reason": "", "first_step": 0, "last_step": 100, "checkpoint_step": 40, "examples_seen": 6400,
        "seconds": Seconds(train=10.0), "val_loss": 0.25,
    }  # fmt: skip
    return TrainResult(**fields | changes)


REFUSED = {
    "a step of 71 bits": Reported(step=2**70, steps=100, train_seconds=7.0, metrics={}),
    "a point of a curve at such a step": Reported(step=2**64, steps=None, train_seconds=7.0, metrics={"train_loss": 0.5}),
    "a value that is no number": Reported(step=70, steps=100, train_seconds=7.0, metrics={"train_loss": {"a": 1}}),
    "a checkpoint at such a step": Checkpoint(step=2**70, train_seconds=7.0, checkpoint_seconds=0.5),
    "metrics that are none": Reported(step=70, steps=100, train_seconds=7.0, metrics=5),
    "an evaluation of nothing": Evaluated(step=70, split=None, loss=1.0, top1=None, top5=None, examples=1, seconds=1.0),
    "half of a character": Placed(host="\ud800", **PLACE),
    "a result that is no number": Ended(step=100, result=result(val_loss="low")),
    "a result of another kind": Ended(step=100, result=result(val_loss=[1.0])),
    "times that are none": Ended(step=100, result=result(seconds=Seconds(train="long"))),
    "no result": Ended(step=100, result=None),
    "a last step of 71 bits": Ended(step=100, result=result(last_step=2**70)),
}


def told(store, grant, *events):
    """The log of an attempt that has told these events, not yet written down."""
    log = AttemptLog(grant)
    for each in events:
        log.take(Message(event=each, token=grant.token, wall_seconds=20.0))
    return log


@pytest.mark.parametrize("what", REFUSED)
def test_it_ends_that_attempt_and_the_others_of_the_transaction_are_written_down(store, what, caplog):
    accepted(store, *(a_run(run_id, seed=number) for number, run_id in enumerate(IDS)))
    logs = [told(store, granted(store, run_id), *GOOD) for run_id in IDS]
    with store.write() as session:
        settle(session, [logs[1]])
    with store.write() as session:
        for log, more in zip(logs, ([], [REFUSED[what]], [Ended(step=100, result=result())]), strict=True):
            for each in more:
                log.take(Message(event=each, token=log.grant.token, wall_seconds=25.0))
        settle(session, logs)
        for log in logs:
            if log.ending is not None:
                end(session, log, log.ending)
    with store.write() as session:
        first, second, third = (session.get(Run, run_id) for run_id in IDS)
        assert (first.status, first.step, first.resume_step) == (RunStatus.RUNNING, 60, 40)
        assert (third.status, third.val_loss, third.step) == (RunStatus.FINISHED, 0.25, 100)
        assert (second.status, second.resume_step) == (RunStatus.FAILED, 40)
        assert second.reason.startswith("what the run told cannot be written down: ")
        assert "\n" not in second.reason
        attempt = session.scalar(select(Attempt).where(Attempt.run_id == IDS[1]))
        assert (attempt.outcome, attempt.last_step, attempt.checkpoint_step) == (AttemptOutcome.RAISED, 60, 40)
        assert attempt.useful_seconds == 4.0, "up to the checkpoint that is in the store"
        assert attempt.charged_seconds == pytest.approx(25.0)
        assert sorted(session.scalars(select(Metric.run_id))) == IDS
        assert session.scalars(select(Evaluation)).all() == []
    assert f"run {IDS[1]}: what the run told cannot be written down" in caplog.text


def test_a_name_that_is_too_long_for_a_column_is_refused_where_columns_have_a_length(store):
    accepted(store, a_run())
    log = told(store, granted(store), *GOOD, Reported(step=70, steps=100, train_seconds=7.0, metrics={"m" * 61: 1.0}))
    with store.write() as session:
        settle(session, [log])
    assert log.is_refused == (store.url.get_backend_name() == "postgresql")


def test_a_full_disk_is_no_fault_of_an_attempt(tmp_path):
    with Store.open(str(tmp_path / "scaling.db")) as store:
        accepted(store, a_run())
        log = told(store, granted(store), *GOOD)

        @event.listens_for(store._writer, "begin")
        def fill(connection):
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

        for step in range(10_000):
            log.take(
                Message(
                    event=Reported(step=step, steps=None, train_seconds=7.0, metrics={"train_loss": 0.5}), token=log.grant.token
                )
            )
        with pytest.raises(StoreError, match="cannot be written: database or disk is full"), store.write() as session:
            settle(session, [log])
        assert not log.is_refused
        with store.read() as session:
            assert session.get(Run, IDS[0]).status is RunStatus.RUNNING
            assert session.scalars(select(Metric)).all() == []


def test_a_server_that_ends_the_connection_is_no_fault_of_an_attempt(postgres):
    with Store.open(new_database(postgres)) as store:
        accepted(store, a_run())
        log = told(store, granted(store), *GOOD)

        def write(session):
            session.flush()
            pid = session.execute(text("SELECT pg_backend_pid()")).scalar()
            with create_engine(store.url).connect() as other:
                other.execute(text(f"SELECT pg_terminate_backend({pid})"))
            settle(session, [log])

        with pytest.raises(StoreAway, match="went away"), store.write() as session:
            write(session)
        assert not log.is_refused


class LyingCluster(ThreadCluster):
    """Changes the first event of a kind that a run of one seed tells."""

    def __init__(self, chips, store, lies):
        super().__init__(chips)
        self.store, self.lies = store, dict(lies)

    def answer(self, reference):
        said = super().answer(reference)
        for each in said.get("events", []) if isinstance(said, dict) else []:
            if each["kind"] in self.lies:
                with self.store.read() as session:
                    seed = session.scalar(
                        select(Run.seed).join(Attempt, Attempt.run_id == Run.id).where(Attempt.token == each["token"])
                    )
                if seed == 3:  # the second to begin
                    each |= self.lies[each["kind"]]
        return said


@pytest.mark.parametrize(
    ("lies", "stays"),
    [({"progress": {"step": 2**70}}, True), ({"ended": {"last_step": 2**70}}, False), ({"ended": {"val_loss": [1]}}, False)],
)
def test_the_scheduler_goes_on_with_the_others_and_the_process_ends(tmp_path, lies, stays):
    with Store.open(str(tmp_path / "scaling.db")) as store:
        accepted(store, *rehearsals(0.3, 0.3, 0.3, 3.0 if stays else 0.3))
        with store.write() as session:
            assert lease.take(session, "one")
        cluster = LyingCluster(1, store, lies)
        scheduler = Scheduler(store, cluster, identity="one", home=tmp_path / "runs", working_directory=Path.cwd())
        assert scheduler.run("study")
        with store.read() as session:
            runs = session.scalars(select(Run).order_by(Run.seed)).all()
            assert [run.status for run in runs] == [*[RunStatus.FINISHED] * 3, RunStatus.FAILED]
            assert runs[3].reason.startswith("what the run told cannot be written down: ")
            assert all(allocation.ended_at for allocation in session.scalars(select(Allocation)))
            assert len(session.scalars(select(Attempt)).all()) == 4
        assert len(cluster.opened) == (2 if stays else 1), "its process was at work still"


def test_a_recovery_ends_that_attempt_and_recovers_the_others(store, tmp_path):
    accepted(store, *(a_run(run_id, seed=number) for number, run_id in enumerate(IDS)))
    spools = [
        [GOOD[0], GOOD[1], REFUSED["a step of 71 bits"]],
        [*GOOD, Ended(step=100, result=result())],
        GOOD,
    ]
    for run_id, events in zip(IDS, spools, strict=True):
        grant = granted(store, run_id, home=str(tmp_path))
        folder = tmp_path / grant.folder
        folder.mkdir(parents=True)
        lines = [json.dumps(Message(event=each, token=grant.token, elapsed=9.0).to_dict()) for each in events]
        (folder / "events.jsonl").write_bytes("\n".join(lines).encode() + b"\n[1]\n\xff\n")
    for _ in range(2):
        with store.write() as session:
            recover(session, scheduler="another")
    with store.read() as session:
        assert [session.get(Run, run_id).status for run_id in IDS] == [RunStatus.FAILED, RunStatus.FINISHED, RunStatus.PENDING]
        assert [session.get(Run, run_id).resume_step for run_id in IDS] == [0, 40, 40]
        assert all(allocation.ended_at for allocation in session.scalars(select(Allocation)))
