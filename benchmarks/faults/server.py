"""A PostgreSQL server of one's own, which can be taken away and come back."""

from __future__ import annotations

import os
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["Server", "binaries"]


class Server:
    """Listens on a socket in its own folder, and nowhere else. Begins with the object, ends with `close`."""

    def __init__(self) -> None:
        found = binaries()
        if found is None:
            raise FileNotFoundError("PostgreSQL is not installed: apt install postgresql")
        self._binaries, self.folder = found, Path(tempfile.mkdtemp(prefix="pg-"))
        self._as_user: list[str] = []
        if os.geteuid() == 0:  # the server refuses to run as root
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as_user = ["runuser", "-u", "postgres", "--"]
        self._run("initdb", "--auth=trust", "--username=scaling", "--no-sync", "-D", self._data)
        self.start()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Returns once it answers."""
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c fsync=off"
        self._run("pg_ctl", "-D", self._data, "-l", self.folder / "log", "-w", "-o", options, "start")

    def stop(self) -> None:
        """At once: transactions that are open are cut off."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def url(self, database: str = "postgres") -> str:
        """SQLAlchemy's, of one of its databases."""
        return f"postgresql+psycopg://scaling@/{database}?host={self.folder}"

    def connected(self, database: str) -> _Rows:
        """A connection that is used as one of `sqlite3`."""
        return _Rows(str(self.folder), database)

    def new_database(self) -> str:
        """The name of a new, empty database."""
        import psycopg

        name = f"scaling_{uuid.uuid4().hex}"
        with psycopg.connect(host=str(self.folder), user="scaling", dbname="postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name

    def close(self) -> None:
        """Stop it and remove what it wrote."""
        if (self._data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: object) -> None:
        command = [*self._as_user, str(self._binaries / program), *map(str, arguments)]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}")


class _Rows:
    """A connection to a database, as far as `sqlite3`'s is used here: `?` for a parameter, and its exceptions."""

    def __init__(self, folder: str, database: str) -> None:
        import psycopg

        self._error = psycopg.Error
        try:
            self._connection = psycopg.connect(host=folder, user="scaling", dbname=database, autocommit=True)
        except psycopg.Error as error:
            raise sqlite3.OperationalError(str(error)) from error

    def execute(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        """A cursor: to iterate, or `fetchone`, `fetchall`."""
        try:
            return self._connection.execute(query.replace("?", "%s").encode(), parameters or None)
        except self._error as error:
            raise sqlite3.OperationalError(str(error)) from error

    def close(self) -> None:
        self._connection.close()


def binaries() -> Path | None:
    """The folder of `pg_ctl` and `initdb`, of the newest version; None where PostgreSQL is not installed."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parent.parent.name))
    if debian:
        return debian[-1].parent
    found = shutil.which("pg_ctl")
    return Path(found).parent if found else None
