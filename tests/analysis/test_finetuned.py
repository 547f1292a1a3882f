"""Fine-tuned runs: they enter no question about pre-training, and `finetune_…` is the same as a table that was joined by hand."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import analysis
from analysis.finetuned import finetuned_metrics, of_stage
from analysis.planning.neighbours import neighbouring_cells
from analysis.reading.source import source_of
from analysis.report.study import study_of
from analysis.unfinished import table_of, unfinished
from scaling.cli.app import app
from scaling.columns import COLUMNS
from scaling.errors import DataError, TooFewPoints, UnknownName, UsageError


def study(*, rates=(0.05, 0.1, 0.2), seeds=2, rng_seed=0):
    """Return pre-trained runs of 3 sizes × 4 budgets, and of each a fine-tuning at every rate, on another data set."""
    rng, rows = np.random.default_rng(rng_seed), []
    for rank, size in enumerate((1e6, 4e6, 1.6e7)):
        for epochs in (1.0, 2.0, 4.0, 8.0):
            for seed in range(seeds):
                loss = 0.5 + 60 * size**-0.34 + 40 * (2e7 * epochs) ** -0.3
                run = {"family": "nfnet", "model": f"F{rank}", "params": size, "seed": seed, "status": "finished", "excluded": ""}
                name = f"p{rank}-{epochs:g}-{seed}"
                rows.append(
                    run
                    | {
                        "id": name,
                        "stage": "pretraining",
                        "parent": None,
                        "epochs": epochs,
                        "learning_rate": 1.6,
                        "dataset": "large",
                    }
                    | {"core_hours": size * epochs / 1e6, "val_loss": loss * np.exp(0.003 * rng.standard_normal()), "val_top1": 0.5}
                )
                for rate in rates:
                    error = (0.05 + 0.1 * loss) * (1 + 0.1 * np.log(rate / 0.1) ** 2) * np.exp(0.003 * rng.standard_normal())
                    rows.append(
                        run
                        | {"id": f"t{name}-{rate}", "stage": "finetuning", "parent": name, "epochs": 50.0, "learning_rate": rate}
                        | {
                            "dataset": "small",
                            "params": size + 1000,
                            "core_hours": 0.5,
                            "val_loss": 3 * error,
                            "val_top1": 1 - error,
                        }
                    )
    return pd.DataFrame(rows)


QUESTIONS = {
    "frontier": lambda runs: analysis.frontier(runs).points,
    "fit": lambda runs: analysis.fit(runs, law="power").interval(),
    "choose_law": lambda runs: analysis.choose_law(runs).interval(),
    "fit_all": lambda runs: analysis.fit_all(runs, laws=["power"]).fits[0].interval(),
    "predict": lambda runs: analysis.predict(runs, [500.0], law="power").table,
    "compare": lambda runs: analysis.compare(runs, by="model", a="F0", b="F1").budgets,
    "optimum": lambda runs: pd.DataFrame(analysis.compute_optimal(runs).to_dict()["approaches"]),
    "plan": lambda runs: (
        analysis.plan(runs, neighbouring_cells(runs), budget=50, target=500).chosen  # and what it costs
    ),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_finetuned_runs_change_no_answer_about_pretraining(question):
    runs = study()
    alone = runs[runs["stage"] == "pretraining"].drop(columns=["stage", "parent"]).reset_index(drop=True)
    expected, found = QUESTIONS[question](alone), QUESTIONS[question](runs)
    pd.testing.assert_frame_equal(
        found.drop(columns="cell", errors="ignore").astype(str), expected.drop(columns="cell", errors="ignore").astype(str)
    )


def test_a_trend_of_pretraining_rates_is_of_pretraining():
    with pytest.raises(TooFewPoints):  # one rate a cell; the fine-tuned runs have three
        analysis.learning_rate_trend(study())


@pytest.mark.parametrize("word", ["Fine-tuning", "fine-tuned", "finetune", "fine tuning", "FINE_TUNED"])
def test_a_table_may_spell_the_stage_otherwise(word):
    runs = study()
    spelled = runs.assign(stage=runs["stage"].replace("finetuning", word))
    assert len(of_stage(spelled, "val_loss")) == (runs["stage"] == "pretraining").sum()


def test_a_table_without_a_stage_is_as_it_was():
    runs = study().drop(columns="stage")
    assert of_stage(runs, "val_loss") is runs  # runs with a common trunk have parents as well


def by_hand(runs):
    """Join by pandas: the best rate of fine-tuning of each pre-trained cell, by its mean over seeds."""
    tuned = runs[runs["stage"] == "finetuning"].assign(error=lambda table: 1 - table["val_top1"])
    joined = tuned[["parent", "learning_rate", "error"]].merge(runs, left_on="parent", right_on="id", suffixes=("", "_of_parent"))
    means = joined.groupby(["model", "epochs", "learning_rate"])[["core_hours", "error"]].mean().reset_index()
    return means.loc[means.groupby(["model", "epochs"])["error"].idxmin()].sort_values(["model", "epochs"])


def test_a_finetuned_frontier_is_that_of_a_table_joined_by_hand():
    runs = study()
    found = analysis.frontier(runs, metric="finetune_top1_error")
    points, expected = found.points.sort_values(["model", "epochs"]), by_hand(runs)
    assert len(points) == 12
    for name, theirs in (("epochs", "epochs"), ("core_hours", "core_hours"), ("learning_rate", "learning_rate"), ("finetune_top1_error", "error")):  # fmt: skip
        np.testing.assert_allclose(points[name], expected[theirs])
    assert (points["seeds"] == 2).all()
    assert (points["params"] == points["model"].map({"F0": 1e6, "F1": 4e6, "F2": 1.6e7})).all()
    assert {entry.kind for entry in found.excluded} == {"not at its cell's best learning rate"}
    assert all(each.startswith("tp") for ids in points["run_ids"] for each in ids)  # a click opens the fine-tuned run


@pytest.mark.parametrize("metric", ["finetune_val_top1_error", "finetune_top1_error"])
def test_both_names_of_the_error_are_one(metric):
    law = analysis.fit(study(), metric=metric, law="power")
    table = by_hand(study()).rename(columns={"error": "loss"})
    expected = analysis.fit(table, metric="loss", x="core_hours", law="power")
    assert law.coefficients["a"] == pytest.approx(expected.coefficients["a"], rel=1e-4)  # of mean logs, not the log of means
    assert law.runs_used == 24


def test_the_trend_of_finetuned_rates_is_over_pretraining():
    trend = analysis.learning_rate_trend(study(), metric="finetune_val_loss")
    assert sorted(trend.optima["epochs"].unique()) == [1, 2, 4, 8]
    np.testing.assert_allclose(trend.optima["learning_rate"], 0.1, rtol=0.05)


def test_settings_of_finetuning_tell_cells_apart_and_seeds_do_not():
    runs = pd.concat(
        [study(rates=(0.1,)).assign(sam=False), study(rates=(0.1,)).query("stage == 'finetuning'").assign(sam=True)],
        ignore_index=True,
    )
    again = runs["sam"] & (runs["stage"] == "finetuning")
    runs.loc[again, "id"] = "sam-" + runs.loc[again, "id"]
    runs.loc[again, "val_top1"] = 1 - (1 - runs.loc[again, "val_top1"]) * 0.9
    found = analysis.frontier(runs, metric="finetune_top1_error")
    assert "finetune_sam" in found.cell_columns
    assert len(found.points) == 24
    assert (found.points["seeds"] == 2).all()
    verdict = analysis.compare(runs, by="finetune_sam", a="True", b="False", metric="finetune_top1_error")
    assert verdict.ratio.value == pytest.approx(0.9)


def test_two_finetunings_that_nothing_tells_apart_are_refused():
    runs = study(rates=(0.1,))
    again = runs[runs["stage"] == "finetuning"].assign(id=lambda table: "again-" + table["id"], val_top1=0.5)
    with pytest.raises(UsageError, match="several studies"):
        analysis.frontier(pd.concat([runs, again], ignore_index=True), metric="finetune_top1_error")


def test_several_data_sets_of_finetuning_are_refused_and_of_pretraining_are_not():
    runs = study(rates=(0.1,))
    tuned = runs["stage"] == "finetuning"
    other = runs.assign(dataset=runs["dataset"].mask(tuned & (runs["model"] == "F1"), "flowers"))
    with pytest.raises(UsageError, match="of 2 data sets") as caught:
        analysis.frontier(other, metric="finetune_top1_error")
    assert "--where finetune_dataset=" in caught.value.hint
    two = runs.assign(dataset=runs["dataset"].mask(~tuned & (runs["model"] == "F1"), "larger"))
    found = analysis.frontier(two, metric="finetune_top1_error")
    assert "parent_dataset" in found.cell_columns


def test_a_checkpoint_finetuned_with_several_seeds_has_replicates():
    runs = study(rates=(0.1,), seeds=1)
    again = runs[runs["stage"] == "finetuning"].assign(id=lambda table: "again-" + table["id"], seed=7)
    again["val_top1"] -= 0.001
    found = analysis.frontier(pd.concat([runs, again], ignore_index=True), metric="finetune_top1_error")
    assert (found.points["seeds"] == 2).all()


def test_the_best_of_several_pretraining_rates_counts():
    """A cell was pre-trained at two rates, and both were fine-tuned: the better one counts, together with its best rate of fine-tuning."""
    runs, worse = study(seeds=1), study(seeds=1)
    worse["id"], worse["parent"] = "w" + worse["id"], "w" + worse["parent"].astype(object)
    worse.loc[worse["stage"] == "pretraining", "learning_rate"] = 3.2
    worse.loc[worse["stage"] == "finetuning", "val_top1"] -= 0.02
    found = analysis.frontier(pd.concat([runs, worse], ignore_index=True), metric="finetune_top1_error")
    np.testing.assert_allclose(found.points.sort_values(["model", "epochs"])["finetune_top1_error"], by_hand(runs)["error"])
    assert "not at its cell's best parent learning rate" in {entry.kind for entry in found.excluded}


def test_what_has_no_parent_that_counts_is_left_out_with_its_reason():
    runs = study(rates=(0.1,), seeds=1).astype({"excluded": object})
    runs = runs[runs["id"] != "p0-1-0"].reset_index(drop=True)
    runs.loc[runs["id"] == "p0-2-0", "excluded"] = "a broken disk"
    runs.loc[runs["id"] == "p0-4-0", "status"] = "diverged"
    runs.loc[runs["id"] == "tp0-8-0-0.1", "status"] = "failed"
    runs.loc[runs["id"] == "tp1-1-0-0.1", "parent"] = None
    runs.loc[runs["id"] == "tp1-2-0-0.1", "parent"] = "tp1-4-0-0.1"
    found = analysis.frontier(runs, metric="finetune_top1_error")
    assert {entry.id: entry.reason for entry in found.excluded} == {
        "tp0-1-0-0.1": "its parent p0-1-0 is not in the table",
        "tp0-2-0-0.1": "excluded: its parent: a broken disk",
        "tp0-4-0-0.1": "diverged",
        "tp0-8-0-0.1": "failed",
        "tp1-1-0-0.1": "it names no parent",
        "tp1-2-0-0.1": "its parent tp1-4-0-0.1 was fine-tuned itself",
    }
    assert len(found.points) == 6


def test_the_door_is_passed_twice_without_a_change():
    view = of_stage(study(), "finetune_top1_error")
    for metric in ("finetune_top1_error", "finetune_val_top1_error", "finetune_val_loss"):
        assert of_stage(view, metric) is view
    kept = of_stage(study(), "val_loss")
    assert of_stage(kept, "val_loss") is kept


def test_one_note_counts_the_runs_set_aside():
    assert source_of(of_stage(study(), "val_loss"))["notes"] == [
        "72 fine-tuned runs were set aside: --metric finetune_… asks for them"
    ]
    (note,) = source_of(of_stage(study(), "finetune_val_loss"))["notes"]
    assert note == "72 fine-tuned runs were taken with the compute, size and epochs of the 24 that they started from"


def test_what_cannot_be_answered_is_said():
    runs = study()
    with pytest.raises(UnknownName, match='did you mean "finetune_val_loss"'):
        analysis.frontier(runs, metric="finetune_val_los")
    pretrained, tuned = (runs[runs["stage"] == stage] for stage in ("pretraining", "finetuning"))
    for table in (pretrained, pretrained.drop(columns="stage")):
        with pytest.raises(TooFewPoints, match="none of the 24 runs was fine-tuned"):
            analysis.fit(table, metric="finetune_val_loss")
    with pytest.raises(TooFewPoints, match="all 72 runs were fine-tuned") as caught:
        analysis.fit(tuned, metric="val_loss")
    assert "--metric finetune_val_loss" in caught.value.hint
    with pytest.raises(DataError, match="no column parent"):
        analysis.fit(runs.drop(columns="parent"), metric="finetune_val_loss")
    with pytest.raises(UsageError, match="better when higher"):
        analysis.fit(runs, metric="finetune_val_top1")
    for plan in (analysis.plan, neighbouring_cells):
        given = (pd.DataFrame(), *()) if plan is analysis.plan else ()
        settings = {"budget": 1.0, "target": 1e3} if plan is analysis.plan else {}
        with pytest.raises(UsageError, match="a plan is of runs to pre-train"):
            plan(runs, *given, metric="finetune_val_loss", **settings)


def test_metrics_of_finetuning_are_offered_where_there_are_such_runs():
    runs = study()
    assert finetuned_metrics(runs) == ("finetune_val_loss", "finetune_top1_error")
    assert finetuned_metrics(runs[runs["stage"] == "pretraining"]) == ()
    assert finetuned_metrics(runs.drop(columns="stage")) == ()


def store_rows(runs):
    """Return rows as a store has them, with every column."""
    blank = dict.fromkeys(COLUMNS)
    more = {"train_flops": runs["core_hours"] * 1e15, "cores": 1, "step": 10, "steps": 10}
    return [blank | row for row in runs.assign(**more).to_dict("records")]


def test_what_is_left_of_pretraining_is_told_by_the_pace_of_pretraining():
    runs = study(rates=(0.1,), seeds=1)
    rows = store_rows(runs)
    tuned = [row for row in rows if row["stage"] == "finetuning"]
    for row in tuned:
        row["core_hours"] *= 1000  # fine-tuning of large images is slower by the FLOP
    running = next(row for row in rows if row["id"] == "p2-8-0")
    running |= {"status": "running", "step": 5}
    tuned[-1] |= {"status": "pending"}
    table = pd.DataFrame(rows)
    alone = unfinished(table[table["stage"] == "pretraining"])
    assert alone is not None
    assert alone.seconds == pytest.approx(3600 * 64, rel=0.02)  # half of 128 core-hours on one core
    both = unfinished(table)
    assert both is not None
    assert both.seconds == pytest.approx(3600 * (64 + 500), rel=0.02)
    tuned[0]["status"] = "finished"
    assert [note.split(" runs ")[0] for note in source_of(table_of(rows))["notes"]] == ["11 of 12", "of fine-tuning 11 of 12"]


def command(*words, table, path):
    file = path / "runs.csv"
    table.to_csv(file, index=False)
    result = CliRunner().invoke(app, [*words, "--data", str(file)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_commands_ask_of_finetuned_runs_and_where_is_of_their_parents(tmp_path):
    runs = study()
    said = json.loads(
        command(*shlex.split("frontier --metric finetune_top1_error --where epochs=1,2 --json"), table=runs, path=tmp_path)
    )
    assert [point["epochs"] for point in said["points"]].count(1.0) == 3
    assert len(said["points"]) == 6
    assert said["input"]["notes"][-1] == "36 of 72 runs were chosen: epochs is 1 or 2"
    told = command(*shlex.split("fit --law power --on all --where model=F0"), table=runs, path=tmp_path)
    assert "72 fine-tuned runs were set aside" in told
    told = command(*shlex.split("lr --metric finetune_val_loss --where finetune_dataset=small"), table=runs, path=tmp_path)
    assert "learning_rate*" in told


def test_a_report_of_finetuned_runs_has_no_plan():
    found = study_of(study(), metric="finetune_top1_error", law="power", bootstrap=100)
    assert "a plan is of runs to pre-train" in str(found.plan)
    assert found.frontier.metric == "finetune_top1_error"


def test_a_prediction_of_finetuned_runs_is_scored_by_finetuned_runs():
    runs = study().assign(ended_at="2026-03-01T12:00:00+00:00")
    alike = runs[(runs["stage"] == "finetuning") & (runs["parent"].isin(["p2-8-0", "p2-8-1"]))]
    registered = {
        "name": "a",
        "at": {"core_hours": 128.0},
        "on": "frontier",
        "run_ids": [],
        "created_at": "2026-01-01T00:00:00+00:00",
    }
    registered |= {"value": 0.13, "low": 0.12, "high": 0.15, "level": 0.95, "slope": {"core_hours": -0.06}}
    found = analysis.score([registered | {"metric": "finetune_top1_error"}, registered | {"metric": "val_loss"}], runs).table
    best = (1 - alike["val_top1"]).groupby(alike["learning_rate"]).mean().min()
    assert found["observed"].tolist() == pytest.approx([best, runs.loc[runs["id"].str.startswith("p2-8"), "val_loss"].mean()])
    assert found["hit"].tolist() == [True, False]
