"""Tables as strangers' programs write them: what was silently wrong with each, and what is read now."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

import analysis
from scaling.cli.compare import compare_command
from scaling.cli.fit import fit_command
from scaling.errors import DataError, TooFewPoints, UnknownName, UsageError

HOURS = np.geomspace(1, 100, 10)
LOSSES = 1.5 * HOURS**-0.2  # the truth of every table here: exponent 0.2, unless a test says otherwise


@pytest.fixture
def run():
    app = typer.Typer()
    app.command("fit")(fit_command)
    app.command("compare")(compare_command)

    def invoke(*arguments):
        result = CliRunner().invoke(app, [str(word) for word in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.stdout

    return invoke


@pytest.fixture
def fitted(run):
    """The power law that the command finds in a file, and what it says of the input."""

    def fit(*arguments):
        body = json.loads(run("fit", "--law", "power", "--on", "all", "--json", "--data", *arguments))
        return body["fits"][0], body["input"]["notes"]

    return fit


def write(tmp_path, text, name="runs.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_text(text, encoding=encoding)
    return path


def exponent(fit):
    return fit["coefficients"]["a"]["value"]


def reasons(fit):
    return {entry["id"]: entry["reason"] for entry in fit["excluded"]}


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
def test_a_word_of_a_text_column_is_a_category(run, tmp_path, word, name):
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
def test_a_word_in_a_column_of_numbers_is_no_number(fitted, tmp_path, word):
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


def test_an_infinite_loss_of_mlflow_leaves_out_its_run(fitted, tmp_path):
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


# How runs ended


def all_failed(tmp_path, states):
    rows = [f"a{place},{state},{3600 * hours!r},{loss!r}\n" for place, (state, hours, loss) in enumerate(states)]
    return write(tmp_path, "Name,State,Runtime,loss\n" + "".join(rows))


def test_an_export_in_which_nothing_finished_says_how_to_count_it(run, fitted, tmp_path):
    states = [
        ("crashed" if place % 2 else "killed", *pair)
        for place, pair in enumerate(zip(HOURS.tolist(), LOSSES.tolist(), strict=True))
    ]
    path = all_failed(tmp_path, states)
    table = [path, "--map", "core_hours=Runtime", "--unit", "core_hours=seconds", "--map", "val_loss=loss"]
    with pytest.raises(TooFewPoints, match="5 stopped, 5 failed") as caught:
        fitted(*table)
    hint = caught.value.hint
    assert "read_runs(…, count_status=['failed', 'stopped'])" in hint
    words = hint.partition("count them: ")[2].partition(";")[0].split()
    fit, notes = fitted(*table, *words)  # what the hint says is what one types
    assert exponent(fit) == pytest.approx(0.2)
    assert fit["runs_used"] == 10
    assert "5 runs whose status is failed count as finished (--count-status failed)" in notes
    fit, _ = fitted(*table, "--count-status", "crashed", "--count-status", "killed")  # the words of the file
    assert fit["runs_used"] == 10
    runs = analysis.read_runs(path, {"core_hours": "Runtime", "val_loss": "loss"}, count_status=["crashed"])
    assert list(runs["status"]) == ["stopped", "finished"] * 5
    with pytest.raises(UnknownName, match="unknown status 'faild'; did you mean \"failed\"") as caught:
        fitted(*table, "--count-status", "faild")
    assert "crashed" in caught.value.hint


def test_too_few_finished_runs_say_how_to_count_the_others(fitted, tmp_path):
    states = [
        ("finished" if place < 2 else "failed", *pair)
        for place, pair in enumerate(zip(HOURS.tolist(), LOSSES.tolist(), strict=True))
    ]
    table = [all_failed(tmp_path, states), "--map", "core_hours=Runtime", "--map", "val_loss=loss"]
    with pytest.raises(TooFewPoints, match="8 left out: 8 failed") as caught:
        fitted(*table)
    assert "--count-status failed" in caught.value.hint


@pytest.mark.parametrize(
    "answer", [analysis.frontier, analysis.fit, analysis.learning_rate_trend, lambda runs: analysis.compare(runs, by="model")]
)
def test_every_answer_says_how_to_count_what_did_not_finish(tmp_path, answer):
    table = pd.DataFrame({"model": ["a", "b"] * 5, "epochs": 1.0, "learning_rate": HOURS, "core_hours": HOURS, "val_loss": LOSSES})
    table.assign(status="crashed").to_csv(tmp_path / "runs.csv", index=False)
    with pytest.raises(TooFewPoints) as caught:
        answer(analysis.read_runs(tmp_path / "runs.csv"))
    assert "--count-status failed" in caught.value.hint
    with pytest.raises(TooFewPoints) as caught:  # a table made by hand has no file to read again
        answer(table.assign(status="failed"))
    assert "--count-status" not in caught.value.hint


def test_counting_is_of_a_file(run, tmp_path):
    with pytest.raises(UsageError, match="--count-status is for a table given by --data"):
        run("fit", "--count-status", "failed")
    path = write(tmp_path, "core_hours,val_loss\n1,2\n")
    with pytest.raises(UsageError, match="no column status"):
        analysis.read_runs(path, count_status=["failed"])


def test_statuses_under_other_names(tmp_path):
    """MLflow's page and Slurm; a column of that name with words that are no status is left alone."""
    page = "Start Time,Run ID,Status,val_loss\n2026,12e5,FINISHED,1\n2026,13e5,FAILED,2\n"
    runs = analysis.read_runs(write(tmp_path, page))
    assert list(runs["status"]) == ["finished", "failed"]
    assert list(runs["id"]) == ["12e5", "13e5"]  # hexadecimal digits, no number
    slurm = "JobID,State,ElapsedRaw\n1,COMPLETED,10\n2,TIMEOUT,10\n3,CANCELLED by 1000,5\n"
    assert list(analysis.read_runs(write(tmp_path, slurm))["status"]) == ["finished", "failed", "cancelled"]
    assert "status" not in analysis.read_runs(write(tmp_path, "state,val_loss\nOhio,1\nIowa,2\n"))


@pytest.mark.parametrize("pair", [("step", "steps"), ("step", "max_steps"), ("train/global_step", "max_steps")])
def test_finished_short_of_its_steps(fitted, tmp_path, pair):
    done = [1000, 999, 480, 1000, 1000, 995, 1000, 1000, 1000, 1000]
    table = pd.DataFrame({"core_hours": HOURS, "val_loss": LOSSES, "status": "finished", pair[0]: done, pair[1]: 1000})
    table.loc[2, "val_loss"] = 3.0
    table.to_csv(tmp_path / "runs.csv", index=False)
    fit, notes = fitted(tmp_path / "runs.csv")
    assert reasons(fit) == {"row 3": "finished at step 480 of 1000"}
    assert exponent(fit) == pytest.approx(0.2)
    assert notes == []


def test_steps_that_no_run_reached_count_something_else(fitted, tmp_path):
    table = pd.DataFrame({"core_hours": HOURS, "val_loss": LOSSES, "step": range(100, 110), "steps": 1000})
    table.to_csv(tmp_path / "runs.csv", index=False)
    fit, notes = fitted(tmp_path / "runs.csv")
    assert fit["runs_used"] == 10
    assert notes == ["no run reached its steps, so step counts something else or no run was trained to its end: all are kept"]


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


def test_options_know_a_column_by_either_name(run, fitted, tmp_path):
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


def test_a_share_and_names_of_exports_are_known(fitted, tmp_path):
    table = pd.DataFrame({"Name": [f"r{place}" for place in range(10)], "State": "finished", "hours": HOURS, "acc": 1 - LOSSES / 3})
    table.to_csv(tmp_path / "runs.csv", index=False)
    path = [tmp_path / "runs.csv", "--map", "core_hours=hours", "--map", "val_top1=acc", "--map", "model=Name"]
    for metric in ("val_top1_error", "acc_error"):
        assert exponent(fitted(*path, "--metric", metric, "--where", "State=finished")[0]) == pytest.approx(0.2)
    assert fitted(*path, "--metric", "acc_error", "--where", "Name=r1,r2,r3,r4,r5")[0]["runs_used"] == 5


def test_values_of_a_converted_column_are_chosen_by_our_name(fitted, tmp_path):
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


# Rehearsals


def test_rehearsed_runs_are_left_out_beside_real_ones(fitted, tmp_path):
    real = pd.DataFrame({"family": "nfnet", "core_hours": HOURS, "val_loss": LOSSES})
    both = pd.concat([real, real.assign(family="simulated", val_loss=9.0, core_hours=HOURS * 1.1)], ignore_index=True)
    both.to_csv(tmp_path / "runs.csv", index=False)
    fit, _ = fitted(tmp_path / "runs.csv")
    assert exponent(fit) == pytest.approx(0.2)
    assert set(reasons(fit).values()) == {"simulated: its loss was stated, not trained"}
    assert len(reasons(fit)) == 10
    both[10:].to_csv(tmp_path / "runs.csv", index=False)
    fit, _ = fitted(tmp_path / "runs.csv")
    assert "rehearsed" in {found["code"] for found in fit["diagnostics"]}


# Chance


def test_runs_no_better_than_guessing_are_named(fitted, tmp_path):
    table = pd.DataFrame({"id": list("abcdefghij"), "core_hours": HOURS, "val_loss": LOSSES})
    table.to_csv(tmp_path / "runs.csv", index=False)
    table.assign(chance_loss=1.3).to_csv(tmp_path / "chance.csv", index=False)
    for words in ([tmp_path / "runs.csv", "--chance-loss", "1.3"], [tmp_path / "chance.csv"]):
        fit, _ = fitted(*words)
        (found,) = [entry for entry in fit["diagnostics"] if entry["code"] == "chance-level"]
        assert found["message"] == "2 of 10 runs are no better than chance_loss (1.300) in val_loss: a, b"
        assert found["about"] == ["a", "b"]
    for words in (["--chance-loss", "1.6"], []):
        fit, _ = fitted(tmp_path / "runs.csv", *words)
        assert "chance-level" not in {entry["code"] for entry in fit["diagnostics"]}
    with pytest.raises(UsageError, match="not positive"):
        fitted(tmp_path / "runs.csv", "--chance-loss", "-1")


def test_real_and_rehearsed_runs_of_one_store(run, tmp_path):
    """A plain fit after `submit --simulate` in a store with real runs."""
    from orchestrator.store import Store, ledger
    from scaling.outcomes import AttemptOutcome
    from tests.orchestrator.rows import a_run, accepted, granted

    def end(store, grant, loss):
        with store.write() as session:
            charge = ledger.Charge(useful=3600.0)
            ledger.end_attempt(
                session,
                grant.token,
                outcome=AttemptOutcome.FINISHED,
                reason="",
                charge=charge,
                last_step=100,
                result={"val_loss": loss},
            )

    with Store.open(str(tmp_path / "scaling.db")) as store:
        for family, letters in (("nfnet", "0123456789"), ("simulated", "abcdef")):
            changes = {} if family == "nfnet" else {"family": family, "resources": {"accelerator": "simulated TPU-v4", "chips": 1}}
            flops = [1e9 * 2.0**place for place in range(len(letters))]
            ids = [letter * 16 for letter in letters]
            accepted(
                store,
                *(a_run(each, epochs=2.0**place, train_flops=flops[place], **changes) for place, each in enumerate(ids)),
                name=family,
            )
            for place, each in enumerate(ids):
                end(store, granted(store, each), (flops[place] / 1e9) ** -0.2 if family == "nfnet" else 7.0)
    words = ["fit", "--db", tmp_path / "scaling.db", "--x", "train_flops", "--law", "power", "--on", "all", "--json"]
    (fit,) = json.loads(run(*words))["fits"]
    assert exponent(fit) == pytest.approx(0.2)
    assert {entry["id"]: entry["reason"] for entry in fit["excluded"]} == {
        letter * 16: "simulated: its loss was stated, not trained" for letter in "abcdef"
    }


def test_checkpoints_of_a_complete_run_are_not_short_of_its_steps():
    """The last row of each run counts, and that of one run is short of its end; along a curve no row is short."""
    from analysis.selection import usable_runs

    rows = [
        {"run": run, "step": step, "steps": 100, "core_hours": step * hours, "val_loss": (step * hours) ** -0.2}
        for run, hours in (("a", 1.0), ("b", 3.0), ("c", 10.0))
        for step in ((10, 50, 100) if run != "c" else (10, 50))
    ]
    kinds = [entry.kind for entry in usable_runs(pd.DataFrame(rows), metric="val_loss", x="core_hours").excluded]
    assert kinds == ["earlier checkpoints of a run"] * 5 + ["not trained to the last step"]
    assert not usable_runs(pd.DataFrame(rows), metric="val_loss", x="step", curve=True).excluded
