"""The pages on questions about a table of runs: their commands run, the output they show is printed, their tables are what the code says."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis.diagnostics import DiagnosticCode
from analysis.laws import law_named, law_names
from analysis.reading.formats import READERS
from analysis.reading.units import UNITS
from docs.refresh import QUESTIONS
from scaling.cli.app import app
from scaling.outcomes import FitStatus, OptimumStatus

ROOT = Path(__file__).parents[1]
TEXT = "".join((ROOT / "docs" / f"{name}.md").read_text() for name in QUESTIONS)
STEPS = re.findall(r"```sh\n(.*?)```(?:\s*```text\n(.*?)```)?", TEXT, re.S)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What each block of commands prints, run in the order of the pages in a folder of its own."""
    place = tmp_path_factory.mktemp("howto")
    (place / "docs").mkdir()
    for name in ("example_study.csv", "example_finetuned.csv"):
        shutil.copy(ROOT / "docs" / name, place / "docs")
    outputs = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for commands, _ in STEPS:
            text = ""
            for line in commands.splitlines():
                program, *words = shlex.split(line)
                assert program == "scaling"
                result = CliRunner().invoke(app, words)
                assert result.exception is None, f"{line}\n{result.output}\n{result.exception!r}"
                text += result.stdout
            outputs.append(text)
    assert (place / "report.html").stat().st_size > 1_000_000
    return outputs


def test_the_output_shown_is_what_is_printed(printed):
    shown = 0
    for (commands, lines), text in zip(STEPS, printed, strict=True):
        known = {" ".join(line.split()) for line in text.splitlines()}
        for line in filter(None, (" ".join(line.split()) for line in lines.splitlines())):
            if line != "…":
                assert line in known, f"`python docs/refresh.py` renews the page: {commands}does not print\n{line}\nbut\n{text}"
                shown += 1
    assert shown > 20


def test_every_law_is_listed_as_the_code_has_it():
    rows = [
        f"| `{law.name}` | `{law.formula}` | {', '.join(law.coefficients)} | {law.citation} |"
        for law in map(law_named, law_names())
    ]
    assert [line for line in TEXT.splitlines() if line.startswith("| `") and line.split("`")[1] in law_names()] == rows


def test_every_diagnostic_is_listed_with_its_advice():
    for code in DiagnosticCode:
        assert f"| `{code.value}` | {code.advice} |" in TEXT


@pytest.mark.parametrize("statuses", [FitStatus, OptimumStatus])
def test_every_status_is_listed_with_its_advice(statuses):
    text = (ROOT / "docs" / "columns.md").read_text()
    for status in statuses:
        assert f"| `{status}` | {status.advice} |" in text


def test_every_unit_and_format_is_named():
    words = set(re.findall(r"[\w%-]+", TEXT))
    for unit in UNITS.values():
        assert unit.name in words or unit.dimension == "compute", unit
    for ending in READERS:
        assert f"`{ending}`" in TEXT or ending == ".ndjson"


def test_the_python_on_the_page_runs(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    exec(compile(block, "docs/analysis.md", "exec"), {})
    assert "convnet is better than mixer" in capsys.readouterr().out


def test_the_finetuned_runs_are_what_their_script_makes():
    made = subprocess.run([sys.executable, ROOT / "benchmarks" / "transfer_shift.py", "example"], check=True, capture_output=True)
    assert made.stdout.decode() == (ROOT / "docs" / "example_finetuned.csv").read_text()


def test_the_study_is_what_its_script_makes(tmp_path):
    made = tmp_path / "study.csv"
    subprocess.run([sys.executable, ROOT / "docs" / "example_study.py", made], check=True)
    assert made.read_text() == (ROOT / "docs" / "example_study.csv").read_text()
