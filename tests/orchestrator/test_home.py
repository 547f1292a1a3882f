"""What may be the folder of runs."""

from pathlib import Path

import pytest

from orchestrator.home import home_folder
from orchestrator.scheduling.see_through import see_through
from orchestrator.store import Store
from scaling.cli.probe import probe_command
from scaling.cli.submit import submit_command
from scaling.errors import UsageError

URLS = ["memory://runs", "gs://bucket/runs", "s3://bucket", "file://host/runs", "abfs://c@a.dfs/x", "http://127.0.0.1:1/runs"]
URLS += [
    "simplecache::s3://b/x",
    "s3:/b",
    "S3://b",
    "memory:",
    "gs:b/x",
    "dir::zip://runs.zip",
    "filecache::/tmp/x",
    "file:/data",
    " s3://b",
]


@pytest.mark.parametrize("url", URLS)
def test_a_url_is_refused_before_anything_is_read_or_made(tmp_path, monkeypatch, url):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "not there.yaml"
    with Store.open(str(tmp_path / "scaling.db")) as store:
        doors = (
            lambda: submit_command(file, home=url),
            lambda: submit_command(file, dry_run=True, home=url),
            lambda: probe_command(file, home=url),
            lambda: see_through(store, "study", home=url),
            lambda: see_through(store, "study", home=Path(url)),  # as a caller from Python may write it
        )
        for door in doors:
            with pytest.raises(
                UsageError, match=f"runs are kept in a folder, not behind a URL .{url.strip().partition(':')[0]}:"
            ) as refused:
                door()
            assert "\n" not in str(refused.value)
            assert "every node sees" in refused.value.hint
    assert {path.name.partition(".db")[0] for path in tmp_path.iterdir()} == {"scaling"}


@pytest.mark.parametrize("path", ["runs", "/data/runs", "../a:b/runs", "./memory:/runs", "week 12: second try"])
def test_a_path_is_itself(path):
    assert home_folder(path) == Path(path)
    assert home_folder(Path("/data") / path) == Path("/data") / path


@pytest.mark.parametrize("nothing", ["", "  "])
def test_an_empty_text_is_no_folder(tmp_path, monkeypatch, nothing):
    monkeypatch.chdir(tmp_path)
    for door in (lambda: home_folder(nothing), lambda: submit_command(Path("not there.yaml"), dry_run=True, home=nothing)):
        with pytest.raises(UsageError, match="--home is empty"):
            door()
    assert not list(tmp_path.iterdir())


def test_a_tilde_is_a_home_directory(monkeypatch):
    """bash leaves it as it is in `--home=~/runs`."""
    monkeypatch.setenv("HOME", "/home/ada")
    assert home_folder("~/runs") == home_folder(Path("~/runs")) == Path("/home/ada/runs")
    assert home_folder("~") == Path("/home/ada")
    assert home_folder("runs/~/x") == Path("runs/~/x")
    assert home_folder("~nobody-of-that-name/runs") == Path("~nobody-of-that-name/runs")


def test_a_file_url_is_its_path():
    assert home_folder("file:///data/runs") == Path("/data/runs")
