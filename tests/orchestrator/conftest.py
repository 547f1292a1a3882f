"""Stores to test: a file of SQLite, and a database of a PostgreSQL server that lives as long as the tests."""

import os
import uuid

import pytest

from benchmarks.faults.server import Server, binaries
from orchestrator.store import Store


@pytest.fixture(scope="session")
def postgres():
    """The SQLAlchemy URL of a fresh server without a database name; it listens on a socket in its own folder, and nowhere else."""
    if binaries() is None:
        if os.environ.get("SCALING_CI"):
            pytest.fail("PostgreSQL is not installed: apt install postgresql")
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    server = Server()
    try:
        yield server.url("{database}")
    finally:
        server.close()


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
