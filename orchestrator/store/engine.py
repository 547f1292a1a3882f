"""Opens a database with two engines: one that writes, and one that can only read.

On both kinds of database one writer is at work at a time, and a reader sees one moment of it. SQLite runs in WAL mode with
`synchronous=FULL`. A writer says `BEGIN IMMEDIATE`, so that two writers queue instead of failing half-way; readers begin deferred and are
`query_only`. SQLite on a network file system loses locks, so that is refused. On PostgreSQL a writer takes one advisory lock for its
transaction, and readers are read-only at REPEATABLE READ.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

from scaling.errors import StoreAway, StoreError, UsageError

__all__ = ["DEFAULT_URL", "read_engine", "server_error", "sqlite_path", "store_url", "write_engine"]

DEFAULT_URL = "scaling.db"
BUSY_SECONDS = 60.0
"""How long a writer waits for another one. A commit takes milliseconds; a minute outlasts a backup."""

_WRITER = 0x5CA11
"""Key of the advisory lock that writers on PostgreSQL queue for."""

_NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "gpfs", "fuse.sshfs", "9p", "beegfs"}
)


def store_url(text: str) -> URL:
    """Make a SQLAlchemy URL from a URL or a plain path. Raises `UsageError` for a URL that cannot be read."""
    if "://" not in text:
        return URL.create("sqlite+pysqlite", database=str(Path(text).expanduser().absolute()))
    hint = "a path such as scaling.db, or postgresql+psycopg://…"
    try:
        url = make_url(text)
        url.get_dialect()
    except ArgumentError as error:
        if isinstance(error, NoSuchModuleError):
            raise UsageError(f"{text!r}: SQLAlchemy has no driver for it", hint=hint) from error
        raise UsageError(f"{text!r} is not a database URL: {error}", hint=hint) from error
    return url


def sqlite_path(url: URL) -> Path | None:
    """Return the file of an SQLite URL; None for other databases and for `:memory:`."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)


def write_engine(url: URL) -> Engine:
    """Create an engine whose every transaction may write. Raises `StoreError` for SQLite on a network file system."""
    path = sqlite_path(url)
    if path is not None:
        _refuse_network_file_system(path)
        path.parent.mkdir(parents=True, exist_ok=True)
    return _engine(url, begin="BEGIN IMMEDIATE", query_only=False)


def read_engine(url: URL) -> Engine:
    """Create an engine that cannot write."""
    return _engine(url, begin="BEGIN DEFERRED", query_only=True)


def _engine(url: URL, *, begin: str, query_only: bool) -> Engine:
    if url.get_backend_name() != "sqlite":
        return _server_engine(url, query_only=query_only)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's own BEGIN below, not the driver's
        for pragma in ("foreign_keys=ON", "synchronous=FULL", "journal_mode=WAL") if not query_only else ("query_only=ON",):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def server_error(name: str, error: OperationalError) -> StoreError:
    """Word the error of a database server that does not answer (`StoreError`) or stopped answering within a transaction (`StoreAway`).

    name: of the store, without a password.
    """
    lines = [line.strip() for line in str(error.orig).splitlines() if line.strip()]
    broken = error.connection_invalidated
    return (StoreAway if broken else StoreError)(
        f"the server of the store {name} {'went away' if broken else 'refuses'}: {lines[0] if lines else type(error.orig).__name__}",
        hint="is it running, and does it take this user, password and database? What was committed is safe: the same command goes on from there",
    )


def _libpq_waits(url: URL) -> dict[str, Any]:
    """Return the timeouts of a connection to PostgreSQL, but for those that the URL states.

    A server whose machine or network is gone never says so: without timeouts a query to it stays open for hours.
    """
    if url.get_driver_name() not in ("psycopg", "psycopg2"):
        return {}
    given = {
        "connect_timeout": 10,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }
    return {name: value for name, value in given.items() if name not in url.query}


def _server_engine(url: URL, *, query_only: bool) -> Engine:
    postgresql = url.get_backend_name() == "postgresql"
    options = {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"} if query_only and postgresql else {}
    try:
        engine = create_engine(
            url, execution_options=options, connect_args=_libpq_waits(url), pool_pre_ping=True
        )  # the server may have restarted
    except ModuleNotFoundError as error:
        hint = 'pip install "scaling[postgres]"' if postgresql else "install it beside scaling"
        raise UsageError(f"{url.drivername} needs the package {error.name!r}", hint=hint) from error
    if postgresql and not query_only:

        @event.listens_for(engine, "begin")
        def _queue(connection: Connection) -> None:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS:g}s'")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER})")

    return engine


def _refuse_network_file_system(path: Path) -> None:
    kind = _file_system(path.parent)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise StoreError(
            f"{path} is on a network file system ({kind}), where SQLite's locks cannot be trusted",
            hint="put the database on a local disk, or set SCALING_DB to a PostgreSQL URL",
        )


def _file_system(path: Path) -> str:
    """Return the type of the file system that holds `path`, from Linux's mount table; empty where there is none."""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    target = os.path.realpath(path)
    best, kind = "", ""
    for line in mounts:
        _, mount, file_system, *_ = line.split(" ")
        mount = mount.replace("\\040", " ")
        inside = target == mount or target.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, file_system
    return kind
