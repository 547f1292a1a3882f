"""A folder of runs that is gone, or the checkpoint in it: waited for, found again, or made anew. Never the fault of a run."""

import io
import json
import shutil

import pytest

from orchestrator.cluster import host
from orchestrator.messages import Message
from orchestrator.resources import Resources, RunOptions
from orchestrator.scheduling.assignment import assignment_of
from orchestrator.scheduling.attempt import AttemptLog
from orchestrator.store.ledger import Grant
from scaling.outcomes import AttemptOutcome
from trainer import storage
from trainer.storage import Disk

RUN, TOKEN = "a" * 16, "t" * 32


def grant(**changes):
    fields = {"store": "s", "resume_store": "s", "resume_directory": None, "saved_seconds": 0.0} | changes
    resumed = fields.pop("resumed", 1)
    return Grant(RUN, 2, TOKEN, {}, Resources("cpu", 1), RunOptions(), resumed, 40 if resumed else 0, **fields)


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Serves a grant as a trainer process would; the message that it raised with, or where it was to go on from."""

    def serve(grant, *, missed=0.0, train=None):
        if train is not None:
            (tmp_path / "runs" / "s").mkdir(parents=True, exist_ok=True)
        folders = {"home": tmp_path / "runs", "working_directory": tmp_path}
        assignment = assignment_of(grant, **folders, checkpoint_seconds=60.0, missed_seconds=missed)
        trained = []

        def begin(runs, stop, teller):
            trained.extend(runs)
            if train is not None:
                train()

        monkeypatch.setattr(host, "_train", begin)
        monkeypatch.setattr(host.os, "dup2", lambda *_: None)
        pipe = io.StringIO()
        host._serve(assignment, host._Stop(), pipe)
        said = [Message.from_dict(json.loads(line)) for line in pipe.getvalue().splitlines()]
        return (said[-1] if said else None), (trained[0].resume_from if trained else None)

    return serve


def ending(grant, message):
    log = AttemptLog(grant)
    log.take(message)
    return log.ending.outcome


def saved(tmp_path, folder):
    (tmp_path / folder / "checkpoints").mkdir(parents=True)


@pytest.mark.parametrize("resume_store", [None, "another"])
def test_a_checkpoint_of_an_earlier_id_or_of_before_ids_is_waited_for_too(tmp_path, told, resume_store):
    (tmp_path / "runs" / "s").mkdir(parents=True)
    message, _ = told(grant(resume_store=resume_store))
    assert ending(grant(), message) is AttemptOutcome.STORAGE


def test_a_checkpoint_that_is_not_there_is_waited_for_and_found_when_it_is_back(tmp_path, told):
    for there, what in ((False, "the folder of runs is not there"), (True, "the checkpoint of step 40 is not there")):
        if there:
            (tmp_path / "runs" / "s").mkdir(parents=True)
        message, _ = told(grant())
        assert (ending(grant(), message), message.event.missing) == (AttemptOutcome.STORAGE, True)
        assert what in message.event.reason
        assert not (tmp_path / f"runs/s/{RUN}").exists(), "nothing lies where a disk may come back"
    saved(tmp_path, f"runs/s/{RUN}/1")
    message, resume = told(grant(), missed=20.0)
    assert (message, resume.directory) == (None, str(tmp_path / f"runs/s/{RUN}/1"))


def test_an_empty_folder_may_be_where_a_disk_is_to_be_mounted(tmp_path, told):
    (tmp_path / f"runs/s/{RUN}/1").mkdir(parents=True)
    message, _ = told(grant())
    assert ending(grant(), message) is AttemptOutcome.STORAGE


@pytest.mark.parametrize(("saved_seconds", "waits"), [(0.0, 30.0), (120.0, 120.0), (1e6, 300.0)])
def test_what_does_not_come_back_is_done_again_after_as_long_as_it_took(told, saved_seconds, waits):
    cut_short = grant(saved_seconds=saved_seconds)
    message, _ = told(cut_short, missed=waits - 1)
    assert ending(cut_short, message) is AttemptOutcome.STORAGE
    message, resume = told(cut_short, missed=waits + 1)
    assert (message, resume) == (None, None)


def test_a_checkpoint_is_looked_for_where_it_was_written(tmp_path, told):
    """Another --home than before."""
    saved(tmp_path, f"elsewhere/{RUN}/1")
    (tmp_path / "runs" / "s").mkdir(parents=True)
    _, resume = told(grant(resume_directory=str(tmp_path / f"elsewhere/{RUN}/1")))
    assert resume.directory == str(tmp_path / f"elsewhere/{RUN}/1")


def test_a_fresh_run_waits_for_the_folder_that_the_scheduler_made_and_then_makes_it_anew(tmp_path, told):
    fresh = grant(resumed=None)
    for missed in (0.0, 29.0):
        message, _ = told(fresh, missed=missed)
        assert (ending(fresh, message), (tmp_path / "runs").exists()) == (AttemptOutcome.STORAGE, False)
    message, resume = told(fresh, missed=31.0)
    assert (message, resume, (tmp_path / f"runs/s/{RUN}/2").is_dir()) == (None, None, True)


def test_whatever_is_raised_once_the_folder_is_gone_is_the_storages_fault(tmp_path, told):
    def vanish():
        shutil.rmtree(tmp_path / "runs")
        raise ValueError("arrays do not fit")

    message, _ = told(grant(resumed=None), train=vanish)
    assert ending(grant(), message) is AttemptOutcome.STORAGE


def test_a_file_that_the_user_lacks_is_the_users_fault(tmp_path, told):
    for error in (
        FileNotFoundError(2, "none", str(tmp_path / "data" / "train")),
        PermissionError(13, "no", str(tmp_path / "runs")),
    ):

        def lack(error=error):
            raise error

        message, _ = told(grant(resumed=None), train=lack)
        assert ending(grant(), message) is AttemptOutcome.RAISED


def test_a_file_of_the_attempt_that_is_gone_is_not(tmp_path, told):
    """The folder may be back by the time that anybody looks."""

    def lack():
        (tmp_path / f"runs/s/{RUN}/2/checkpoints/3/manifest.json").read_text()

    message, _ = told(grant(resumed=None), train=lack)
    assert (ending(grant(), message), message.event.missing) == (AttemptOutcome.STORAGE, False)


def test_a_disk_waits_for_its_folder_and_then_makes_it_anew(tmp_path, monkeypatch):
    disk, before = Disk(tmp_path / "runs" / "1"), Disk(tmp_path / "runs" / "1")
    disk.publish("a", b"1")
    (tmp_path / "runs").rename(tmp_path / "away")
    for write in (lambda: disk.publish("b", b"2"), lambda: disk.append("a", b"2")):
        with pytest.raises(FileNotFoundError, match="the folder of the attempt is gone"):
            write()
    assert not (tmp_path / "runs").exists()
    (tmp_path / "away").rename(tmp_path / "runs")
    disk.append("a", b"2")
    assert (tmp_path / "runs/1/a").read_bytes() == b"12"
    shutil.rmtree(tmp_path / "runs")
    with pytest.raises(FileNotFoundError):
        disk.append("a", b"3")
    later = storage.time.monotonic() + 31
    monkeypatch.setattr(storage.time, "monotonic", lambda: later)
    disk.append("a", b"3")
    before.append("a", b"4")
    assert (tmp_path / "runs/1/a").read_bytes() == b"34"
