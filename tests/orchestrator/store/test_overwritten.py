"""A database's file that stays the same file while another content is put into it, or its log is taken away: noticed, and never by mistake."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress

import pytest

from orchestrator.store import Store, lease
from orchestrator.store.models import Experiment
from scaling.errors import StoreError

COUNT = "SELECT count(*) FROM experiments"


def added(store, first, last):
    """Commits rows, each with the lease renewed, as a scheduler does."""
    for number in range(first, last):
        with store.write() as session:
            assert lease.renew(session, "me")
            session.add(Experiment(name=f"{number} {'x' * 500}"))


def sql(database, *statements):
    """By a connection of somebody else in this process; what the last statement says."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for statement in statements:
            found = connection.execute(statement).fetchall()
    return found


def elsewhere(database, *statements):
    """By another process."""
    code = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\nfor s in sys.argv[2:]: print(c.execute(s).fetchall())\nc.close()"
    return subprocess.run(
        [sys.executable, "-c", code, str(database), *statements], check=True, capture_output=True, text=True
    ).stdout


def rolled_back(store):
    """With the mark that it has raised."""
    with suppress(ZeroDivisionError), store.write() as session:
        lease.renew(session, "me")
        raise ZeroDivisionError


def copied(database, target):
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


@pytest.fixture
def database(tmp_path):
    return tmp_path / "scaling.db"


@pytest.fixture
def store(database):
    with Store.open(str(database)) as store:
        with store.write() as session:
            assert lease.take(session, "me")
        yield store


def refused(store, reading=True):
    """Every transaction is, also one that would end what the command is at; returns what is said first."""
    with pytest.raises(StoreError) as first, store.write() as session:
        lease.renew(session, "me")
    with pytest.raises(StoreError), store.write() as session:
        lease.release(session, "me")
    with pytest.raises(StoreError), store.write() as session:
        session.add(Experiment(name="after"))
    if reading:
        with pytest.raises(StoreError), store.read() as session:
            session.query(Experiment).count()
    return str(first.value)


def test_without_its_log_a_database_is_no_store_and_what_was_committed_is_saved(store, database):
    added(store, 0, 20)
    for side in ("-wal", "-shm"):
        os.remove(f"{database}{side}")
    assert "the log of the database" in refused(store)
    store.close()
    assert sql(database, COUNT) == [(20,)]
    assert sql(database, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("side", ["-wal", "-shm"])
def test_one_file_of_the_log_is_enough(store, database, side):
    added(store, 0, 3)
    os.remove(f"{database}{side}")
    refused(store)


def test_a_log_that_was_taken_away_within_a_transaction_is_missed_at_its_end(store, database):
    def write():
        with store.write() as session:
            session.add(Experiment(name="one"))
            os.remove(f"{database}-wal")

    with pytest.raises(StoreError, match="the log of the database"):
        write()
    store.close()
    assert sql(database, COUNT) == [(1,)]


def test_an_emptied_file_is_refused_before_its_log_is_lost(store, database):
    added(store, 0, 20)
    database.write_bytes(b"")
    assert "is empty now" in refused(store)
    assert os.path.getsize(f"{database}-wal") > 0


@pytest.mark.parametrize("restarts", [1, 2, 3])
def test_an_older_state_of_the_same_file_is_refused(store, database, tmp_path, restarts):
    added(store, 0, 30)
    copied(database, tmp_path / "backup.db")
    for number in range(restarts):
        added(store, 100 * number + 100, 100 * number + 120)
        sql(database, "PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copyfile(tmp_path / "backup.db", database)
    assert "an older or another state" in refused(store)


def test_an_older_state_is_refused_while_the_log_holds_the_newest_lease(store, database, tmp_path):
    """So SQLite itself would read the right lease, and old pages beside it. Nobody empties the log here: it is begun anew when it is long."""
    added(store, 0, 5)
    copied(database, tmp_path / "backup.db")
    for number in range(1, 4):
        with store.write() as session:
            session.add_all(Experiment(name=f"{number}-{each} {'x' * 3000}") for each in range(1500))
        added(store, 1000 * number, 1000 * number + 3)
    shutil.copyfile(tmp_path / "backup.db", database)
    assert "overwritten" in refused(store)


@pytest.mark.parametrize("what", ["another store", "noise"])
def test_another_content_is_refused(store, database, tmp_path, what):
    added(store, 0, 30)
    with Store.open(str(tmp_path / "other.db")) as other, other.write() as session:
        lease.take(session, "me too")
    if what == "noise":
        (tmp_path / "other.db").write_bytes(b"no database" * 4096)
    sql(database, "PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copyfile(tmp_path / "other.db", database)
    said = refused(store, reading=False)
    assert "Background on this error" not in said
    assert "\n" not in said


def test_a_transaction_over_a_damaged_file_says_so_in_one_line(store, database):
    """No lease is renewed here: SQLite itself notices, and not as an `OperationalError`."""
    added(store, 0, 50)
    sql(database, "PRAGMA wal_checkpoint(TRUNCATE)")
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(StoreError, match="cannot be written") as found, store.write() as session:
        session.add(Experiment(name="new"))
    assert "overwritten" in found.value.hint


def test_what_others_may_do_to_a_store_is_no_fault(store, database, tmp_path):
    with Store.open_readonly(str(database)) as reader, Store.open(str(database)) as second:
        for number, meanwhile in enumerate(
            [
                lambda: sql(database, "PRAGMA wal_checkpoint(TRUNCATE)"),
                lambda: elsewhere(database, "PRAGMA wal_checkpoint(RESTART)", "INSERT INTO alembic_version VALUES ('x')"),
                lambda: elsewhere(database, "DELETE FROM alembic_version WHERE version_num = 'x'", "VACUUM"),
                lambda: copied(database, tmp_path / "backup.db"),
                lambda: shutil.copystat(tmp_path / "backup.db", database),
                lambda: Store.open_existing(str(database)).close(),
                lambda: added(second, 1000, 1003),
            ]
        ):
            added(store, 10 * number, 10 * number + 4)
            meanwhile()
            rolled_back(store)
            with store.write() as session:  # without a lease
                session.add(Experiment(name=f"more {number}"))
            added(store, 10 * number + 4, 10 * number + 6)
            with reader.read() as session:
                assert session.query(Experiment).count() > 4 * number
    with store.write() as session:
        lease.release(session, "me")
    store.close()
    assert not os.path.exists(f"{database}-wal"), "SQLite removed it itself"
    added_later = Store.open(str(database))
    with added_later.write() as session:
        assert lease.take(session, "another")
    added_later.close()


def test_a_reader_outlives_the_writers_of_its_store(database):
    """A log that came and went before a reader looked is not its own."""
    Store.open(str(database)).close()
    with Store.open_readonly(str(database)) as reader:
        for number in range(3):
            elsewhere(database, f"INSERT INTO experiments (name, created_at) VALUES ('{number}', '2026-01-01')")
            with reader.read() as session:
                assert session.query(Experiment.id).count() == number + 1


def test_a_store_that_was_closed_is_watched_anew_when_it_is_used_again(store, database):
    added(store, 0, 3)
    store.close()
    assert not os.path.exists(f"{database}-wal")
    added(store, 3, 6)


def test_a_link_to_a_database_has_its_log_beside_the_file(store, database, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "linked.db").symlink_to(database)
    with Store.open(str(tmp_path / "links" / "linked.db")) as linked:
        added(linked, 0, 3)
        os.remove(f"{database}-wal")
        refused(linked)
