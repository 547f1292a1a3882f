"""What a scheduler makes of workers that say nothing: waiting for devices, out of reach, hung, or not heard because it was stopped itself."""

import json

import pytest

from orchestrator.cluster import WorkerLost, host
from orchestrator.messages import Message, Raised
from orchestrator.scheduling import worker_slot
from orchestrator.store import Store, ledger
from orchestrator.store.models import Run
from scaling.outcomes import AttemptOutcome, RunStatus
from tests.orchestrator.rows import a_run, accepted, granted
from tests.orchestrator.workers import TOKEN, Said, answered, slot_of
from trainer.events import Progress, Started


def test_a_run_that_waits_for_devices_is_not_hung_and_its_time_counts_from_their_arrival(clock):
    worker = Said()
    slot = slot_of(worker)
    slot.end_hung()
    clock.at_work(1000)
    slot.end_hung()
    slot.check_timeout(300.0)
    assert slot.waits
    slot.ask()
    slot.answer(worker)
    slot.end_hung()
    clock.at_work(590)
    slot.end_hung()
    assert worker.aborted == []
    clock.at_work(20)
    slot.end_hung()
    slot.end_hung()
    assert worker.aborted == [TOKEN]
    assert slot.attempts[TOKEN].silence() is None


def test_the_first_question_is_answered_as_soon_as_there_are_devices(clock):
    worker = Said()
    slot = answered(worker)
    slot.ask()
    assert worker.asked == [0.0, worker_slot._WAIT_SECONDS]
    assert (slot.opened, slot.nodes, slot.versions) == (clock.now - 7.0, ["n"], {"n": "1"})


def test_a_sign_of_life_is_taken_and_makes_no_transaction(clock):
    alive = {"kind": "alive", "step": 0, "token": TOKEN, "number": 3}
    worker = Said(events=[{"kind": "started", "step": 0, "steps": 9, "token": TOKEN, "number": 3}, alive])
    slot = slot_of(worker)
    for _ in range(20):
        slot.ask()
        assert [message.event for message in slot.answer(worker)] == [Started(step=0, steps=9)]
        slot.end_hung()
        clock.at_work(5)
    assert (slot.heard, worker.aborted) == (3, [])
    clock.at_work(94)
    slot.end_hung()
    assert worker.aborted == []
    clock.at_work(2)
    slot.end_hung()
    assert worker.aborted == [TOKEN], "20 times 5 s of silence"


def test_a_worker_that_answered_once_is_given_up_after_its_timeout(clock):
    slot = answered(Said())
    clock.at_work(299)
    slot.check_timeout(300.0)
    clock.at_work(2)
    with pytest.raises(WorkerLost, match="no answer for 301 s"):
        slot.check_timeout(300.0)


def test_one_that_was_taken_over_and_never_answers_is_given_up_too(clock):
    slot = slot_of(Said())
    clock.at_work(100)
    slot.take_over("another")
    clock.at_work(299)
    slot.take_over("another")  # asked again
    slot.check_timeout(300.0)
    assert not slot.waits
    clock.at_work(2)
    with pytest.raises(WorkerLost):
        slot.check_timeout(300.0)


def test_what_a_stopped_scheduler_did_not_hear_is_nobody_elses_silence(clock):
    worker = Said()
    slot = answered(worker)
    progress = Progress(step=1, steps=9, train_loss=1.0, train_seconds=1.0)
    slot.attempts[TOKEN].take(Message(event=progress, token=TOKEN))
    clock.stopped(7200)
    slot.check_timeout(300.0)
    slot.end_hung()
    assert worker.aborted == []
    clock.at_work(60)
    slot.end_hung()
    assert worker.aborted == [TOKEN]


def test_a_notice_also_reaches_what_a_worker_that_gets_no_more_runs_is_at(clock):
    slot = answered(Said())
    slot.leaving = "the node n has scaling 0, the scheduler has 1"
    slot.leave("its node is being taken away")
    assert slot.attempts[TOKEN].notice == "its node is being taken away"
    assert slot.stopping == {TOKEN}
    assert len(slot.calls) == 1
    slot.leave("its node is being taken away")
    assert len(slot.calls) == 1
    assert slot.leaving.startswith("the node n has")


def test_a_worker_whose_storage_refuses_rests_and_its_run_has_not_failed(clock, tmp_path):
    slot = answered(Said())
    try:
        try:
            with open("/dev/full", "wb") as full:
                full.write(b"x")
        except OSError as error:
            raise OSError("the checkpoint of the last step cannot be written") from error
    except OSError as error:
        storage = host._is_storage(error)
    assert storage
    assert not host._is_storage(FileNotFoundError(2, "no such data set"))
    attempt = slot.attempts.pop(TOKEN)
    raised = Raised(reason="No space left", of_the_pack=True, storage=storage)
    attempt.take(Message(event=raised, token=TOKEN, wall_seconds=9.0))
    ending = attempt.ending
    assert (ending.outcome, ending.alone, ending.charge.total) == (AttemptOutcome.STORAGE, False, 9.0)
    with Store.open(str(tmp_path / "scaling.db")) as store:
        accepted(store, a_run())
        grant = granted(store)
        with store.write() as session:
            assert ledger.end_attempt(session, grant.token, **ending.as_arguments()) is RunStatus.PENDING
            run = session.get(Run, "a" * 16)
            assert (run.failures, run.reason) == (0, "No space left")
    assert slot.is_free
    for seconds in (2, 4, 8, 16, 32, 60, 60):
        slot.rest()
        slot.rest()  # of another run of its pack
        clock.at_work(seconds - 1)
        assert not slot.is_free
        clock.at_work(1)
        assert slot.is_free
    slot.rest()
    slot.has_stored()
    assert slot.is_free
    slot.rest()
    clock.at_work(2)
    assert slot.is_free


def test_what_a_worker_does_not_know_any_more_is_in_the_attempts_folder(tmp_path):
    """A database that was put back has an attempt open that its worker settled since: its steps are charged."""
    worker = Said()
    worker.adopt = lambda scheduler: []
    worker.ready = lambda references, seconds: references
    slot = slot_of(worker)
    folder = tmp_path / slot.attempts[TOKEN].grant.folder
    folder.mkdir(parents=True)
    saved = {"kind": "checkpoint", "step": 60, "train_seconds": 6.0, "checkpoint_seconds": 0.5, "elapsed": 7.0}
    lines = [saved | {"token": TOKEN}, saved | {"token": "of another", "step": 90}]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    slot.take_over("me")
    for message in slot.unheard_of(worker, tmp_path):
        slot.attempts[TOKEN].take(message)
    ending = slot.attempts[TOKEN].ending
    assert (ending.outcome, ending.last_step, ending.charge.useful) == (AttemptOutcome.INTERRUPTED, 60, 6.0)
