"""docs/tutorial.md: its commands up to the training are run, and print what it shows; what comes after is of the runs in docs/tutorial.csv."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scaling.cli.app import app

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "tutorial.md").read_text()


def block(language: str, after: str) -> str:
    return re.search(rf"```{language}\n(.*?)```", TEXT[TEXT.index(after) :], re.S)[1]


def run(command: str) -> str:
    result = CliRunner().invoke(app, shlex.split(command)[1:])
    assert result.exception is None, (command, result.output)
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the images of the page were made and its file was written."""
    place = tmp_path_factory.mktemp("tutorial")
    (place / "make_photos.py").write_text(block("python", "## 2."))
    subprocess.run([sys.executable, "make_photos.py"], cwd=place, check=True, env={"PYTHONPATH": str(ROOT)})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        run(block("sh", "## 3.").strip())
    return place


def test_the_file_is_what_init_writes(folder):
    assert (folder / "experiments.yaml").read_text() == block("yaml", "## 3.")


def test_the_dry_run_prints_what_is_shown(folder, monkeypatch):
    monkeypatch.chdir(folder)
    command = block("sh", "## 4.").strip()
    assert command == "scaling submit experiments.yaml --dry-run"
    assert run(command).split() == block("text", "## 4.").split()


def test_the_end_of_submit_says_what_fit_says_of_the_same_runs():
    sentence, *_ = block("text", "## 6.").splitlines()
    assert sentence.startswith("val_loss falls as core_hours")
    said = block("text", "## 5.").splitlines()[1]
    assert said.startswith(sentence.removesuffix("."))
    assert "choosing it costs" in said.removeprefix(
        sentence.removesuffix(".")
    )  # which takes sizes and epochs, and `fit` does not say
    rows = (ROOT / "docs" / "tutorial.csv").read_text().splitlines()
    assert f"\n{len(rows) - 1} runs: {len(rows) - 1} finished" in f"\n{block('text', '## 5.')}"
