"""`scaling gc` frees what nobody will go on from, and nothing else."""

import json
import shutil
from pathlib import Path

import pytest

from orchestrator.store import Store, ledger
from orchestrator.store.identity import claim
from orchestrator.store.ledger import Charge
from orchestrator.store.models import StoreId
from scaling.cli.gc import gc_command
from scaling.outcomes import AttemptOutcome
from tests.orchestrator.rows import a_run, accepted, granted
from tests.orchestrator.store.test_trunks import ended, family, progress


def checkpoint(home, grant, step, *, whole=True):
    folder = home / grant.folder / "checkpoints" / str(step)
    folder.mkdir(parents=True)
    (folder / "state.npz").write_bytes(b"x" * 1000)
    if whole:
        (folder / "manifest.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("outcome", "last_is_whole", "kept"),
    [
        (AttemptOutcome.FINISHED, True, {"100"}),
        (AttemptOutcome.DIVERGED, True, {"100"}),
        (AttemptOutcome.FINISHED, False, {"40", "50", "100"}),
        (AttemptOutcome.DIED, True, {"40", "50", "100"}),
        (AttemptOutcome.RAISED, True, {"40", "50", "100"}),
    ],
)
def test_what_a_run_may_go_on_from_or_fall_back_to_stays(tmp_path, capsys, outcome, last_is_whole, kept):
    database, home = str(tmp_path / "scaling.db"), tmp_path / "runs"
    with Store.open(database) as store:
        accepted(store, a_run())
        first = granted(store, home=str(home))
        folders = [checkpoint(home, first, 40)]
        with store.write() as session:
            ledger.record(session, first.token, step=40, checkpoint_step=40)
            ledger.end_attempt(session, first.token, outcome=AttemptOutcome.PREEMPTED, reason="", charge=Charge(), last_step=40)
        second = granted(store, home=str(home))
        folders += [checkpoint(home, second, 50), checkpoint(home, second, 100, whole=last_is_whole)]
        with store.write() as session:
            ledger.record(session, second.token, step=100, checkpoint_step=100)
            ledger.end_attempt(session, second.token, outcome=outcome, reason="", charge=Charge(), last_step=100)
    gc_command(yes=False, db=database)
    assert all(folder.exists() for folder in folders), "without --yes nothing is touched"
    gc_command(yes=True, db=database)
    assert {Path(folder).name for folder in folders if folder.exists()} == kept
    assert "kept" in capsys.readouterr().out


def test_what_another_run_may_start_from_stays_until_it_is_done(tmp_path, capsys):
    database, home = str(tmp_path / "scaling.db"), tmp_path / "runs"
    with Store.open(database) as store:
        child, parent = family()
        accepted(store, child, parent)
        grant = granted(store, parent["id"], home=str(home))
        folders = [checkpoint(home, grant, step) for step in (80, 320, 400)]
        progress(store, grant, checkpoints=[(80, 72.0), (320, 288.0), (400, 360.0)])
        ended(store, grant, useful=360.0)
        gc_command(yes=True, db=database)
        assert {folder.name for folder in folders if folder.exists()} == {"80", "400"}
        branched = granted(store, child["id"], home=str(home))
        folders.append(checkpoint(home, branched, 100))
        progress(store, branched, first_step=80, checkpoints=[(100, 18.0)])
        ended(store, branched, useful=18.0)
        gc_command(yes=True, db=database)
    assert {folder.name for folder in folders if folder.exists()} == {"400", "100"}
    assert "freed" in capsys.readouterr().out


def test_a_copy_leaves_alone_what_its_original_may_need(tmp_path, capsys):
    """Both have the attempt from before; each has gone on from it by itself."""
    database, home = str(tmp_path / "scaling.db"), tmp_path / "runs"
    with Store.open(database) as store:
        accepted(store, a_run())
    shutil.copy(database, tmp_path / "copy.db")
    folders = {}
    for name in (database, str(tmp_path / "copy.db")):
        with Store.open(name) as store:
            with store.write() as session:
                session.add(StoreId(number=1, id="original", place="another"))
                allocation = ledger.open_allocation(session, scheduler="me", shape="s", accelerator="cpu", cores=2)
            for number in (1, 2):
                with store.write() as session:
                    own = claim(session) if number == 2 else "original"
                    grant = ledger.begin_attempt(session, "a" * 16, allocation_id=allocation, home=str(home), store=own)
                    step = 50 * number
                    ledger.record(session, grant.token, step=step, checkpoint_step=step)
                    outcome = AttemptOutcome.FINISHED if number == 2 else AttemptOutcome.PREEMPTED
                    ledger.end_attempt(session, grant.token, outcome=outcome, reason="", charge=Charge(), last_step=step)
                folders[name, number] = [checkpoint(home, grant, at) for at in (step - 10, step) if (name, number) != (database, 1)]
    gc_command(yes=True, db=str(tmp_path / "copy.db"))
    left = {key: [folder.name for folder in found if folder.exists()] for key, found in folders.items()}
    assert left == {
        (database, 1): [],
        (database, 2): ["90", "100"],
        (str(tmp_path / "copy.db"), 1): ["40", "50"],
        (str(tmp_path / "copy.db"), 2): ["100"],
    }
    assert "left alone: written before the database was copied or moved" in capsys.readouterr().out


def reported(home, grant, step, name, *, inside=""):
    """A checkpoint that a program reported: a file, or a folder with a file in it. name: its path in the run's own folder, or an absolute one."""
    path = home / Path(grant.folder).parent / "kept" / name
    (path / inside).parent.mkdir(parents=True, exist_ok=True)
    (path / inside if inside else path).write_bytes(b"x" * 1000)
    (home / grant.folder).mkdir(parents=True, exist_ok=True)
    (home / grant.folder / f"checkpoint-{step}.json").write_text(json.dumps({"path": str(path)}))
    return path


@pytest.mark.parametrize(
    ("outcome", "kept"),
    [
        (AttemptOutcome.FINISHED, {"100.pt", "link.pt", "model.pt"}),
        (AttemptOutcome.DIVERGED, {"100.pt", "link.pt", "model.pt"}),
        (AttemptOutcome.DIED, {"40.pt", "50", "100.pt", "link.pt", "model.pt"}),
        (AttemptOutcome.RAISED, {"40.pt", "50", "100.pt", "link.pt", "model.pt"}),
    ],
)
def test_of_a_program_the_last_checkpoint_stays_and_what_it_never_reported(tmp_path, capsys, outcome, kept):
    database, home = str(tmp_path / "scaling.db"), tmp_path / "runs"
    with Store.open(database) as store:
        accepted(store, a_run())
        first = granted(store, home=str(home))
        own = reported(home, first, 40, "40.pt").parent
        with store.write() as session:
            ledger.record(session, first.token, step=40, checkpoint_step=40)
            ledger.end_attempt(session, first.token, outcome=AttemptOutcome.PREEMPTED, reason="", charge=Charge(), last_step=40)
        second = granted(store, home=str(home))
        reported(home, second, 50, "50", inside="state.bin")
        away = reported(home, second, 60, tmp_path / "away.pt")
        link = reported(home, second, 70, "link.pt")
        link.unlink()
        link.symlink_to(away)
        reported(home, second, 100, "100.pt")
        (own / "model.pt").write_bytes(b"x")
        with store.write() as session:
            ledger.record(session, second.token, step=100, checkpoint_step=100)
            ledger.end_attempt(session, second.token, outcome=outcome, reason="", charge=Charge(), last_step=100)
    gc_command(yes=False, db=database)
    assert {path.name for path in own.iterdir()} == {"40.pt", "50", "100.pt", "link.pt", "model.pt"}, (
        "without --yes nothing is touched"
    )
    gc_command(yes=True, db=database)
    assert {path.name for path in own.iterdir()} == kept
    assert away.exists(), "outside its own folder"
    assert "kept" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("earlier", "last", "left"),
    [
        ("last.pt", "last.pt", {"last.pt"}),
        (".", "last.pt", {"last.pt", "state"}),
        ("all", "all/last.pt", {"all"}),
        ("all/first.pt", "all", {"all"}),
    ],
)
def test_a_checkpoint_that_holds_the_last_one_or_lies_in_it_stays(tmp_path, capsys, earlier, last, left):
    database, home = str(tmp_path / "scaling.db"), tmp_path / "runs"
    with Store.open(database) as store:
        accepted(store, a_run())
        grant = granted(store, home=str(home))
        folders = {".": "state", "all": "state"}
        for step, name in ((50, earlier), (100, last)):
            reported(home, grant, step, name, inside=folders.get(name, ""))
        with store.write() as session:
            ledger.record(session, grant.token, step=100, checkpoint_step=100)
            ledger.end_attempt(session, grant.token, outcome=AttemptOutcome.FINISHED, reason="", charge=Charge(), last_step=100)
    own = home / Path(grant.folder).parent / "kept"
    before = {path for path in own.rglob("*") if path.is_file()}
    gc_command(yes=True, db=database)
    assert {path.name for path in own.iterdir()} == left
    assert {path for path in own.rglob("*") if path.is_file()} == before
    assert "0.0 MB freed" in capsys.readouterr().out
