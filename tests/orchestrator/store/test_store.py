"""The store: migrations, refusals, and how SQLite is opened."""

import shutil
import sqlite3
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

from orchestrator.store import Store, open_readonly, schema
from orchestrator.store.models import Base, Run
from scaling.errors import StoreError, StoreTooNew, UsageError
from tests.orchestrator.conftest import new_database
from tests.orchestrator.earlier_stores import downgraded
from tests.orchestrator.rows import a_run, accepted
from tests.small_disk import full_disk, read_only


@pytest.fixture
def store(tmp_path):
    with Store.open(str(tmp_path / "scaling.db")) as store:
        yield store


# -- opening -----------------------------------------------------------------------------------------------------------------------


def test_the_migrations_make_exactly_the_models(store):
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    with store._writer.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, Base.metadata) == []


def test_sqlite_is_in_wal_mode_and_readers_cannot_write(store):
    with store._writer.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    with pytest.raises(StoreError, match="cannot be read: attempt to write a readonly"), store.read() as session:
        session.execute(sa.insert(Run).values(**a_run()))
    with pytest.raises(StoreError, match="opened for reading"), open_readonly(store.name).write():
        pass


def test_a_newer_database_is_refused_untouched(store, tmp_path):
    with store._writer.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    before = sorted(path.name for path in tmp_path.iterdir())
    for opening in (Store.open, open_readonly):
        with pytest.raises(StoreTooNew, match="newer version of scaling"):
            opening(store.name)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_migration_copies_the_file_first(store, tmp_path, monkeypatch):
    """Through a real migration more: the store is one revision behind a version that adds a table."""
    accepted(store, a_run())
    store.close()
    before = schema.head_revision()
    later = tmp_path / "migrations"
    shutil.copytree(Path(schema.__file__).parent / "migrations", later)
    (later / "versions" / "9999_more.py").write_text(
        f"import sqlalchemy as sa\nfrom alembic import op\nrevision, down_revision = '9999', {before!r}\n"
        "def upgrade():\n    op.create_table('more', sa.Column('x', sa.Integer))\n"
    )
    monkeypatch.setattr(schema, "_MIGRATIONS", later)
    with Store.open(store.name) as upgraded, upgraded.read() as session:
        assert session.get(Run, "a" * 16) is not None
        assert session.execute(sa.text("SELECT count(*) FROM more")).scalar() == 0
    with sqlite3.connect(tmp_path / "scaling.db.before-9999") as copy:
        assert copy.execute("SELECT id FROM runs").fetchall() == [("a" * 16,)]
        assert copy.execute("SELECT version_num FROM alembic_version").fetchone() == (before,)


def test_laws_that_a_version_before_kept_stay_in_the_copy_of_its_file(store, tmp_path):
    accepted(store, a_run())
    store.close()
    downgraded(store.url, "0006")
    with sqlite3.connect(store.name) as old:
        old.execute("INSERT INTO laws VALUES (1, 1, 'power', 'val_loss', 'core_hours', 'all', '0.1.0', '{}', '[]', '2026-01-01')")
    with Store.open(store.name) as upgraded, upgraded.read() as session:
        assert session.get(Run, "a" * 16) is not None
        assert "laws" not in sa.inspect(session.connection()).get_table_names()
    with sqlite3.connect(f"{store.name}.before-{schema.head_revision()}") as copy:
        assert copy.execute("SELECT law, code_version FROM laws").fetchall() == [("power", "0.1.0")]


def test_the_names_of_the_migrations_are_their_chain():
    """The schema is checked by the names of the files alone, without Alembic."""
    config = Config()
    config.set_main_option("script_location", str(schema._MIGRATIONS))
    chain = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert schema._revisions() == chain[::-1]
    assert schema.head_revision() == ScriptDirectory.from_config(config).get_current_head()


def test_a_database_of_something_else_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE keepsakes (x)")
    with pytest.raises(StoreError, match="it has a table 'keepsakes'"):
        Store.open(str(tmp_path / "other.db"))
    with sqlite3.connect(tmp_path / "other.db") as other:
        assert other.execute("SELECT count(*) FROM sqlite_master").fetchone() == (1,)


def test_what_is_not_a_store(tmp_path):
    (tmp_path / "text.db").write_text("not a database, but long enough to look like one " * 40)
    with pytest.raises(StoreError, match="cannot be opened"):
        Store.open(str(tmp_path / "text.db"))
    with pytest.raises(StoreError, match="there is no store"):
        open_readonly(str(tmp_path / "none.db"))
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(UsageError, match="not a database URL"):
        Store.open("://")
    with pytest.raises(UsageError, match="needs the package 'asyncmy'"):
        Store.open("mysql+asyncmy://there/db")
    with pytest.raises(UsageError, match="no driver"):
        Store.open("nonsense://there")


# -- a database that cannot be reached for a while -----------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["read", "write"])
def test_a_transaction_waits_to_begin_as_long_as_its_store_was_told_to(store, tmp_path, door):
    file, away = tmp_path / "scaling.db", tmp_path / "away"
    store.close()  # connections that are open would still reach the file
    file.rename(away)
    file.mkdir()
    with pytest.raises(StoreError, match="unable to open"), getattr(store, door)():
        pass
    store.wait_seconds = 20.0
    back = threading.Timer(0.5, lambda: (file.rmdir(), away.rename(file)))
    back.start()
    begun = time.monotonic()
    with getattr(store, door)() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Run)) == 0
    assert 0.4 < time.monotonic() - begun < 15
    back.join()


def test_connections_that_a_server_has_closed_are_opened_anew(postgres):
    with Store.open(new_database(postgres)) as store:
        with store.read() as session:
            session.scalar(sa.select(Run.id))
        accepted(store, a_run())
        other = sa.create_engine(store.url, isolation_level="AUTOCOMMIT")
        with other.connect() as connection:
            ended = connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).all()
        other.dispose()
        assert len(ended) >= 2
        accepted(store, a_run())
        with store.read() as session:
            assert session.scalars(sa.select(Run.id)).all() == ["a" * 16]


# -- disks that refuse ---------------------------------------------------------------------------------------------------------------


def test_a_full_disk_is_one_sentence_and_what_was_committed_is_there(tmp_path):
    with full_disk(tmp_path, 4 << 20) as folder, Store.open(str(folder / "scaling.db")) as store:
        accepted(store, a_run())
        with (folder / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(4096))
        with pytest.raises(StoreError, match="cannot be written: database or disk is full"):
            accepted(store, *[a_run(f"{number:016x}") for number in range(500)], name="more")
        (folder / "ballast").unlink()
        with store.read() as session:
            assert session.scalars(sa.select(Run.id)).all() == ["a" * 16]
        accepted(store, a_run("b" * 16), name="more")


def test_a_read_only_disk_is_one_sentence(tmp_path):
    with full_disk(tmp_path, 4 << 20) as folder:
        path = str(folder / "scaling.db")
        with Store.open(path) as store:
            accepted(store, a_run())
        read_only(folder)
        with pytest.raises(StoreError, match="cannot be opened: unable to open database file") as told, Store.open(path) as store:
            accepted(store, a_run("b" * 16), name="more")
        assert "read-only" in told.value.hint


# -- a file that goes away ---------------------------------------------------------------------------------------------------------


def deleted(path):
    path.unlink()


def moved(path):
    path.rename(path.with_name("elsewhere.db"))


def replaced(path):
    """As from a backup: whole, and with all that was committed."""
    with sqlite3.connect(path) as old, sqlite3.connect(path.with_name("backup.db")) as copy:
        old.backup(copy)
    path.with_name("backup.db").replace(path)


GONE = {deleted: "is not there any more", moved: "is not there any more", replaced: "is another file now"}


@pytest.mark.parametrize("vanish", GONE)
def test_nothing_is_written_to_a_file_that_is_not_the_store_any_more(store, tmp_path, vanish):
    accepted(store, a_run())
    vanish(tmp_path / "scaling.db")
    for door in (store.write, store.read):
        with pytest.raises(StoreError, match=GONE[vanish]), door():
            pytest.fail("it was let in")
    assert (tmp_path / "scaling.db").exists() is (vanish is replaced), "no empty database is left in its place"


@pytest.mark.parametrize("vanish", GONE)
def test_a_transaction_whose_file_goes_away_under_it_is_an_error(store, tmp_path, vanish):
    def write():
        with store.write() as session:
            session.execute(sa.insert(Run).values(**a_run()))
            vanish(tmp_path / "scaling.db")

    with pytest.raises(StoreError, match=GONE[vanish]):
        write()


def test_a_file_of_another_name_for_the_store_is_the_store(store, tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "scaling.db")
    with Store.open(str(tmp_path / "link.db")) as linked:
        accepted(linked, a_run())
    with store.read() as session:
        assert session.get(Run, "a" * 16) is not None
