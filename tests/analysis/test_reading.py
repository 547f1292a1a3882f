"""Tables and folders as other tools write them: names, statuses, units, and what is refused by file, row and column.

`tests/reference/exports` holds what W&B 0.31 (offline runs) and MLflow 3.17 (file store, `search_runs`) wrote for a small study.
"""

from __future__ import annotations

import json
import sqlite3
from functools import partial

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.reading.accelerator_hours import check_conversions
from analysis.reading.units import UNITS, check_units, conversion
from scaling.accelerators import CONVERSIONS
from scaling.errors import DataError, DataNotFound, UnknownName, UsageError
from tests.conftest import REFERENCE

fit_power = partial(analysis.fit, law="power")

EXPORTS = REFERENCE / "exports"
ROWS = [{"model": "F0", "core_hours": 1.5, "val_loss": 2.0}, {"model": "F1", "core_hours": 3.0, "val_loss": 1.5}]


def write(tmp_path, text, name="runs.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "name", ["runs.csv", "runs.csv.gz", "runs.tsv", "runs.json", "runs.jsonl", "runs.jsonl.gz", "runs.parquet"]
)
def test_every_format_holds_the_same_table(tmp_path, name):
    table, path = pd.DataFrame(ROWS), tmp_path / name
    if "csv" in name or "tsv" in name:
        table.to_csv(path, index=False, sep="\t" if "tsv" in name else ",")
    elif "parquet" in name:
        table.to_parquet(path)
    else:
        table.to_json(path, orient="records", lines="jsonl" in name)
    runs = analysis.read_runs(path)
    pd.testing.assert_frame_equal(runs[list(table)], table, check_dtype=False)
    assert list(runs["id"]) == ["row 1", "row 2"]
    assert analysis.source_of(runs)["rows"] == 2


@pytest.mark.parametrize(
    "content",
    [
        {"schema_version": 1, "runs": ROWS},
        {"model": ["F0", "F1"], "core_hours": [1.5, 3], "val_loss": [2, 1.5]},
        {"model": {"0": "F0", "1": "F1"}, "core_hours": {"0": 1.5, "1": 3}, "val_loss": {"0": 2, "1": 1.5}},
        {"columns": ["model", "core_hours"], "data": [["F0", 1.5], ["F1", 3]]},
        {"a": ROWS[0], "b": ROWS[1]},
        {"a": {"size": "F0", "core_hours": 1.5}, "b": {"size": "F1", "core_hours": 3}},
    ],
)
def test_json_of_this_and_of_other_programs(tmp_path, content):
    runs = analysis.read_runs(write(tmp_path, json.dumps(content), "runs.json"))
    assert list(runs["core_hours"]) == [1.5, 3.0]


def test_nested_objects_are_columns_with_dots(tmp_path):
    line = json.dumps({"config": {"model": {"name": "F0"}}, "summary": {"loss": 2.0}})
    runs = analysis.read_runs(write(tmp_path, line, "runs.jsonl"), {"model": "config.model.name", "val_loss": "summary.loss"})
    assert (runs["model"].iloc[0], runs["val_loss"].iloc[0]) == ("F0", 2.0)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("r.jsonl", '{"a": 1}\n{"a": 1,}\n', r"r\.jsonl: line 2, column 9: no JSON"),
        ("r.jsonl", '{"a": 1}\n[1]\n', "line 2: not an object"),
        ("r.json", '{"a": 1}', "neither a list of runs"),
        ("r.csv", "val_loss,val_loss\n1,2\n", "two columns are called 'val_loss'"),
        ("r.csv", "core_hours,val_loss\n1,2,3,4\n1,2\n", "line 2 has 4 fields, the header 2"),
        ("r.csv", "core_hours,val_loss\n1,2\n3,4,5\n", "line 3 has 3 fields, the header 2"),
        ("r.parquet", "not parquet", "cannot be parsed"),
        ("r.csv", "Step,F0 - loss,F0 - loss__MIN,F0 - loss__MAX\n1,2,2,2\n", "the export of a chart"),
        ("r.csv", "_step,val_loss\n1,2\n2,1\n", "the history of one run"),
    ],
)
def test_what_cannot_be_read_says_where(tmp_path, name, text, words):
    with pytest.raises(DataError, match=words) as caught:
        analysis.read_runs(write(tmp_path, text, name))
    assert caught.value.hint


# MLflow and W&B


def by_model(runs):
    return runs.set_index("model").sort_index()


def expect_mlflow(runs):
    runs = by_model(runs)
    assert list(runs["status"]) == ["finished", "failed", "stopped"]
    assert list(runs["core_hours"]) == pytest.approx([1.0, 2.0, 3.0])
    np.testing.assert_allclose(runs["val_loss"].astype(float), [2 / 3, 5 / 3, 8 / 3])  # logged in the order of steps 0, 2, 1
    assert list(runs["epochs"]) == [4, 8, 12]
    assert list(runs["optim.lr"]) == [0.1] * 3
    assert set(runs["accelerator"]) == {"A100"}
    assert runs["id"].str.fullmatch("[0-9a-f]{32}").all()


MAPPING = {"core_hours": "gpu_seconds", "val_loss": "metrics.val/loss"}


@pytest.mark.parametrize("name", ["mlruns", "mlflow_search_runs.csv", "mlruns/723014614372529867"])
def test_mlflow_folder_and_table(name):
    expect_mlflow(analysis.read_runs(EXPORTS / name, MAPPING, {"core_hours": "seconds"}))


def test_mlflow_database(tmp_path):
    """The four tables that matter, with the columns of MLflow 3.17's `mlflow.db`."""
    with sqlite3.connect(tmp_path / "mlflow.db") as base:
        base.executescript(
            """CREATE TABLE runs (run_uuid, name, status, lifecycle_stage);
            CREATE TABLE latest_metrics (key, value, timestamp, step, is_nan, run_uuid);
            CREATE TABLE params (key, value, run_uuid); CREATE TABLE tags (key, value, run_uuid);"""
        )
        for number, status in enumerate(("FINISHED", "FAILED", "KILLED")):
            run = f"{number:032x}"
            base.execute("INSERT INTO runs VALUES (?, ?, ?, 'active')", (run, f"run {number}", status))
            for key, value in (("val/loss", 2 / 3 + number), ("gpu_seconds", 3600.0 * (number + 1))):
                base.execute("INSERT INTO latest_metrics VALUES (?, ?, 0, 2, 0, ?)", (key, value, run))
            for key, text in (("model", f"F{number}"), ("epochs", str(4 * (number + 1))), ("optim.lr", "0.1")):
                base.execute("INSERT INTO params VALUES (?, ?, ?)", (key, text, run))
            base.execute("INSERT INTO tags VALUES ('accelerator', 'A100', ?)", (run,))
        base.execute("INSERT INTO runs VALUES ('gone', 'deleted', 'FINISHED', 'deleted')")
    expect_mlflow(analysis.read_runs(tmp_path / "mlflow.db", MAPPING, {"core_hours": "seconds"}))


def expect_wandb(runs):
    assert list(runs["status"]) == ["finished", "failed"]
    assert list(runs["model"]) == ["F0", "F1"]
    assert list(runs["val_loss"].astype(float))[:1] == pytest.approx([1.02])
    assert np.isnan(runs["val_loss"].astype(float).iloc[1])  # the summary was set to NaN
    assert list(runs["core_hours"]) == [3.5, 7.0]
    assert list(runs["optim.lr"]) == [0.4, 0.4]
    assert list(runs["config.epochs"]) == [4, 4]  # also a metric, which keeps the name
    assert list(runs["epochs"]) == [99, 2]


def test_offline_runs_of_wandb():
    """The first log is longer than a block of its format."""
    runs = analysis.read_runs(EXPORTS / "wandb", {"val_loss": "val/loss", "core_hours": "gpu_hours"})
    expect_wandb(runs.sort_values("model").reset_index(drop=True))
    assert set(runs["id"]) == {"study000", "study001"}
    one = next((EXPORTS / "wandb").glob("*/run-study000.wandb"))
    assert analysis.read_runs(one)["val/loss"].iloc[0] == analysis.read_runs(one.parent)["val/loss"].iloc[0] == pytest.approx(1.02)


def test_a_log_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path):
    whole = next((EXPORTS / "wandb").glob("*/run-study000.wandb")).read_bytes()
    (tmp_path / "run-x.wandb").write_bytes(whole[:20_000])
    (run,) = analysis.read_runs(tmp_path / "run-x.wandb").to_dict("records")
    assert (run["status"], run["reason"], run["model"]) == ("failed", "crashed", "F0")
    assert 0 < run["_step"] < 99
    (tmp_path / "run-y.wandb").write_bytes(b"something else")
    with pytest.raises(DataError, match="not a log of Weights & Biases"):
        analysis.read_runs(tmp_path / "run-y.wandb")


def test_files_of_an_online_run(tmp_path):
    files = tmp_path / "wandb" / "run-20260301_093000-abc123" / "files"
    files.mkdir(parents=True)
    (files / "config.yaml").write_text(
        "_wandb:\n  value:\n    cli_version: 0.31.0\nmodel:\n  desc: null\n  value: F0\noptim:\n  value:\n    lr: 0.4\n"
    )
    (files / "wandb-summary.json").write_text('{"val/loss": 2.02, "_step": 99, "_wandb": {"runtime": 3598}}')
    for folder in (tmp_path / "wandb", files.parent):
        (run,) = analysis.read_runs(folder, {"val_loss": "val/loss"}).to_dict("records")
        assert (run["id"], run["model"], run["optim.lr"], run["val_loss"]) == ("abc123", "F0", 0.4, 2.02)


def test_the_runs_table_of_the_wandb_page():
    runs = analysis.read_runs(
        EXPORTS / "wandb_runs_table.csv", {"val_loss": "val/loss", "core_hours": "Runtime"}, {"core_hours": "seconds*n_gpus"}
    )
    assert list(runs["core_hours"]) == pytest.approx([8.0, 120 * 8 / 3600, 60 * 4 / 3600, 8.0])
    assert list(runs["status"]) == ["finished", "failed", "stopped", "finished"]
    assert list(runs["reason"]) == ["", "crashed", "killed", ""]
    assert list(runs["id"]) == ["F0 run", "F1 run", "F3 run", "F3 again"]
    assert analysis.source_of(runs)["notes"] == [
        "core_hours was read as seconds*n_gpus: 0.000277778 × n_gpus of what the file holds"
    ]
    excluded = analysis.frontier(runs).excluded
    assert {(entry.id, entry.reason) for entry in excluded} == {("F1 run", "failed"), ("F3 run", "stopped: killed")}


def test_the_table_of_the_wandb_api():
    runs = analysis.read_runs(EXPORTS / "wandb_api.csv", {"val_loss": "val/loss"})
    assert list(runs["model"]) == ["F0", "F1"]
    assert runs["val_loss"].iloc[0] == 2.02
    assert np.isnan(runs["val_loss"].iloc[1])
    assert not [name for name in runs if "_wandb" in name]


def test_a_history_of_several_runs_gives_the_last_of_each(tmp_path):
    table = pd.DataFrame(
        {"run_id": ["a", "b", "a", "b"], "_step": [1, 1, 2, 2], "val_loss": [3.0, 4.0, 2.0, np.nan], "model": "F0"}
    )
    table.to_parquet(tmp_path / "history.parquet")
    runs = analysis.read_runs(tmp_path / "history.parquet")
    assert runs.set_index("id")["val_loss"].to_dict() == {"a": 2.0, "b": 4.0}


def test_folders_that_hold_no_runs(tmp_path):
    with pytest.raises(DataNotFound, match="no runs in folder"):
        analysis.read_runs(tmp_path)
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "meta.yaml").write_text("name: empty\n")
    with pytest.raises(DataError, match="no run of MLflow"):
        analysis.read_runs(tmp_path)


# Units


@pytest.mark.parametrize(
    ("column", "text", "factor"),
    [
        ("core_hours", "seconds", 1 / 3600),
        ("core_hours", "seconds*8", 8 / 3600),
        ("core_hours", "gpu_seconds * 8", 8 / 3600),
        ("core_hours", "days", 24),
        ("core_hours", "0.5", 0.5),
        ("train_flops", "PFLOP", 1e15),
        ("train_flops", "EFLOPs", 1e18),
        ("train_flops", "PF-days", 8.64e19),
        ("val_loss", "bits", np.log(2)),
        ("params", "M", 1e6),
        ("params", "B", 1e9),
        ("error", "%", 0.01),
        ("examples_seen", "million*2", 2e6),
    ],
)
def test_what_a_unit_is_worth(column, text, factor):
    assert conversion(column, text, []).factor == pytest.approx(factor)


@pytest.mark.parametrize(
    ("column", "text", "kind", "words"),
    [
        ("core_hours", "second*gpu", UnknownName, "unit 'gpu'"),
        ("core_hours", "PFLOP", UsageError, "core_hours is hours, and PFLOP is no unit of that"),
        ("core_hours", "seconds*hours", UsageError, "two units"),
        ("core_hours", "seconds*-8", UsageError, "positive"),
        ("train_flops", "hours", UsageError, "is no unit of that"),
        ("core_hours", "parsecs", UnknownName, "unit 'parsecs'"),
    ],
)
def test_units_that_are_none(column, text, kind, words):
    with pytest.raises(kind, match=words) as caught:
        conversion(column, text, ["n_gpus"])
    assert caught.value.hint


def test_no_spelling_has_two_meanings():
    assert UNITS["M"].dimension == "count"
    assert UNITS["min"].dimension == "time"
    assert {UNITS[name].name for name in ("s", "sec", "seconds")} == {"seconds"}


@pytest.mark.parametrize("pairs", [["core_hours"], ["=seconds"], ["core_hours=seconds", "core_hours=hours"]])
def test_units_as_options(pairs):
    with pytest.raises(UsageError):
        check_units(pairs)
    assert check_units(["core_hours = seconds*8"]) == {"core_hours": "seconds*8"}


def test_units_may_be_given_for_their_name_or_ours(tmp_path):
    path = write(tmp_path, "secs,loss\n3600,2\n")
    for name in ("core_hours", "secs"):
        assert analysis.read_runs(path, {"core_hours": "secs"}, {name: "seconds"})["core_hours"].iloc[0] == 1.0


def test_cells_that_carry_their_unit(tmp_path):
    path = write(tmp_path, "core_hours,train_flops,val_loss\n90 min,2 PFLOP,1\n 30min,4PFLOP,2\n,,3\n")
    runs = analysis.read_runs(path)
    assert list(runs["core_hours"])[:2] == [1.5, 0.5]
    assert list(runs["train_flops"])[:2] == [2e15, 4e15]
    assert np.isnan(runs["core_hours"].iloc[2])
    assert list(analysis.read_runs(path, None, {"core_hours": "minutes*8"})["core_hours"])[:2] == [12, 4]
    assert list(analysis.read_runs(path, None, {"core_hours": "8"})["core_hours"])[:2] == [12, 4]


@pytest.mark.parametrize(
    ("cells", "unit", "words"),
    [
        ("1\n3 h", None, r"row 2, column core_hours: '3 h' is in hours, where row 1 is a number without a unit: '1'"),
        ("3 h\n90 min", None, r"row 2, column core_hours: '90 min' is in minutes, where row 1 is in hours: '3 h'"),
        ("3 h\n4 h", "seconds", r"row 1, column core_hours: '3 h' is in hours, where --unit says seconds"),
        ("3 h\n4 parsecs", None, r"row 2, column core_hours: '4 parsecs' is not a number"),
        ('"1,000"\n2', None, r"row 1, column core_hours: '1,000' is not a number"),
    ],
)
def test_mixed_units_are_refused_by_row(tmp_path, cells, unit, words):
    with pytest.raises(DataError, match=words):
        analysis.read_runs(write(tmp_path, f"core_hours\n{cells}\n"), None, {"core_hours": unit} if unit else None)


def test_percentages_in_a_share(tmp_path):
    path = write(tmp_path, "core_hours,val_top1\n1,0.5\n2,85.3\n")
    with pytest.raises(DataError, match=r"row 2, column val_top1: 85\.3 is not a share") as caught:
        analysis.read_runs(path)
    assert "--unit val_top1=%" in caught.value.hint
    assert list(analysis.read_runs(path, None, {"val_top1": "%"})["val_top1"]) == pytest.approx([0.005, 0.853])


def test_a_unit_for_a_column_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match='no column core_hour; did you mean "core_hours"'):
        analysis.read_runs(write(tmp_path, "core_hours\n1\n"), None, {"core_hour": "seconds"})


def test_a_fit_does_not_depend_on_the_unit_of_the_file(tmp_path, simulate):
    hours = simulate(lambda x: 1 + x**-0.3, noise=0.01)
    seconds = hours.assign(core_hours=hours["core_hours"] * 3600 / 8).rename(columns={"core_hours": "secs"})
    seconds.to_parquet(tmp_path / "runs.parquet")
    read = analysis.read_runs(tmp_path / "runs.parquet", {"core_hours": "secs"}, {"core_hours": "seconds*8"})
    assert fit_power(read).params == pytest.approx(fit_power(hours).params)


# Accelerators


def test_hours_of_two_accelerators_compare_when_a_factor_is_named(simulate):
    runs = simulate(lambda x: x**-0.2, cells=6).assign(accelerator="TPU-v4")
    old = runs["epochs"] % 2 == 0
    mixed = runs.assign(
        accelerator=runs["accelerator"].mask(old, "TPU-v3"), core_hours=runs["core_hours"].mask(old, 2.27 * runs["core_hours"])
    )
    with pytest.raises(UsageError, match="TPU-v3, TPU-v4"):
        fit_power(mixed)
    converted = analysis.convert_core_hours(mixed, check_conversions(["TPU-v3:TPU-v4=2.27"]))
    assert fit_power(converted).params == pytest.approx(fit_power(runs).params)
    assert list(converted["converted_from"]) == ["TPU-v3" if is_old else "" for is_old in old]
    (note,) = analysis.source_of(converted)["notes"]
    assert "6 runs on TPU-v3 count as those of TPU-v4, divided by 2.27" in note
    assert analysis.source_of(mixed)["notes"] == []


def test_published_factors_have_names_and_sources():
    assert [entry.factor for entry in check_conversions(["TPU-v3:TPU-v4=vit"])] == [1.77]
    assert all("arXiv" in entry.source for entry in CONVERSIONS)
    with pytest.raises(UsageError, match="names no factor") as caught:
        check_conversions(["TPU-v3:TPU-v4"])
    assert "=nfnet is 2.27" in caught.value.hint


@pytest.mark.parametrize(
    "texts", [["TPU-v3=2"], ["A100:H100=0"], ["A100:H100=fast"], ["A100:A100=2"], ["A100:H100=3", "A100:H200=3"]]
)
def test_conversions_that_are_none(texts):
    with pytest.raises(UsageError):
        check_conversions(texts)


def test_converting_what_is_not_there(simulate):
    runs = simulate(lambda x: x**-0.2)
    with pytest.raises(UsageError, match="column accelerator"):
        analysis.convert_core_hours(runs, check_conversions(["A100:H100=3"]))
    with pytest.raises(UsageError, match="no run was trained on A100") as caught:
        analysis.convert_core_hours(runs.assign(accelerator="H100"), check_conversions(["A100:H100=3"]))
    assert "H100" in caught.value.hint


def test_a_hundred_thousand_rows(tmp_path):
    """Size, not time: every row arrives, whichever way it is written."""
    table = pd.DataFrame({"core_hours": np.arange(1.0, 100_001), "val_loss": 2.0})
    table.to_parquet(tmp_path / "runs.parquet")
    table.assign(core_hours=table["core_hours"].astype(str) + " s").to_csv(tmp_path / "runs.csv", index=False)
    assert len(analysis.read_runs(tmp_path / "runs.parquet")) == 100_000
    assert analysis.read_runs(tmp_path / "runs.csv")["core_hours"].iloc[-1] == pytest.approx(100_000 / 3600)


def test_the_index_of_a_parquet_file_is_kept_where_it_says_something(tmp_path):
    table = pd.DataFrame(ROWS)
    for index, name, values in ((pd.Index(["a", "b"]), "id", ["a", "b"]), (pd.Index([5, 6], name="seed"), "seed", [5, 6])):
        table.set_axis(index).to_parquet(tmp_path / "runs.parquet")
        assert list(analysis.read_runs(tmp_path / "runs.parquet")[name]) == values
    table[::-1].to_parquet(tmp_path / "runs.parquet")
    assert set(analysis.read_runs(tmp_path / "runs.parquet")) == {*table, "id"}


def test_a_table_as_csv_is_followed_by_what_was_left_out(tmp_path, capfd):
    from typer.testing import CliRunner

    from scaling.cli.app import app

    (tmp_path / "runs.csv").write_text("core_hours,val_loss\n1,2\n2,1.7\n4,1.5\n8,1.3\n16,\n")
    printed = CliRunner().invoke(app, ["fit", "--data", str(tmp_path / "runs.csv"), "--law", "power", "--csv"])
    assert printed.stdout.splitlines()[0].startswith("law,on,coefficient")
    assert printed.stderr.strip() == "1 left out: 1 no val_loss"
