"""A file of an earlier version is read through a copy: it stays as it was, what is written to it is seen, and who writes upgrades it."""

import os
import sqlite3
import tempfile

import pandas as pd
import pytest

from api.database import Database
from orchestrator.store import Store, open_readonly, schema
from orchestrator.store.models import Run
from scaling.errors import StoreError
from tests.api.small_grid import fill
from tests.orchestrator.earlier_stores import downgraded


@pytest.fixture
def earlier(tmp_path, monkeypatch):
    """A store of schema 0010, and what this version wrote before it was taken back."""
    fill(tmp_path / "scaling.db")
    with Store.open_readonly(str(tmp_path / "scaling.db")) as store:
        runs = store.runs()
    downgraded(f"sqlite:///{tmp_path / 'scaling.db'}", "0010")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "scaling.db", runs


def an_old_writer_sets(path, loss):
    with sqlite3.connect(path) as old:
        old.execute("UPDATE runs SET val_loss = ? WHERE id = (SELECT min(id) FROM runs)", (loss,))
    old.close()


def test_it_is_read_and_left_alone(earlier):
    path, runs = earlier
    before = path.read_bytes()
    with open_readonly(str(path)) as store:
        pd.testing.assert_frame_equal(store.runs(), runs)
        assert store.name == str(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent / "temporary") == []
    assert sorted(os.listdir(path.parent)) == ["scaling.db", "temporary"]


def test_what_is_written_to_it_is_seen_and_once_upgraded_it_is_read_itself(earlier):
    path, runs = earlier
    database = Database(str(path))
    table, version = database.runs_frame(None), database.version()
    assert len(table) == len(runs)
    an_old_writer_sets(path, 0.0123)
    assert database.version() != version
    assert database.runs_frame(None).val_loss.min() == 0.0123
    Store.open_existing(str(path)).close()
    with sqlite3.connect(path) as found:
        assert found.execute("SELECT version_num FROM alembic_version").fetchone() == (schema.head_revision(),)
    found.close()
    with database.read() as session:
        assert session.query(Run.val_loss).order_by(Run.id).first() == (0.0123,)
    assert os.listdir(path.parent / "temporary") == []


def test_where_there_is_no_room_for_the_copy(earlier, monkeypatch):
    path, _ = earlier
    monkeypatch.setattr(tempfile, "tempdir", str(path.parent / "none"))
    with pytest.raises(StoreError, match=r"cannot be copied.*none") as refused:
        open_readonly(str(path))
    assert "TMPDIR" in refused.value.hint
