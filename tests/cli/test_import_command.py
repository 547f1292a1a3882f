"""`scaling import` and `export --bundle`: what they show, ask and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scaling.cli.app import app
from scaling.errors import DataError, DataNotFound, ScalingError, UsageError

STUDY = "min.csv"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCALING_DB", "scaling.db")
    lines = [f"{10.0**power:g},{5 - power / 5:g},note {power}" for power in range(18, 24)]
    Path(STUDY).write_text("\n".join(["total_flops,eval_loss,remark", *lines]) + "\n")


def ran(*words, answered=None):
    result = CliRunner().invoke(app, [str(word) for word in words], input=answered)
    if isinstance(result.exception, ScalingError):
        raise result.exception
    return result


def test_it_shows_what_it_took_and_without_a_terminal_says_what_to_do():
    with pytest.raises(UsageError, match="nothing was imported") as refused:
        ran("import", STUDY)
    assert refused.value.exit_code == 2
    command = refused.value.hint.partition("then: ")[2]
    assert command == "scaling import min.csv --experiment min --map train_flops=total_flops --map val_loss=eval_loss --yes"
    assert not Path("scaling.db").exists()
    told = ran(*command.split()[1:])
    assert told.exit_code == 0
    assert "train_flops  total_flops" in told.stderr
    assert "under their own names: remark" in told.stderr
    assert "6 runs imported: experiment min" in told.stderr
    assert "`scaling fit -e min --x train_flops`" in told.stderr
    assert told.stdout == ""
    again = ran("import", STUDY)  # nothing to confirm
    assert "nothing is new: 6 runs of min.csv were imported before" in again.stderr


@pytest.mark.parametrize(("answered", "code"), [("y\n", 0), ("n\n", 1)])
def test_at_a_terminal_it_asks(monkeypatch, answered, code):
    from scaling.cli import imports

    class Terminal:
        stdin = type("stdin", (), {"isatty": staticmethod(lambda: True)})

    monkeypatch.setattr(imports, "sys", Terminal)
    told = ran("import", STUDY, answered=answered)
    assert "Import them so?" in told.stderr
    assert told.exit_code == code
    assert Path("scaling.db").exists() == (code == 0)


def test_what_changed_is_said_in_words_and_as_json():
    Path("named.csv").write_text("run_id,gpu_hours,loss\na,1,3\nb,2,2.5\n")
    assert ran("import", "named.csv", "--yes").exit_code == 0
    Path("named.csv").write_text("run_id,gpu_hours,loss\na,1,2.75\nc,4,2\n")
    told = ran("import", "named.csv", "--yes").stderr
    assert "1 run differs from what was imported before" in told
    assert "a: val_loss 3 → 2.75" in told
    assert "1 run imported before is not in the file: b" in told
    assert "1 run imported: experiment named" in told
    found = json.loads(ran("import", "named.csv", "--update", "--yes", "--json").stdout)
    assert (found["imported"], found["same"], found["mapping"]["id"]) == (0, 1, "run_id")
    assert [entry["values"] for entry in found["changed"]] == [{"val_loss": [3.0, 2.75]}]
    assert [entry["name"] for entry in found["gone"]] == ["b"]
    rows = json.loads(ran("runs", "--json").stdout)["runs"]
    assert {row["imported_id"]: row["val_loss"] for row in rows} == {"a": 2.75, "c": 2.0}


def test_commands_about_training_say_that_it_was_elsewhere():
    ran("import", STUDY, "--yes")
    row = json.loads(ran("runs", "--json").stdout)["runs"][0]
    shown = ran("runs", row["id"]).stdout
    assert "imported_from  min.csv" in shown
    assert "remark  note 18" in shown
    assert "attempt" not in shown
    assert "–" in ran("runs").stdout  # no epochs
    for command in ("audit", "logs", "retry", "pause", "cancel"):
        with pytest.raises(UsageError, match=r"was imported from min\.csv: "):
            ran(command, row["id"])
    assert ran("gc").exit_code == 0
    assert ran("status").exit_code == 0


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (["none.csv"], DataNotFound, "no table of runs at none.csv"),
        (["empty.csv"], DataError, "the file is empty"),
        (["words.csv"], DataError, "words.csv: no column looks like a loss"),
        (["min.csv", "--map", "val_loss"], UsageError, "is not of the form"),
        (["min.csv", "--map", "val_loss=none"], UsageError, "no column 'none'"),
        (["min.csv", "--unit", "train_flops=parsecs"], ScalingError, "parsecs"),
        (["min.csv", "--count-status", "failed"], UsageError, "no column status"),
        (["min.xlsx"], UsageError, "do not know how to read .xlsx"),
        (["."], DataNotFound, "no runs in folder"),
        (["min.csv", "--db", "none/scaling.db"], ScalingError, "there is no folder"),
        (["min.csv", "--db", "min.csv"], ScalingError, "cannot be opened"),
    ],
)
def test_faults_are_one_line_with_a_hint(words, error, said):
    Path("empty.csv").touch()
    Path("words.csv").write_text("a,b\nx,y\n")
    Path("min.xlsx").touch()
    with pytest.raises(error) as refused:
        ran("import", *words, "--yes")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.hint
    assert refused.value.exit_code == (2 if isinstance(refused.value, UsageError) else 1)


def test_export_takes_a_file_or_a_bundle():
    for words in ([], ["runs.csv", "--bundle", "out.zip"]):
        with pytest.raises(UsageError, match="what to write"):
            ran("export", *words)
    ran("import", STUDY, "--yes")
    told = ran("export", "--bundle", "out.zip", "--x", "train_flops").stderr
    assert "6 runs, 1 file that asked for them in out.zip" in told
    sentence = next(line for line in told.splitlines() if line.startswith("val_loss falls"))
    assert ran("frontier", "--data", "out.zip", "--x", "train_flops").stdout.startswith(sentence)
    told = ran(
        "export",
        "--bundle",
        "table.zip",
        "--data",
        STUDY,
        "--map",
        "train_flops=total_flops",
        "--map",
        "val_loss=eval_loss",
        "--x",
        "train_flops",
    )
    assert sentence in told.stderr
