"""W&B histories, many rows a run: which value is the run's, and which run has diverged."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.selection import usable_runs
from scaling.errors import DataError

RUNS = [f"r{number}" for number in range(6)]


def history(every=100, end=400, last=True):
    """Six runs, a row each ten steps; train_loss in all of them, val_loss in some, and at the end unless `last` is False."""
    rows = []
    for number, run in enumerate(RUNS):
        for step in range(0, end + 1, 10):
            loss = 2.0 - step / 500 - number / 10
            logged = step % every == 0 and (last or step < end)
            hours = (step + 10) * 2.0**number
            rows.append(
                {"run_id": run, "_step": step, "core_hours": hours, "train_loss": loss, "val_loss": loss if logged else None}
            )
    return rows


def ended_as(value, rows, run="r5", since=200):
    """From that step on the losses of the run are `value`, where they were logged."""
    return [
        {
            name: value if name.endswith("loss") and cell is not None and row["run_id"] == run and row["_step"] > since else cell
            for name, cell in row.items()
        }
        for row in rows
    ]


def written(rows, path, nothing=None):
    """As that kind of file. nothing: what stands where nothing was logged; None leaves it out."""
    if path.suffix == ".csv":
        names = list(rows[0])
        cell = {None: "" if nothing is None else nothing}
        text = "\n".join(",".join(str(cell.get(row[name], row[name])) for name in names) for row in rows)
        path.write_text(",".join(names) + "\n" + text.replace("nan", "NaN") + "\n")
    else:
        kept = [{name: value for name, value in row.items() if value is not None or nothing is not None} for row in rows]
        kept = [{name: float("nan") if value is None else value for name, value in row.items()} for row in kept]
        content = json.dumps(kept)
        if path.suffix == ".jsonl":  # as W&B writes them there
            content = "\n".join(json.dumps(row).replace("NaN", '"NaN"').replace("Infinity", '"Infinity"') for row in kept)
        path.write_text(content)
    return analysis.read_runs(path)


def left_out(runs, metric="val_loss"):
    usable = usable_runs(runs, metric=metric, x="core_hours")
    assert len(usable.runs) + len(usable.excluded) == len(RUNS)
    return {entry.id: entry.reason for entry in usable.excluded}


@pytest.mark.parametrize("name", ["h.csv", "h.json", "h.jsonl"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("every", [10, 100])
def test_a_loss_that_ended_as_nan_or_infinite_has_diverged(tmp_path, name, value, every):
    runs = written(ended_as(value, history(every)), tmp_path / name)
    assert left_out(runs) == {"r5": "diverged"}
    assert [run for run, reason in zip(runs["id"], runs["reason"], strict=True) if reason] == ["r5"]
    assert left_out(written(history(every), tmp_path / name)) == {}


@pytest.mark.parametrize("name", ["h.csv", "h.json", "h.jsonl"])
def test_nan_where_nothing_was_logged_is_no_divergence(tmp_path, name):
    """As `to_csv(na_rep="NaN")` and `json.dumps(table.to_dict())` write a table in which some rows lack a metric."""
    runs = written(history(100), tmp_path / name, nothing="NaN")
    assert left_out(runs) == {}
    assert list(runs["val_loss"]) == pytest.approx([1.2 - number / 10 for number in range(6)])
    diverged = written(ended_as(float("nan"), history(100)), tmp_path / name, nothing="NaN")
    assert left_out(diverged) == {
        "r5": "no val_loss"
    }  # which of the two it is the file does not say, but its last loss is not its end
    (_, note) = analysis.source_of(diverged)["notes"]
    assert note.endswith("has no value: train_loss at step 200, val_loss at step 200 of r5 which ended at 400")


@pytest.mark.parametrize("since", [200, 300])
@pytest.mark.parametrize("name", ["h.csv", "h.parquet"])
def test_losses_that_end_before_the_run_are_not_its_last(tmp_path, since, name):
    """As pandas writes NaN: an empty field, or null in Parquet."""
    table = pd.DataFrame(ended_as(float("nan"), history(100), since=since))
    if name.endswith("csv"):
        table.to_csv(tmp_path / name, index=False)
    else:
        table.to_parquet(tmp_path / name)
    assert left_out(analysis.read_runs(tmp_path / name)) == {"r5": "no val_loss"}


@pytest.mark.parametrize(("every", "last"), [(10, True), (30, True), (70, True), (100, False), (400, True)])
def test_a_metric_logged_now_and_then_keeps_its_last_value(tmp_path, every, last):
    """Evaluations that do not fall on the last step, or one evaluation at the end."""
    rows = [row | ({"val_loss": None} if every == 400 and row["_step"] == 0 else {}) for row in history(every, last=last)]
    runs = written(rows, tmp_path / "h.csv")
    assert left_out(runs) == {}
    step = max(step for step in range(0, 401 if last else 400, 10) if step % every == 0)
    assert list(runs["val_loss"]) == pytest.approx([2 - step / 500 - number / 10 for number in range(6)])


def test_rows_of_a_test_at_the_end_end_no_metric(tmp_path):
    rows = history(10) + [
        {"run_id": run, "_step": step, "core_hours": None, "train_loss": None, "val_loss": None}
        for run in RUNS
        for step in range(401, 500)
    ]
    assert left_out(written(rows, tmp_path / "h.csv")) == {}


def test_a_setting_that_was_logged_once_holds(tmp_path):
    rows = [row | {"params": 1000 + RUNS.index(row["run_id"]) if row["_step"] in (0, 10) else None} for row in history(100)]
    runs = written(rows, tmp_path / "h.csv")
    assert list(runs["params"]) == [1000, 1001, 1002, 1003, 1004, 1005]


def test_nan_in_parquet_that_is_not_null_was_logged(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = ended_as(float("nan"), history(100))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "h.parquet")
    assert left_out(analysis.read_runs(tmp_path / "h.parquet")) == {"r5": "diverged"}


def test_another_word_of_the_run_for_its_end_stands(tmp_path):
    rows = [row | {"state": "crashed" if row["run_id"] == "r5" else "finished"} for row in ended_as(float("nan"), history(100))]
    runs = written(rows, tmp_path / "h.csv")
    assert left_out(runs) == {"r5": "failed"}


def test_a_loss_by_its_mapping(tmp_path):
    rows = [
        {("quality" if name == "val_loss" else name): cell for name, cell in row.items() if name != "train_loss"}
        for row in ended_as(np.nan, history(10))
    ]
    rows = [row | {"quality": float("nan")} if row["run_id"] == "r5" and row["_step"] > 200 else row for row in rows]
    path = tmp_path / "h.csv"
    written(rows, path)
    assert left_out(analysis.read_runs(path, {"val_loss": "quality"})) == {"r5": "diverged"}


def test_rows_that_name_no_run_are_counted(tmp_path):
    rows = history(100) + [{"run_id": None, "_step": 5, "core_hours": 1.0, "train_loss": 1.0, "val_loss": 1.0}] * 3
    notes = analysis.source_of(written(rows, tmp_path / "h.csv"))["notes"]
    assert notes == [
        "3 rows of the history name no run in run_id and were left out",
        "a history: 246 rows of 6 runs, each of which counts with its last values",
    ]


def test_histories_inside_runs(tmp_path):
    """As one dumps them from the API: the rows under each run's name, or in each run beside its configuration."""
    rows = ended_as(float("nan"), history(100))
    by_run = {
        run: [{name: cell for name, cell in row.items() if name != "run_id"} for row in rows if row["run_id"] == run]
        for run in RUNS
    }
    in_runs = [{"id": run, "state": "finished", "config": {"lr": 0.1}, "history": found} for run, found in by_run.items()]
    for content in (by_run, in_runs):
        (tmp_path / "dump.json").write_text(json.dumps(content))
        runs = analysis.read_runs(tmp_path / "dump.json")
        assert left_out(runs) == {"r5": "diverged"}
        assert list(runs["val_loss"])[:5] == pytest.approx([1.2 - number / 10 for number in range(5)])
    assert set(runs["config.lr"]) == {0.1}


def test_two_runs_of_one_name_are_refused(tmp_path):
    rows = [{("name" if name == "run_id" else name): cell for name, cell in row.items()} for row in history(100)]
    again = [row | {"val_loss": 0.5} for row in rows if row["name"] == "r1" and row["val_loss"] is not None]
    with pytest.raises(DataError, match="r1 has two values of val_loss at step 0: two runs of one name"):
        written(rows + again, tmp_path / "h.csv")


def test_the_log_of_a_wandb_run_whose_loss_ended_as_nan(tmp_path):
    """Its last evaluation came before."""
    text = "Name,State,core_hours,train/loss,val_loss\na,finished,1,0.9,2\nb,finished,2,NaN,1.9\nc,finished,3,,1.8\nd,crashed,4,NaN,1.7\n"
    (tmp_path / "runs.csv").write_text(text)
    runs = analysis.read_runs(tmp_path / "runs.csv")
    assert list(runs["status"]) == ["finished", "diverged", "finished", "failed"]
    assert runs["reason"].iloc[1] == "train/loss ended as nan"


@pytest.mark.parametrize("header", ["Name,State", "name,state"])
def test_runs_of_one_name_in_a_table_of_runs_stay_apart(tmp_path, header):
    """The last `_step` is a column of W&B's summary, and its names of runs may repeat."""
    rows = "".join(
        f"seed-{seed},finished,{99 * budget},{10 * budget},{2 - budget / 10 + seed / 100}\n"
        for budget in range(1, 6)
        for seed in range(2)
    )
    (tmp_path / "runs.csv").write_text(f"{header},_step,core_hours,val_loss\n{rows}")
    assert len(analysis.read_runs(tmp_path / "runs.csv")) == 10
