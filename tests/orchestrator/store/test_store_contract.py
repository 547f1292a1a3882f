"""What every store keeps, on SQLite and on PostgreSQL: grids, the ledger's compare-and-set, the lease, and the questions it answers."""

import threading

import pytest
import sqlalchemy as sa

from orchestrator.resources import Resources, RunOptions
from orchestrator.store import grid, lease, ledger, queries
from orchestrator.store.ledger import Charge
from orchestrator.store.models import Allocation, Attempt, Run
from scaling.errors import StaleToken, UnknownName, UsageError
from scaling.outcomes import AttemptOutcome, RunStatus
from tests.orchestrator.rows import a_run, accepted, granted


class TestEveryStore:
    def test_writers_queue_instead_of_failing(self, store):
        accepted(store, a_run())

        def raise_priority():
            for _ in range(20):
                with store.write() as session:
                    run = session.get(Run, "a" * 16)
                    run.priority += 1

        threads = [threading.Thread(target=raise_priority) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with store.read() as session:
            assert session.get(Run, "a" * 16).priority == 80

    def test_a_run_wanted_twice_is_one_row_in_both(self, store):
        accepted(store, a_run(), a_run("b" * 16), name="one")
        again = accepted(store, a_run("b" * 16), a_run("c" * 16), name="two")
        assert (again.new, again.waiting) == (["c" * 16], ["b" * 16])
        with store.read() as session:
            rows = {row["id"][0]: row["experiments"] for row in queries.runs(session)}
        assert rows == {"a": ["one"], "b": ["one", "two"], "c": ["two"]}

    def test_adding_and_removing_cells_is_a_revision(self, store):
        assert accepted(store, a_run()).revision == 1
        assert accepted(store, a_run()).revision == 1
        assert accepted(store, a_run(), a_run("b" * 16)).revision == 2
        assert accepted(store, a_run("b" * 16)).revision == 3
        with store.read() as session:
            assert [row["id"][0] for row in queries.runs(session, experiment="study")] == ["b"]
            assert queries.count_runs(session) == 2

    def test_another_study_under_the_same_name_is_refused_once_runs_are_finished(self, store):
        accepted(store, a_run(), shared={"batch_size": 64})
        accepted(store, a_run("b" * 16), a_run(), shared={"batch_size": 32})
        grant = granted(store)
        with store.write() as session:
            ledger.end_attempt(session, grant.token, outcome=AttemptOutcome.FINISHED, reason="", charge=Charge())
        with pytest.raises(UsageError, match="batch_size: 32 → 128"):
            accepted(store, a_run("c" * 16), shared={"batch_size": 128})
        assert accepted(store, a_run("c" * 16), shared={"batch_size": 128}, revise=True).new == ["c" * 16]

    def test_submitting_again_revives_what_failed_and_leaves_what_is_done(self, store):
        accepted(store, a_run(), a_run("b" * 16), a_run("c" * 16))
        with store.write() as session:
            for letter, status in (("a", RunStatus.FAILED), ("b", RunStatus.PAUSED), ("c", RunStatus.DIVERGED)):
                session.get(Run, letter * 16).status = status
        again = accepted(store, a_run(), a_run("b" * 16), a_run("c" * 16))
        assert (sorted(again.again), again.done) == (["a" * 16, "b" * 16], ["c" * 16])

    def test_ending_an_attempt_charges_and_finishes_in_one(self, store):
        accepted(store, a_run())
        grant = granted(store)
        charge = Charge(useful=30, redone=0, startup=6, evaluation=3, checkpoint=1)
        with store.write() as session:
            ledger.record(session, grant.token, step=100, metrics=[(100, "train_loss", 0.5)], checkpoint_step=100)
            status = ledger.end_attempt(
                session,
                grant.token,
                outcome=AttemptOutcome.FINISHED,
                reason="",
                charge=charge,
                last_step=100,
                result={"val_loss": 0.25},
            )
        assert status is RunStatus.FINISHED
        with store.read() as session:
            run, attempt = session.get(Run, "a" * 16), session.scalar(sa.select(Attempt))
            assert (run.core_hours, run.allocated_core_hours) == (pytest.approx(2 * 30 / 3600), pytest.approx(2 * 40 / 3600))
            assert (run.val_loss, run.step, run.token) == (0.25, 100, None)
            assert attempt.charged_seconds == charge.total == 40

    @pytest.mark.parametrize(
        ("outcome", "status", "failures"),
        [
            (AttemptOutcome.DIVERGED, RunStatus.DIVERGED, 0),
            (AttemptOutcome.RAISED, RunStatus.FAILED, 0),
            (AttemptOutcome.OUT_OF_MEMORY, RunStatus.FAILED, 0),
            (AttemptOutcome.INTERRUPTED, RunStatus.PENDING, 0),
            (AttemptOutcome.PREEMPTED, RunStatus.PENDING, 0),
            (AttemptOutcome.DIED, RunStatus.PENDING, 1),
            (AttemptOutcome.LOST, RunStatus.PENDING, 1),
            (AttemptOutcome.CANCELLED, RunStatus.CANCELLED, 0),
        ],
    )
    def test_where_each_outcome_leads(self, store, outcome, status, failures):
        accepted(store, a_run())
        grant = granted(store)
        with store.write() as session:
            assert ledger.end_attempt(session, grant.token, outcome=outcome, reason="why", charge=Charge()) is status
            assert session.get(Run, "a" * 16).failures == failures

    def test_a_run_that_keeps_dying_fails_and_one_that_is_preempted_does_not(self, store):
        accepted(store, a_run())
        for outcome, times, status in (
            (AttemptOutcome.PREEMPTED, 10, RunStatus.PENDING),
            (AttemptOutcome.DIED, ledger.MAX_FAILURES, RunStatus.FAILED),
        ):
            for _ in range(times):
                grant = granted(store)
                with store.write() as session:
                    ended = ledger.end_attempt(session, grant.token, outcome=outcome, reason="SIGKILL", charge=Charge())
            assert ended is status
        with store.read() as session:
            assert "3 attempts ended like this: SIGKILL" in session.get(Run, "a" * 16).reason

    def test_a_zombie_changes_nothing(self, store):
        accepted(store, a_run())
        zombie = granted(store)
        with store.write() as session:
            ledger.record(session, zombie.token, checkpoint_step=40)
            ledger.end_attempt(session, zombie.token, outcome=AttemptOutcome.LOST, reason="silent", charge=Charge())
        second = granted(store)
        assert (second.number, second.resume_attempt, second.resume_step, second.resume_folder) == (2, 1, 40, f"{'a' * 16}/1")
        with store.write() as session:
            assert ledger.record(session, zombie.token, step=99, checkpoint_step=90) is False
            with pytest.raises(StaleToken):
                ledger.end_attempt(
                    session,
                    zombie.token,
                    outcome=AttemptOutcome.FINISHED,
                    reason="",
                    charge=Charge(useful=9),
                    result={"val_loss": 0},
                )
        with store.read() as session:
            run = session.get(Run, "a" * 16)
            assert (run.status, run.val_loss, run.core_hours, run.resume_step) == (RunStatus.RUNNING, None, 0, 40)

    def test_steps_that_are_done_again_stop_counting_as_useful(self, store):
        """The checkpoint at step 80 turned out damaged, the one before it is at 20: 60 of 80 steps of the first attempt are redone."""
        accepted(store, a_run())
        first = granted(store)
        with store.write() as session:
            ledger.record(session, first.token, step=80, checkpoint_step=80)
            charge = Charge(useful=160, startup=10)
            ledger.end_attempt(session, first.token, outcome=AttemptOutcome.INTERRUPTED, reason="", charge=charge, last_step=80)
        second = granted(store)
        with store.write() as session:
            ledger.record(session, second.token, first_step=20)
            ledger.end_attempt(
                session, second.token, outcome=AttemptOutcome.FINISHED, reason="", charge=Charge(useful=160), last_step=100
            )
        with store.read() as session:
            run = session.get(Run, "a" * 16)
            attempts = run.attempts
            assert [(attempt.first_step, attempt.useful_seconds, attempt.redone_seconds) for attempt in attempts] == [
                (0, 40, 120),
                (20, 160, 0),
            ]
            assert run.core_hours == pytest.approx(2 * 200 / 3600)
            assert run.allocated_core_hours == pytest.approx(2 * 330 / 3600)

    def test_a_run_that_waits_takes_new_resources_and_places_from_the_file(self, store):
        accepted(store, a_run(resources=Resources("cpu", 4096)))
        accepted(store, a_run(resources=Resources("cpu", 1)))
        with store.read() as session:
            assert session.get(Run, "a" * 16).resources == Resources("cpu", 1)

    def test_how_a_run_is_computed_comes_with_the_leave_to_run(self, store):
        accepted(store, a_run(options=RunOptions(execution={"micro_batch": 8}, evaluate_at=(0.5,))))
        grant = granted(store)
        assert (grant.options.execution, grant.options.evaluate_at) == ({"micro_batch": 8}, (0.5,))

    def test_only_wanted_runs_wait_and_a_pause_spares_what_another_experiment_wants(self, store):
        accepted(store, a_run(), a_run("b" * 16), a_run("c" * 16), name="one")
        accepted(store, a_run("b" * 16), name="two")
        accepted(store, a_run(), a_run("b" * 16), name="one")
        with store.write() as session:
            assert sorted(run.id[0] for run in grid.waiting_runs(session)) == ["a", "b"]
            grid.pause(session, "one", reason="why")
        with store.read() as session:
            statuses = {row["id"][0]: row["status"] for row in queries.runs(session)}
        assert statuses == {"a": "paused", "b": "pending", "c": "pending"}

    def test_a_run_is_granted_once(self, store):
        accepted(store, a_run())
        granted(store)
        with pytest.raises(StaleToken, match="running, not pending"):
            granted(store)

    def test_the_same_event_twice_is_one_row(self, store):
        accepted(store, a_run())
        grant = granted(store)
        for value in (0.5, 0.5):
            with store.write() as session:
                ledger.record(session, grant.token, metrics=[(1, "train_loss", value)])
        with store.read() as session:
            assert queries.metrics(session, "a" * 16) == {"train_loss": [(1, 0.5)]}

    def test_allocations_close_with_what_they_held(self, store):
        with store.write() as session:
            allocation = ledger.open_allocation(session, scheduler="me", shape="s", accelerator="cpu", cores=1)
            ledger.close_allocation(session, allocation, held_seconds=12.5)
            assert session.get(Allocation, allocation).held_seconds == 12.5

    def test_one_scheduler_at_a_time(self, store):
        with store.write() as session:
            assert lease.take(session, "one")
            assert lease.take(session, "one")
            assert not lease.take(session, "two")
            assert lease.renew(session, "one")
            assert not lease.renew(session, "two")
            lease.release(session, "two")
            assert not lease.take(session, "two")
            lease.release(session, "one")
            assert lease.take(session, "two")

    def test_a_lease_whose_process_is_gone_is_free(self, store):
        import subprocess

        from orchestrator.store.models import Lease

        gone = subprocess.Popen(["true"])
        gone.wait()
        with store.write() as session:
            lease.take(session, "one")
            session.get(Lease, "scheduler").pid = gone.pid
        with store.write() as session:
            assert lease.take(session, "two")

    def test_questions_about_names_that_do_not_exist(self, store):
        accepted(store, a_run(), a_run("ab" * 8))
        with store.read() as session:
            with pytest.raises(UnknownName, match='did you mean "study"'):
                queries.runs(session, experiment="stady")
            with pytest.raises(UnknownName, match="status"):
                queries.runs(session, status=["done"])
            with pytest.raises(UnknownName, match="run"):
                queries.run_detail(session, "ffff")
            with pytest.raises(UsageError, match="not unique"):
                queries.run_detail(session, "a")
            assert queries.run_detail(session, "ab")["id"] == "ab" * 8

    def test_pages_of_runs_follow_on(self, store):
        accepted(store, *[a_run(f"{number:016x}") for number in range(25)])
        seen, after = [], None
        with store.read() as session:
            while page := queries.runs(session, after=after, limit=10):
                seen += [row["id"] for row in page]
                after = page[-1]["id"]
        assert len(seen) == len(set(seen)) == 25
