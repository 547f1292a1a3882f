"""Increments: who follows the numbers of changes knows, at every commit, what a full listing says."""

from __future__ import annotations

import random
import threading

import pandas as pd
import pytest
import sqlalchemy as sa

from analysis.unfinished import table_of
from orchestrator.store import Store, ledger, queries, run_changes, steering
from orchestrator.store.grid import accept
from orchestrator.store.imported import imported_run, write
from orchestrator.store.known_runs import KnownRuns
from orchestrator.store.ledger import Charge
from orchestrator.store.models import Run, Search
from orchestrator.store.pace import SHORT_SECONDS
from scaling.outcomes import AttemptOutcome
from tests.orchestrator.rows import a_run, granted

A, B, C, D = ("a" * 16, "b" * 16, "c" * 16, "d" * 16)


class Follower:
    """Holds rows by id, and reads those that changed alone."""

    def __init__(self, store):
        self.store, self.rows, self.number, self.known = store, {}, 0, KnownRuns()

    def follow(self) -> set[str]:
        """Catch up; returns the first letters of the ids that were told."""
        with self.store.read() as session:
            changed = run_changes.since(session, self.number)
            ids = [run_id for _, run_id in changed]
            rows = {row["id"]: row for row in queries.runs(session, ids=ids)}
            self.rows = {run_id: row for run_id, row in self.rows.items() if run_id not in ids} | rows
            self.number = run_changes.latest(session)
            assert self.number == max([self.number, *(number for number, _ in changed)])
            assert self.rows == {row["id"]: row for row in queries.runs(session)}
            table, whole = (
                self.known.table(session),
                table_of(queries.runs(session), has_scheduler=queries.scheduler(session) is not None),
            )
            pd.testing.assert_frame_equal(table, whole)
            assert table.attrs == whole.attrs
        return {run_id[0] for run_id in ids}


@pytest.fixture
def follower(store):
    return Follower(store)


def asked(store, *runs, name="study", price=None, searched=()):
    resolved = {"price": price, "currency": "USD", "resources": {"accelerator": "cpu"}, "runs": [run["id"] for run in runs]}
    with store.write() as session:
        accept(session, name=name, file="f", text="", resolved=resolved, shared={}, runs=runs, searched=searched)


def finished(store, run_id, seconds, steps=100):
    grant = granted(store, run_id)
    with store.write() as session:
        result = {"val_loss": 1.0}
        ledger.end_attempt(
            session,
            grant.token,
            outcome=AttemptOutcome.FINISHED,
            reason="",
            charge=Charge(useful=seconds),
            last_step=steps,
            result=result,
        )


def test_whatever_changes_a_row_is_told(store, follower):
    assert follower.follow() == set()
    runs = [a_run(A), a_run(B, seed=1), a_run(C, model="nano-F1", shape="t"), a_run(D, seed=2, steps=10_000)]
    asked(store, *runs)
    assert follower.follow() == {"a", "b", "c", "d"}
    assert follower.follow() == set()
    grant = granted(store, A)
    assert follower.follow() == {"a"}
    with store.write() as session:
        ledger.record(session, grant.token, step=20, train_loss=1.2, place={}, metrics=[(20, "train_loss", 1.2)])
    assert follower.follow() == {"a"}
    with store.write() as session:
        ledger.end_attempt(session, grant.token, outcome=AttemptOutcome.PREEMPTED, reason="", charge=Charge())
        steering.exclude(session, C, "odd")
    assert follower.follow() == {"a", "c"}
    finished(store, B, 3.0)
    assert follower.follow() == {"b"}
    finished(store, A, 1.0)
    assert follower.follow() == {"a", "b"}, "short runs that are alike share their pace"
    assert follower.rows[A]["core_hours"] == pytest.approx(4.0 / 3600)
    finished(store, D, SHORT_SECONDS + 1, steps=10_000)
    assert follower.follow() == {"a", "b", "d"}, "they might have shared its pace"
    asked(store, *runs[:2], name="another", price={"cpu": 2.0})
    assert follower.follow() == {"a", "b"}
    assert follower.rows[A]["cost"] > 0
    asked(store, *runs[:2], name="another", price={"cpu": 5.0})
    assert follower.follow() == {"a", "b"}, "another price, and nothing else"
    asked(store, runs[1], name="another", price={"cpu": 5.0})
    assert follower.follow() >= {"a"}
    assert follower.rows[A]["cost"] is None, "no experiment that prices it wants it any more"


def test_a_second_setting_that_is_searched_for_is_told(store, follower):
    cell = {"family": "nfnet", "model": "nano-F0", "epochs": 1.0, "template": {}, "policy": {}}
    asked(store, a_run(A), a_run(B, model="nano-F1"), searched=[cell])
    follower.follow()
    with store.write() as session:
        session.execute(sa.update(Search).values(policy={"second": {"name": "weight_decay"}}))
    assert follower.follow() == {"a"}
    assert follower.rows[A]["searched"] == "weight_decay"
    with store.write() as session:
        session.execute(sa.update(Search).values(removed_in=2))
    assert follower.follow() == {"a"}


def test_a_run_that_is_no_more_keeps_its_number(store, follower):
    runs = [imported_run("theirs", name, {"status": "finished", "val_loss": 1.0}, file="runs.csv") for name in "ab"]
    how = {"file": "runs.csv", "text": "how", "source": {"file": "runs.csv", "mapping": {}}}
    with store.write() as session:
        write(session, "theirs", new=runs, **how)
    follower.follow()
    with store.write() as session:
        write(session, "theirs", new=[], gone=[runs[0].id], **how)
    follower.follow()
    assert set(follower.rows) == {runs[1].id}
    with store.read() as session:
        assert runs[0].id in {run_id for _, run_id in run_changes.since(session, 0)}


def test_a_reader_that_looks_between_two_writers_misses_neither(store):
    """The first one has its number and has not committed; the second one must not overtake it."""
    asked(store, a_run(A), a_run(B))
    with store.read() as session:
        before = run_changes.latest(session)
    store._writer.dispose()
    url = store.url.render_as_string(hide_password=False)
    is_ours = "sqlite" in url
    begun, go_on = threading.Event(), threading.Event()

    def first():
        if is_ours:
            with Store.open(url) as mine, mine.write() as session:
                session.execute(sa.update(Run).where(Run.id == A).values(priority=1))
                begun.set()
                go_on.wait(10)
        else:  # another program, which does not queue for the store's lock
            engine = sa.create_engine(url)
            with engine.begin() as connection:
                connection.exec_driver_sql(f"UPDATE runs SET priority = 1 WHERE id = '{A}'")
                begun.set()
                go_on.wait(10)
            engine.dispose()

    def second():
        with store.write() as session:
            session.execute(sa.update(Run).where(Run.id == B).values(priority=1))

    one, two = threading.Thread(target=first), threading.Thread(target=second)
    one.start()
    assert begun.wait(10)
    two.start()
    two.join(0.3)
    with store.read() as session:
        assert run_changes.since(session, before) == []
    go_on.set()
    one.join()
    two.join()
    with store.read() as session:
        assert [run_id for _, run_id in run_changes.since(session, before)] == [A, B]


def test_two_writers_and_a_reader(store, follower):
    runs = [a_run(f"{number:016x}", seed=number) for number in range(20)]
    asked(store, *runs)
    url = store.url.render_as_string(hide_password=False)
    done = threading.Event()

    def writes(seed):
        draw = random.Random(seed)
        with Store.open(url) as mine:
            for _ in range(25):
                with mine.write() as session:
                    some = [run["id"] for run in draw.sample(runs, 3)]
                    session.execute(sa.update(Run).where(Run.id.in_(some)).values(step=draw.randrange(1000)))

    def reads():
        while not done.is_set():
            follower.follow()

    writers = [threading.Thread(target=writes, args=(seed,)) for seed in (1, 2)]
    failed: list[BaseException] = []

    def reads_or_fails():
        try:
            reads()
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    reader = threading.Thread(target=reads_or_fails)
    for thread in (*writers, reader):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    follower.follow()
    assert failed == []
