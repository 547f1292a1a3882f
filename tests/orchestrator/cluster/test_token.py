"""What a Ray of our own leaves for others to read: nothing. That a cluster with a token refuses whoever lacks it is in test_compose."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from orchestrator.cluster.ray_cluster import _private_folder
from orchestrator.cluster.token import keep_token_private


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_token_of_local_clusters_is_for_its_owner_alone(home):
    keep_token_private()
    file = home / ".ray" / "auth_token"
    token = file.read_text()
    assert (mode(file), mode(file.parent)) == (0o600, 0o700)
    assert len(token) == 64
    keep_token_private()
    assert file.read_text() == token  # one that is there is kept


@pytest.mark.parametrize("given", [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "t"}, {"RAY_AUTH_TOKEN_PATH": "/a/file"}])
def test_no_token_is_made_where_the_user_has_chosen(home, monkeypatch, given):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    keep_token_private()
    assert list(home.iterdir()) == []


def test_a_local_ray_keeps_its_sockets_and_logs_where_only_its_user_gets(home):
    with _private_folder() as place:
        folder = Path(place).parent
        Path(place).mkdir()
        Path(place).chmod(0o777)  # as Ray does
        (Path(place) / "log").touch()
        assert mode(folder) == 0o700
        assert folder.parent == Path(tempfile.gettempdir())
    assert not folder.exists()


def test_a_place_for_ray_that_the_user_names_stays_the_place(home, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(home))
    with _private_folder() as place:
        assert place is None


def test_paths_of_sockets_stay_short_where_the_temporary_folder_is_deep(home, monkeypatch):
    deep = home / ("d" * 40)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with _private_folder() as place:
        assert place.startswith("/tmp/")
        assert len(place) + len("/session_2026-11-28_17-46-54_331496_4194304/sockets/plasma_store") <= 107
        assert os.listdir(deep) == []
