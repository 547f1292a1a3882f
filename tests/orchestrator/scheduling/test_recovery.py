"""What a dead scheduler left open is closed from what its attempts wrote in their folders."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from orchestrator.scheduling.recovery import recover, spooled_events
from orchestrator.store import Store, ledger
from orchestrator.store.models import Allocation, Attempt, Run
from scaling.outcomes import AttemptOutcome, RunStatus
from tests.orchestrator.rows import a_run, accepted, granted

STARTED = {"kind": "started", "step": 0, "steps": 100, "elapsed": 5.0}
PROGRESS = {"kind": "progress", "step": 70, "steps": 100, "train_loss": 0.5, "train_seconds": 7.0, "learning_rate": 0.1}
SAVED = {"kind": "checkpoint", "step": 60, "train_seconds": 6.0, "checkpoint_seconds": 0.5, "elapsed": 11.5}
ENDED = {
    "kind": "ended",
    "step": 100,
    "outcome": "finished",
    "reason": "",
    "first_step": 0,
    "last_step": 100,
    "checkpoint_step": 100,
}
ENDED |= {"examples_seen": 6400}

SCORES = ("val_loss", "val_top1", "val_top5", "train_loss")


@pytest.fixture
def left_open(tmp_path):
    """A store with an open attempt of the scheduler `me`, and a function that spools events in the attempt's folder."""
    with Store.open(str(tmp_path / "scaling.db")) as store:
        accepted(store, a_run())
        grant = granted(store, home=str(tmp_path))
        folder = tmp_path / grant.folder
        folder.mkdir(parents=True)

        def spool(*events, rest=""):
            (folder / "events.jsonl").write_text(
                "".join(json.dumps(event | {"token": grant.token}) + "\n" for event in events) + rest
            )

        yield store, spool


def recovered(store):
    with store.write() as session:
        recover(session, scheduler="another")
    with store.write() as session:  # its rows may be used after it ends
        run = session.get(Run, "a" * 16)
        assert [allocation.ended_at is None for allocation in session.scalars(select(Allocation))] == [False]
        return run, session.scalar(select(Attempt))


def test_a_run_that_finished_while_nobody_listened_is_finished(left_open):
    store, spool = left_open
    seconds = {"startup": 5.0, "train": 10.0, "evaluation": 1.0, "checkpoint": 0.5}
    spool(
        STARTED,
        PROGRESS,
        SAVED,
        ENDED | {"seconds": seconds, "elapsed": 17.0, "val_loss": 0.25, "val_top1": 0.9, "val_top5": 1.0, "train_loss": 0.3},
    )
    run, attempt = recovered(store)
    assert (run.status, run.val_loss, attempt.outcome) == (RunStatus.FINISHED, 0.25, AttemptOutcome.FINISHED)
    assert (attempt.useful_seconds, attempt.startup_seconds) == (10.0, pytest.approx(5.5))
    assert run.core_hours == pytest.approx(2 * 10 / 3600)


def test_one_that_checkpointed_goes_on_from_there_and_what_followed_is_redone(left_open):
    store, spool = left_open
    spool(STARTED, SAVED, PROGRESS | {"elapsed": 13.0}, rest='{"kind": "progress", "step": 7')
    run, attempt = recovered(store)
    assert (run.status, run.resume_step, run.failures, attempt.outcome) == (RunStatus.PENDING, 60, 0, AttemptOutcome.ORPHANED)
    assert (attempt.useful_seconds, attempt.redone_seconds) == (6.0, 1.0)


def test_a_checkpoint_that_was_written_while_the_training_went_on(left_open):
    """It is told of after later steps; what it holds is what was done when it was begun."""
    store, spool = left_open
    spool(STARTED, PROGRESS, SAVED)
    run, attempt = recovered(store)
    assert (run.resume_step, attempt.useful_seconds, attempt.redone_seconds) == (60, 6.0, 1.0)


def test_one_that_was_asked_to_stop_on_a_full_disk_goes_on_from_its_last_checkpoint(left_open):
    store, spool = left_open
    failed = {"kind": "checkpoint_failed", "step": 80, "reason": "No space left on device", "checkpoint_seconds": 0.75}
    seconds = {"startup": 5.0, "train": 8.0, "evaluation": 0.0, "checkpoint": 0.75}
    ended = ENDED | {"step": 80, "outcome": "interrupted", "reason": "asked to stop", "last_step": 80, "checkpoint_step": 60}
    spool(STARTED, SAVED, PROGRESS, failed, ended | {"seconds": seconds, "elapsed": 14.0, **dict.fromkeys(SCORES)})
    run, attempt = recovered(store)
    assert (run.status, run.resume_step, attempt.outcome) == (RunStatus.PENDING, 60, AttemptOutcome.INTERRUPTED)
    assert (attempt.useful_seconds, attempt.redone_seconds, attempt.checkpoint_seconds) == (6.0, 2.0, 0.75)


def test_events_of_another_store_s_attempt_in_its_folder_do_not_count(left_open):
    store, spool = left_open
    theirs = "".join(json.dumps(event | {"token": "theirs"}) + "\n" for event in (STARTED, SAVED))
    spool(rest=theirs)
    run, _ = recovered(store)
    assert run.resume_step == 0


def test_one_that_wrote_nothing_starts_again(left_open):
    store, _ = left_open
    run, attempt = recovered(store)
    assert (run.status, run.resume_step, attempt.charged_seconds) == (RunStatus.PENDING, 0, 0)


def test_devices_were_held_as_long_as_was_written_down_whatever_the_time_of_day_says(left_open):
    store, spool = left_open
    spool(STARTED, SAVED)
    with store.write() as session:
        allocation = session.scalar(select(Allocation))
        allocation.started_at -= timedelta(hours=5)  # the clock jumped; or it waited for its devices
        ledger.note_held_seconds(session, {allocation.id: 30.0})
    recovered(store)
    with store.read() as session:
        assert session.scalar(select(Allocation.held_seconds)) == 30.0


def test_and_at_least_as_long_as_attempts_are_charged_for(left_open):
    store, spool = left_open
    spool(STARTED, SAVED)
    _, attempt = recovered(store)
    with store.read() as session:
        assert session.scalar(select(Allocation.held_seconds)) == pytest.approx(attempt.charged_seconds) == 11.5


def test_its_own_attempts_are_left_alone(left_open):
    store, _ = left_open
    with store.write() as session:
        recover(session, scheduler="me")
        assert session.get(Run, "a" * 16).status is RunStatus.RUNNING


def test_a_folder_without_a_spool_has_no_events(tmp_path):
    assert list(spooled_events(tmp_path, "t")) == []


def test_a_collective_that_failed_on_one_of_several_hosts_is_no_error_of_the_run_s(left_open):
    store, spool = left_open
    raised = {"kind": "raised", "step": 0, "reason": "JaxRuntimeError: Gloo AllGather failed", "out_of_memory": False}
    spool(STARTED, SAVED, raised | {"of_the_group": True})
    run, attempt = recovered(store)
    assert (run.status, run.resume_step, attempt.outcome) == (RunStatus.PENDING, 60, AttemptOutcome.ORPHANED)


def test_an_attempt_got_at_least_as_far_as_its_checkpoint(left_open):
    """Checkpoints are told when they are due, points of the curves when they are: the last word may be a checkpoint's."""
    store, spool = left_open
    spool(STARTED, PROGRESS, SAVED | {"step": 90, "train_seconds": 9.0})
    run, attempt = recovered(store)
    assert (attempt.last_step, attempt.checkpoint_step, run.resume_step) == (90, 90, 90)
    assert (attempt.useful_seconds, attempt.redone_seconds) == (9.0, 0.0)
