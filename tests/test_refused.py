"""docs/refused.md: its tables are refused in the words shown, its cures work, and every section that an error links to is there."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import analysis
from api import problems
from scaling.cli import app as command_line
from scaling.errors import UsageError
from scaling.refusals import PAGE, SECTIONS, why

TEXT = (Path(__file__).parents[1] / "docs" / "refused.md").read_text()
BLOCKS = re.findall(r"```(csv|sh|text)\n(.*?)```", TEXT, re.S)
ANCHORS = [heading.lower().replace(" ", "-") for heading in re.findall(r"^#{2,3} (.*)$", TEXT, re.M)]


@pytest.fixture
def typed(monkeypatch, capsys):
    """A command as a shell runs it: its exit code and what it prints as messages."""

    def run(line):
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        return ended.value.code, capsys.readouterr().err

    return run


def test_messages_are_those_of_the_commands_and_cures_work(typed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused, cured = [], 0
    for place, (kind, body) in enumerate(BLOCKS):
        if kind == "csv":
            (tmp_path / "runs.csv").write_text(body)
        if kind != "sh":
            continue
        follows, shown = BLOCKS[place + 1] if place + 1 < len(BLOCKS) else ("", "")
        for line in body.splitlines():
            code, printed = typed(line)
            if follows == "text":
                assert (code in (1, 2), printed) == (True, shown), line
                refused.append(printed.rpartition("#")[2].strip())
            else:
                assert (code, "error" in printed) == (0, False), f"{line}\n{printed}"
                cured += 1
    assert set(refused) == set(SECTIONS)  # each section shows a refusal that links to it
    assert cured >= len(SECTIONS) - 1


def test_every_section_that_is_linked_is_on_the_page():
    assert set(SECTIONS) <= set(ANCHORS)
    assert len(set(ANCHORS)) == len(ANCHORS)


def test_only_refusals_of_the_analysis_are_linked():
    with pytest.raises(UsageError) as caught:
        raise UsageError("which runs?")
    assert why(caught.value) == ""
    assert why(UsageError("never raised")) == ""
    with pytest.raises(UsageError) as caught:
        analysis.laws.law_named("powr")
    assert why(caught.value) == f"{PAGE}#columns-and-names"


def test_the_api_links_too():
    app = FastAPI()
    problems.install(app)

    @app.get("/law/{name}")
    def law(name: str) -> str:
        return analysis.laws.law_named(name).name

    answer = TestClient(app).get("/law/powr", headers={"accept": "application/json"})
    assert answer.json()["why"] == f"{PAGE}#columns-and-names"
