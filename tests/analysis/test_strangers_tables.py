"""Tables as strangers' programs write them: what was silently wrong with their words, numbers, charts and names, and what is read now."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import pandas as pd
import pytest

import analysis
from scaling.errors import DataError, UnknownName, UsageError
from tests.analysis.tables import HOURS, LOSSES, exponent, fitted, reasons, run, write

# Words


def recipes():
    """Two recipes, called None and mixup; mixup needs 3 % less."""
    rows = [
        {"augment": name, "core_hours": hours, "val_loss": loss * (0.97 if name == "mixup" else 1.0), "clip": clip}
        for name, clip in (("None", None), ("mixup", 1.0))
        for hours, loss in zip(HOURS, LOSSES, strict=True)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("word", ["None", "NA", "null", "nan", "n/a", "-"])
@pytest.mark.parametrize("name", ["runs.csv", "runs.tsv", "runs.json", "runs.jsonl", "runs.parquet"])
def test_a_word_of_a_text_column_is_a_category(tmp_path, word, name):
    table, path = recipes().replace({"augment": {"None": word}}), tmp_path / name
    if name.endswith("parquet"):
        table.to_parquet(path)
    elif "json" in name:
        table.to_json(path, orient="records", lines=name.endswith("l"))
    else:
        table.to_csv(path, index=False, sep="\t" if name.endswith("tsv") else ",")
    body = json.loads(run("compare", "--by", "augment", "--data", path, "--a", "mixup", "--b", word, "--json"))
    assert body["ratio"]["value"] == pytest.approx(0.97)
    assert list(analysis.read_runs(path)["clip"].isna()) == [True] * 10 + [False] * 10


@pytest.mark.parametrize("word", ["", "None", "NA", "null", "NaN", "n/a", "#N/A", "<NA>"])
def test_a_word_in_a_column_of_numbers_is_no_number(tmp_path, word):
    rows = [f"{hours!r},{loss!r},{loss!r}\n" for hours, loss in zip(HOURS.tolist(), LOSSES.tolist(), strict=True)]
    rows[3] = f"{HOURS[3]},{word},{word}\n"
    path = write(tmp_path, f"core_hours,val_loss,other\n{''.join(rows)}")
    for metric in ("val_loss", "other"):
        fit, _ = fitted(path, "--metric", metric)
        assert exponent(fit) == pytest.approx(0.2)
        assert reasons(fit) == {"row 4": f"no {metric}"}


def test_words_for_nothing_say_nothing_about_a_run(tmp_path):
    """In columns of ours that tell about a run, not its recipe."""
    words = pd.DataFrame({"status": ["None"], "excluded": ["NA"], "accelerator": ["n/a"], "core_hours": [1.0], "val_loss": [1.0]})
    words.to_csv(tmp_path / "runs.csv", index=False)
    (row,) = analysis.read_runs(tmp_path / "runs.csv").to_dict("records")
    assert row["status"] == "finished"
    assert pd.isna(row["excluded"])
    assert pd.isna(row["accelerator"])


def test_settings_of_wandb_and_mlflow_that_are_none(tmp_path):
    config = [{"augment": None, "clip": None}, {"augment": "mixup", "clip": 1.0}]
    dump = [
        {"id": str(place), "state": "finished", "config": entry, "summary": {"loss": 1.0}} for place, entry in enumerate(config)
    ]
    api = pd.DataFrame({"name": ["a", "b"], "config": [str(entry) for entry in config], "summary": ["{'loss': 1.0}"] * 2})
    api.to_csv(tmp_path / "api.csv", index=False)
    for path, kind in ((write(tmp_path, json.dumps(dump), "api.json"), "config."), (tmp_path / "api.csv", "")):
        runs = analysis.read_runs(path)
        assert list(runs[f"{kind}augment"]) == ["None", "mixup"]
        assert list(runs[f"{kind}clip"].isna()) == [True, False]
    searched = pd.DataFrame(
        {"run_id": ["a", "b"], "metrics.loss": [1.0, 2.0], "params.augment": ["None", "mixup"], "params.lr": ["None", "0.1"]}
    )
    searched.to_csv(tmp_path / "search_runs.csv", index=False)
    runs = analysis.read_runs(tmp_path / "search_runs.csv")
    assert list(runs["augment"]) == ["None", "mixup"]
    assert runs["lr"].iloc[1] == 0.1
    assert np.isnan(runs["lr"].iloc[0])


def test_a_run_without_the_column_that_is_compared_is_counted(simulate):
    runs = simulate(lambda x: x**-0.2, noise=0.01, cells=8, seeds=2)
    runs["recipe"] = np.where(runs["seed"] == 0, "a", "b")
    runs.loc[0, "recipe"] = None
    found = analysis.compare(runs, by="recipe")
    assert [entry.id for entry in found.excluded if entry.reason == "no recipe"] == [runs["id"].iloc[0]]


# Infinite and NaN


def mlflow_database(path, losses):
    """The tables of MLflow 3.17 that matter; it keeps infinity as the largest number, and NaN as 0 with a flag."""
    with sqlite3.connect(path) as base:
        base.executescript(
            """CREATE TABLE runs (run_uuid, name, status, lifecycle_stage);
            CREATE TABLE latest_metrics (key, value, timestamp, step, is_nan, run_uuid);
            CREATE TABLE params (key, value, run_uuid); CREATE TABLE tags (key, value, run_uuid);"""
        )
        for place, (hours, loss) in enumerate(zip(HOURS.tolist(), losses, strict=True)):
            base.execute("INSERT INTO runs VALUES (?, '', 'FINISHED', ?)", (f"u{place}", "deleted" if place == 9 else "active"))
            stored = 0.0 if loss != loss else float(np.clip(loss, -1.7976931348623157e308, 1.7976931348623157e308))
            base.execute("INSERT INTO latest_metrics VALUES ('val_loss', ?, 0, 1, ?, ?)", (stored, int(loss != loss), f"u{place}"))
            base.execute("INSERT INTO latest_metrics VALUES ('core_hours', ?, 0, 1, 0, ?)", (hours, f"u{place}"))
    return path


def test_an_infinite_loss_of_mlflow_leaves_out_its_run(tmp_path):
    losses = LOSSES.copy()
    losses[4], losses[6] = np.inf, np.nan
    fit, notes = fitted(mlflow_database(tmp_path / "mlflow.db", losses))
    assert exponent(fit) == pytest.approx(0.2)
    assert reasons(fit) == {"u4": "val_loss is infinite", "u6": "diverged"}
    assert notes == ["1 run deleted in MLflow was left out"]


@pytest.mark.parametrize("value", [1.7976931348623157e308, np.inf, 1e60, 1e-60])
def test_a_loss_of_no_ordinary_size_leaves_out_its_run(value):
    runs = pd.DataFrame({"core_hours": HOURS, "val_loss": LOSSES})
    runs.loc[2, "val_loss"] = value
    found = analysis.fit(runs, law="power")
    assert found.params["a"] == pytest.approx(0.2)
    assert [entry.id for entry in found.excluded] == ["row 3"]
    with pytest.raises(DataError, match="laws are fitted to numbers between"):
        analysis.fit(runs.assign(val_loss=LOSSES * 1e60), law="power")


# Charts and curves of one run


@pytest.mark.parametrize(
    "header",
    [
        "Step,a - val/loss,b - val/loss",
        "Step,fluffy-sun-3 - val/loss",
        "Relative Time (Process),a - loss,b - loss",
        "Step,fluffy-sun-3,cherry-pie-4,icy-pond-5",
        "Step,a - loss,a - loss__MIN,a - loss__MAX",
        "step,run_a,run_b",
    ],
)
def test_charts_are_refused(tmp_path, header):
    columns = header.count(",")
    rows = "".join(f"{step},{','.join(str(3 - step / 100) for _ in range(columns))}\n" for step in range(0, 100, 10))
    with pytest.raises(DataError, match="the export of a chart, a row a step and a column a run") as caught:
        analysis.read_runs(write(tmp_path, f"{header}\n{rows}"))
    assert "runs table" in caught.value.hint


def curves(header, factor=1.0):
    """A table of steps: one column of progress, and losses that fall beside it."""
    columns = header.count(",")
    return f"{header}\n" + "".join(
        f"{step},{','.join(str((3 - step / 100) * factor**place) for place in range(columns))}\n" for step in range(10, 100, 10)
    )


@pytest.mark.parametrize(
    "header",
    [
        "step,resnet50_lr0.1_bs64,resnet50_lr0.01_bs64",
        "Step,size_small,size_large",
        "Step,lr=0.1,lr=0.01,baseline",
        "Step,seed_0,seed_1",
        "tokens,sun,moon",
        "epoch,sun,moon",
        "train/tokens_seen,sun,moon",
    ],
)
def test_likely_charts_are_named_where_a_loss_is_missed(tmp_path, header):
    runs = analysis.read_runs(write(tmp_path, curves(header)))
    with pytest.raises(
        DataError, match="the export of a chart, a row a step and a column a run: it does not say what a run cost"
    ) as caught:
        analysis.fit(runs)
    assert "runs table" in caught.value.hint
    first, second, *_ = header.split(",")
    assert analysis.fit(runs, law="power", x=first, metric=second).runs_used == 9  # whoever asks for its columns has them


@pytest.mark.parametrize("header", ["core_hours,small - val_loss,large - val_loss", "core_hours,sun,moon", "gpu_hours,sun,moon"])
def test_a_chart_over_a_cost_is_not_said_to_lack_it(tmp_path, header):
    cost = header.split(",")[0]
    with pytest.raises(DataError, match=f"the export of a chart, .*: its {cost} is that of a step, not of a run") as caught:
        analysis.fit(analysis.read_runs(write(tmp_path, curves(header)), {} if cost == "core_hours" else None))
    assert f"the last {cost} and value of each column as a row" in caught.value.hint


@pytest.mark.parametrize(
    "header",
    [
        "step,lr_min,lr_max",
        "step,lr,batch_size",
        "step,train/loss,eval/loss",
        "tokens,width,depth",
        "core_hours,loss,other",
        "epochs,accuracy,recall",
        "name,sun,moon",
    ],
)
def test_other_tables_without_a_loss_are_not_called_charts(tmp_path, header):
    with pytest.raises(UnknownName, match="unknown column 'val_loss'"):
        analysis.fit(analysis.read_runs(write(tmp_path, curves(header))))


def test_columns_of_two_sizes_are_no_chart(tmp_path):
    with pytest.raises(UnknownName, match="unknown column 'val_loss'"):
        analysis.fit(analysis.read_runs(write(tmp_path, curves("tokens,sun,moon", factor=30.0))))


@pytest.mark.parametrize("header", ["step,train_loss,val_loss", "Step,N,D", "step,width,val_top1", "Step,loss"])
def test_other_tables_with_a_step_are_read(tmp_path, header):
    rows = "".join(f"{step}{',0.5' * header.count(',')}\n" for step in range(0, 100, 10))
    assert len(analysis.read_runs(write(tmp_path, f"{header}\n{rows}"))) == 10


def test_a_column_of_a_chart_may_be_asked_for(tmp_path):
    path = write(tmp_path, "Step,sun,moon\n1,3.0,2.0\n2,2.5,1.5\n")
    assert list(analysis.read_runs(path, {"val_loss": "moon"})["val_loss"]) == [2.0, 1.5]


def test_the_log_of_one_run_is_said_to_be_one(tmp_path):
    board = write(tmp_path, "Wall time,Step,Value\n1.7e9,1,3.0\n1.7e9,2,2.5\n")
    assert "the steps of one run" in analysis.source_of(analysis.read_runs(board))["notes"][0]
    state = {"best_metric": None, "log_history": [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.5}]}
    trainer = analysis.read_runs(write(tmp_path, json.dumps(state), "trainer_state.json"))
    assert "the steps of one run" in analysis.source_of(trainer)["notes"][0]


# Names


def test_options_know_a_column_by_either_name(tmp_path):
    table = recipes().rename(columns={"core_hours": "secs", "val_loss": "eval/loss", "augment": "Recipe"})
    table["trust"] = 1.0
    table["seed"] = [0, 1] * 10
    table.to_csv(tmp_path / "runs.csv", index=False)
    names = ["--map", "core_hours=secs", "--map", "val_loss=eval/loss", "--map", "family=Recipe", "--map", "weight=trust"]
    path = [tmp_path / "runs.csv", *names]
    ours = ["--where", "family=None", "--x", "core_hours", "--metric", "val_loss", "--weights", "weight"]
    theirs = ["--where", "Recipe=None", "--x", "secs", "--metric", "eval/loss", "--weights", "trust"]
    assert fitted(*path, *ours)[0] == fitted(*path, *theirs)[0]
    assert exponent(fitted(*path, *theirs)[0]) == pytest.approx(0.2)
    by = [
        json.loads(run("compare", "--data", *path, "--by", name, "--x", x, "--json"))
        for name, x in (("family", "core_hours"), ("Recipe", "secs"))
    ]
    assert by[0]["ratio"] == by[1]["ratio"]


def test_a_share_and_names_of_exports_are_known(tmp_path):
    table = pd.DataFrame({"Name": [f"r{place}" for place in range(10)], "State": "finished", "hours": HOURS, "acc": 1 - LOSSES / 3})
    table.to_csv(tmp_path / "runs.csv", index=False)
    path = [tmp_path / "runs.csv", "--map", "core_hours=hours", "--map", "val_top1=acc", "--map", "model=Name"]
    for metric in ("val_top1_error", "acc_error"):
        assert exponent(fitted(*path, "--metric", metric, "--where", "State=finished")[0]) == pytest.approx(0.2)
    assert fitted(*path, "--metric", "acc_error", "--where", "Name=r1,r2,r3,r4,r5")[0]["runs_used"] == 5


def test_values_of_a_converted_column_are_chosen_by_our_name(tmp_path):
    path = write(tmp_path, "secs,val_loss\n3600,2\n7200,1\n")
    table = [path, "--map", "core_hours=secs", "--unit", "core_hours=seconds"]
    with pytest.raises(UsageError, match="the numbers of secs were converted") as caught:
        fitted(*table, "--where", "secs=3600")
    assert caught.value.hint == "give the value of core_hours: --where core_hours=VALUE"


def test_truth_values_are_chosen_as_they_are_written(tmp_path):
    from analysis.reading.choice import choose_runs

    runs = analysis.read_runs(write(tmp_path, "ema,val_loss\nTrue,1\nFalse,2\n"))
    assert list(choose_runs(runs, ["ema=True"])["val_loss"]) == [1]


@pytest.mark.parametrize(("condition", "ids"), [("State=crashed", ["b"]), ("status=failed", ["b", "c"]), ("State=Finished", ["a"])])
def test_runs_are_chosen_by_either_word_for_their_end(tmp_path, condition, ids):
    from analysis.reading.choice import choose_runs

    path = write(tmp_path, "Name,State,val_loss\na,finished,1\nb,crashed,2\nc,failed,3\n")
    assert list(choose_runs(analysis.read_runs(path), [condition])["id"]) == ids
