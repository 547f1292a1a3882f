"""`scaling gc` frees what nobody will go on from, and nothing else."""

from pathlib import Path

import pytest

from orchestrator.store import Store, ledger
from orchestrator.store.ledger import Charge
from scaling.cli.gc import gc_command
from scaling.outcomes import AttemptOutcome
from tests.orchestrator.rows import a_run, accepted, granted
from tests.orchestrator.test_trunks import ended, family, progress


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
