"""Stores to test: a file of SQLite, and a database of a PostgreSQL server that lives as long as the tests."""

import os
import uuid

import pytest
import sqlalchemy as sa

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


@pytest.fixture(scope="session")
def migrated(postgres):
    """The name of a database of the server that has the tables, for copies of it: migrations take longer."""
    url = new_database(postgres)
    with Store.open(url):
        pass
    return sa.make_url(url).database


def new_database(postgres: str, like: str = "template1") -> str:
    """The URL of a new database of the server, empty or like another one."""
    name = f"scaling_{uuid.uuid4().hex}"
    engine = sa.create_engine(postgres.format(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {like}")
    engine.dispose()
    return postgres.format(database=name)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    """An empty store, of each kind in turn."""
    url = str(tmp_path / "scaling.db")
    if request.param == "postgresql":
        url = new_database(*map(request.getfixturevalue, ("postgres", "migrated")))
    with Store.open(url) as store:
        yield store
