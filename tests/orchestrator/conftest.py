"""Stores to test: a file of SQLite, and a database of a PostgreSQL server that lives as long as the tests."""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

import pytest

from orchestrator.store import Store


@pytest.fixture(scope="session")
def postgres():
    """The SQLAlchemy URL of a fresh server without a database name; it listens on a socket in its own folder, and nowhere else."""
    binaries = _binaries()
    if binaries is None:
        if os.environ.get("SCALING_CI"):
            pytest.fail("PostgreSQL is not installed: apt install postgresql")
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = ["runuser", "-u", "postgres", "--"]

    def run(*command):
        done = subprocess.run([*as_user, *map(str, command)], cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stdout + done.stderr

    run(binaries / "initdb", "--auth=trust", "--username=scaling", "--no-sync", "-D", folder / "data")
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    run(binaries / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w", "-o", options, "start")
    try:
        yield f"postgresql+psycopg://scaling@/{{database}}?host={folder}"
    finally:
        run(binaries / "pg_ctl", "-D", folder / "data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path | None:
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parent.parent.name))
    if debian:
        return debian[-1].parent
    found = shutil.which("pg_ctl")
    return Path(found).parent if found else None


def new_database(postgres: str) -> str:
    """The URL of a new, empty database of the server."""
    import sqlalchemy as sa

    name = f"scaling_{uuid.uuid4().hex}"
    engine = sa.create_engine(postgres.format(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return postgres.format(database=name)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    """An empty store, of each kind in turn."""
    url = str(tmp_path / "scaling.db") if request.param == "sqlite" else new_database(request.getfixturevalue("postgres"))
    with Store.open(url) as store:
        yield store
