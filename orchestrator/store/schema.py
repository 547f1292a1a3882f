"""Brings a database to the schema of this version, and refuses one from a newer version.

A migration of an SQLite file that already holds something copies it first, to `scaling.db.before-<revision>`: that copy is the way back.
Alembic is loaded when a migration is due. The schema of a database is read from its table `alembic_version`. The schemas that this
version knows are read from the names of the files in `migrations/versions`: each begins with the revision, and they sort from the first
to the last.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, inspect
from sqlalchemy.exc import DatabaseError, OperationalError

from orchestrator.store.engine import server_error, sqlite_path
from orchestrator.store.unreadable import cure_of
from scaling.errors import StoreError, StoreTooNew

__all__ = ["copy_to", "found_revision", "head_revision", "migrate", "no_copy"]

_MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(engine: Engine, *, is_copy: bool = False) -> None:
    """Create or upgrade the tables. Raises `StoreTooNew` before anything is touched.

    is_copy: the file is a copy itself, so that none is made of it.
    """
    found = found_revision(engine)
    head = head_revision()
    if found == head:
        return
    path = sqlite_path(engine.url)
    if found is not None and path is not None and not is_copy:
        _back_up(path, path.with_name(f"{path.name}.before-{head}"))
    with _readable(engine.url), engine.begin() as connection:
        if _current(connection) != head:  # another process may have been first
            _upgrade(connection)


def copy_to(engine: Engine, target: Path) -> None:
    """Copy a database of SQLite to `target`, also while others write to it. Raises `StoreError`."""
    try:
        with closing(engine.raw_connection()) as source, closing(sqlite3.connect(target)) as copy:
            source.driver_connection.backup(copy)  # type: ignore[union-attr]
    except sqlite3.Error as error:
        raise no_copy(_name(engine.url), error) from error


def no_copy(name: str | Path, error: Exception) -> StoreError:
    """Word why a store of an earlier version, which is read through a copy, cannot be."""
    return StoreError(f"the store {name} cannot be copied: {error}", hint="is there room where temporary files lie (TMPDIR)?")


def found_revision(engine: Engine) -> str | None:
    """Return the schema found, None in an empty database. Raises `StoreTooNew`, and `StoreError` for a database of something else."""
    with _readable(engine.url), engine.connect() as connection:
        found = _refuse_newer(connection, engine.url)
        if found is None and (tables := inspect(connection).get_table_names()):
            raise StoreError(
                f"{_name(engine.url)} is a database of something else (it has a table {tables[0]!r})",
                hint="name another one with --db or SCALING_DB; nothing was changed",
            )
    return found


def head_revision() -> str:
    """Return the schema that this version writes."""
    return _revisions()[-1]


def _revisions() -> list[str]:
    """List all schemas that this version knows, the first one first."""
    return sorted(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def _current(connection: Connection) -> str | None:
    """Return the schema that Alembic has recorded in the database; None where there is none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _refuse_newer(connection: Connection, url: URL) -> str | None:
    found = _current(connection)
    if found is not None and found not in _revisions():
        raise StoreTooNew(
            f"the store {_name(url)} was written by a newer version of scaling (schema {found}; this version knows up to {head_revision()})",
            hint="update scaling, or name another database with --db or SCALING_DB; nothing was changed",
        )
    return found


def _back_up(source: Path, target: Path) -> None:
    with sqlite3.connect(source) as old, sqlite3.connect(target) as copy:
        old.backup(copy)


def _name(url: URL) -> str:
    return str(sqlite_path(url) or url.render_as_string(hide_password=True))


class _readable:  # noqa: N801 - reads as a statement
    """Turns a driver's error on first contact into a `StoreError` that names the file."""

    def __init__(self, url: URL) -> None:
        self.url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OperationalError) and sqlite_path(self.url) is None:
            raise server_error(_name(self.url), error) from error
        if isinstance(error, DatabaseError):
            path = sqlite_path(self.url)
            hint = "is it a scaling database? name another with --db or SCALING_DB" if path is None else cure_of(path, error.orig)
            raise StoreError(f"the store {_name(self.url)} cannot be opened: {error.orig}", hint=hint) from error
