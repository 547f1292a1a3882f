"""What columns of strangers' tables are: settings, results, bookkeeping, labels; names of runs, and how far they were trained."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.reading.column_kinds import columns_of_progress, columns_of_runs, is_bookkeeping, is_label, is_result
from scaling.errors import ScalingError, UsageError

HOURS = 2.0 ** np.arange(8)


def final(hours):
    return 2.0 * hours**-0.2


def fit(table, tmp_path, **settings):
    path = tmp_path / "runs.csv"
    table.to_csv(path, index=False)
    return analysis.fit(analysis.read_runs(path), law="power", on="all", **settings)


def slope(found):
    return found.params["a"]


# -- by name and values ---------------------------------------------------------------------------------------------------------------

NUMBER, TEXT = pd.Series([0.1, 0.2]), pd.Series(["a", "b"])


@pytest.mark.parametrize(
    "name",
    [
        "weight_decay",
        "drop_path",
        "path_dropout",
        "node_dim",
        "log_scale",
        "memory_len",
        "time_steps",
        "time_emb",
        "label_error",
        "final_lr_fraction",
        "width",
        "host_batch",
        "vocab_size",
        "ema_decay",
    ],
)
def test_a_number_that_is_a_setting(name):
    assert not is_result(name, NUMBER)
    assert not is_bookkeeping(name, NUMBER)
    assert not is_label(name)


@pytest.mark.parametrize(
    "name", ["loss_fn", "loss_type", "metric_space", "git_branch", "optimizer", "model_name", "gpu_type", "norm"]
)
def test_a_word_that_is_a_setting(name):
    assert not is_result(name, TEXT)
    assert not is_bookkeeping(name, TEXT)
    assert not is_label(name)


@pytest.mark.parametrize(
    "name",
    [
        "val_loss",
        "val/top1",
        "top1Error",
        "eval.f1",
        "grad_norm",
        "best_epoch",
        "metrics.val_acc",
        "train_loss_epoch",
        "throughput",
        "_step",
    ],
)
def test_a_result(name):
    assert is_result(name, NUMBER)


@pytest.mark.parametrize(
    "name", ["seed", "data_seed", "seed2", "run_id", "RunID", "_runtime", "wall_time", "num_gpus", "random_state", "created_at"]
)
def test_bookkeeping(name):
    assert is_bookkeeping(name, NUMBER)


@pytest.mark.parametrize("name", ["data_path", "output_dir", "hostname", "User", "wandb_version"])
def test_bookkeeping_in_words(name):
    assert is_bookkeeping(name, TEXT)


@pytest.mark.parametrize("name", ["exp_name", "Group", "Sweep", "Tags", "notes", "name", "experiment", "Job", "Type"])
def test_a_label_is_no_setting(name):
    assert is_label("Job Type" if name in ("Job", "Type") else name)


def test_names_of_runs_and_progress_in_any_spelling():
    assert columns_of_runs(["name", "RunID", "loss"]) == ["RunID", "name"]
    assert columns_of_runs(["Run Name", "model"]) == ["Run Name"]
    assert columns_of_progress(["epochs", "steps", "_step", "Epoch"]) == ["_step", "Epoch"]


# -- settings that names hide ---------------------------------------------------------------------------------------------------------


def two_recipes(name, values):
    """Two recipes, the second with 30 % more loss, at the same budgets."""
    rows = [
        {"epochs": 1 + number, "core_hours": hours, name: value, "val_loss": final(hours) * factor}
        for value, factor in zip(values, (1.0, 1.3), strict=True)
        for number, hours in enumerate(HOURS)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("weight_decay", (0.0, 0.1)),
        ("drop_path", (0.0, 0.1)),
        ("loss_fn", ("ce", "bce")),
        ("tag", ("old", "new")),
        ("name", ("old", "new")),
    ],
)
def test_a_column_that_differs_inside_cells_is_named(name, values, tmp_path):
    found = fit(two_recipes(name, values), tmp_path)
    assert found.cells == 8
    told = f"{name} was taken as searched" if name == "weight_decay" else f"{name} differs between runs"
    assert any(note.startswith(told) for note in found.notes)
    assert fit(two_recipes(name, values), tmp_path, cell=[name]).cells == 16


@pytest.mark.parametrize(
    ("name", "values"),
    [("drop_path", (0.0, 0.1)), ("loss_fn", ("ce", "bce")), ("dropout", ("None", "0.1")), ("dropout", ("", "0.1"))],
)
def test_a_setting_of_an_export_tells_cells_apart_also_where_it_is_empty(name, values, tmp_path):
    table = two_recipes(name, values)
    table = table.assign(Name=[f"r{row}" for row in range(len(table))], State="finished")
    assert fit(table, tmp_path).cells == 16


@pytest.mark.parametrize(("name", "value"), [("batch_size", 64), ("optimizer", "adam")])
def test_a_setting_that_is_empty_is_not_filled_from_another_run(name, value, tmp_path):
    assert fit(two_recipes(name, (None, value)), tmp_path).cells == 16


def test_hours_of_two_devices_do_not_compare_whatever_their_column_is_called(tmp_path):
    with pytest.raises(UsageError, match=r"2 kinds of accelerator \(A100, H100\)") as error:
        fit(two_recipes("GPU Type", ("A100", "H100")), tmp_path)
    assert "--where accelerator=A100" in error.value.hint


# -- MLflow's experiments -------------------------------------------------------------------------------------------------------------


def mlflow_of_two_experiments(path, *, seed=False):
    with closing(sqlite3.connect(path)) as base:
        base.executescript(
            "CREATE TABLE experiments (experiment_id INTEGER, name TEXT);"
            "CREATE TABLE runs (run_uuid TEXT, name TEXT, status TEXT, lifecycle_stage TEXT, experiment_id INTEGER);"
            "CREATE TABLE latest_metrics (run_uuid TEXT, key TEXT, value REAL, is_nan INTEGER);"
            "CREATE TABLE params (run_uuid TEXT, key TEXT, value TEXT); CREATE TABLE tags (run_uuid TEXT, key TEXT, value TEXT);"
        )
        for experiment, factor in enumerate((1.0, 1.3)):
            base.execute("INSERT INTO experiments VALUES (?, ?)", (experiment, f"recipe {experiment}"))
            for number, hours in enumerate(HOURS):
                run = f"{experiment}-{number}"
                base.execute("INSERT INTO runs VALUES (?, ?, 'FINISHED', 'active', ?)", (run, run, experiment))
                values = [("core_hours", hours), ("val_loss", factor * final(hours))]
                base.executemany("INSERT INTO latest_metrics VALUES (?, ?, ?, 0)", [(run, *pair) for pair in values])
                base.execute("INSERT INTO params VALUES (?, 'epochs', ?)", (run, str(number + 1)))
                if seed:
                    base.execute("INSERT INTO params VALUES (?, 'seed', '0')", (run,))
        base.commit()
    return analysis.read_runs(path)


def test_experiments_of_mlflow_are_named(tmp_path):
    found = analysis.fit(mlflow_of_two_experiments(tmp_path / "mlflow.db"), law="power", on="all")
    assert found.notes == ("experiment differs between runs that were averaged as one cell; --cell experiment keeps them apart",)


def test_the_cures_of_two_experiments_with_seeds_work(tmp_path):
    runs = mlflow_of_two_experiments(tmp_path / "mlflow.db", seed=True)
    with pytest.raises(UsageError, match="of several studies") as error:
        analysis.fit(runs, law="power", on="all")
    assert error.value.hint == "tell them apart: --cell experiment; or choose some rows: --where experiment=VALUE"
    assert analysis.fit(runs, law="power", on="all", cell=["experiment"]).cells == 16
    from analysis.reading.choice import choose_runs

    one = analysis.fit(choose_runs(runs, ["experiment=recipe 0"]), law="power", on="all")
    assert (one.cells, slope(one)) == (8, pytest.approx(0.2))


# -- checkpoints ----------------------------------------------------------------------------------------------------------------------


def curves(**names):
    """Eight runs of five checkpoints whose last losses follow the law, and whose earlier ones do not."""
    run, step = names.pop("run", "run_id"), names.pop("step", "step")
    return pd.DataFrame(
        [
            {run: f"r{number}", step: 100 * row, "core_hours": hours * row / 5, "val_loss": final(hours) * (1 + 0.3 * (5 - row))}
            for number, hours in enumerate(HOURS)
            for row in range(1, 6)
        ]
    )


def assert_eight_runs(found):
    assert (len(found.runs), slope(found), found.params["A"]) == (8, pytest.approx(0.2), pytest.approx(2.0))


@pytest.mark.parametrize(
    ("run", "step"),
    [
        ("run_id", "Step"),
        ("Run Name", "step"),
        ("trial", "iteration"),
        ("name", "epoch"),
        ("experiment", "iter"),
        ("Run Name", "_step"),
    ],
)
def test_checkpoints_are_one_run_however_its_columns_are_called(run, step, tmp_path):
    assert_eight_runs(fit(curves(run=run, step=step), tmp_path))


def test_rows_for_training_and_validation_at_one_step_are_one_row(tmp_path):
    valid = curves().assign(train_loss=np.nan)
    train = curves().assign(train_loss=3.0, val_loss=np.nan)
    found = fit(pd.concat([train, valid]).sort_values(["run_id", "step"], kind="stable"), tmp_path)
    assert_eight_runs(found)
    assert sum(entry.kind == "more rows of a step" for entry in found.excluded) == 40


def test_a_resumed_run_repeats_a_step(tmp_path):
    again = curves()[lambda table: table["step"] == 300].assign(val_loss=2.9)
    assert_eight_runs(fit(pd.concat([curves(), again]).sort_values(["run_id", "step"], kind="stable"), tmp_path))


def test_a_loss_that_is_logged_now_and_then_counts_where_it_was_logged_last(tmp_path):
    table = curves()
    more = table.assign(step=table["step"] + 50, core_hours=table["core_hours"] * 1.1, val_loss=np.nan, train_loss=1.0)
    assert_eight_runs(fit(pd.concat([table, more]).sort_values(["run_id", "step"]), tmp_path))


def test_a_run_that_stopped_to_log_its_loss_has_none(tmp_path):
    table = curves()
    table.loc[(table["run_id"] == "r3") & (table["step"] > 300), "val_loss"] = np.nan
    assert "r3" not in set(fit(table, tmp_path).runs["run_id"])


def test_a_model_at_several_token_budgets_is_several_runs(tmp_path):
    """`name` may be a model's."""
    table = pd.DataFrame(
        [
            {
                "name": name,
                "params": params,
                "tokens": tokens,
                "core_hours": params * tokens,
                "val_loss": 2 * (params * tokens) ** -0.1,
            }
            for name, params in (("small", 1.0), ("large", 4.0))
            for tokens in (1.0, 2.0, 4.0, 8.0)
        ]
    )
    assert len(fit(table, tmp_path).runs) == 8


def test_a_history_whose_runs_no_column_names_is_refused_and_the_cure_works(tmp_path):
    path = tmp_path / "history.csv"
    curves(run="wer", step="_step").to_csv(path, index=False)
    with pytest.raises(ScalingError, match="no column is known to name the runs") as error:
        analysis.read_runs(path)
    assert "--map id=THEIRS" in error.value.hint
    assert_eight_runs(analysis.fit(analysis.read_runs(path, {"id": "wer"}), law="power", on="all"))


def test_the_log_of_one_run_is_a_curve(tmp_path):
    path = tmp_path / "trainer_state.json"
    rows = [{"step": int(100 * hours), "core_hours": hours, "val_loss": final(hours)} for hours in HOURS]
    path.write_text(json.dumps({"best_metric": 1, "log_history": rows}))
    runs = analysis.read_runs(path)
    with pytest.raises(UsageError, match="the steps of one run") as error:
        analysis.fit(runs, law="power")
    assert error.value.hint.endswith("--x step")
    assert "err together" in analysis.fit(runs, law="power", x="step").notes[0]


def test_rows_that_may_be_one_run_are_said_to(tmp_path):
    table = pd.DataFrame({"step": (100 * HOURS).astype(int), "core_hours": HOURS, "val_loss": final(HOURS)})
    assert any("step rises from row to row" in note for note in fit(table, tmp_path).notes)
    assert not fit(table.assign(params=HOURS), tmp_path).notes


# -- how runs ended -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "well", "badly"),
    [
        ("state", "COMPLETE", "FAIL"),
        ("State", "COMPLETED", "OUT_OF_ME+"),
        ("State", "COMPLETED", "CANCELLED+"),
        ("Status", "Completed", "Aborted"),
        ("state", "TERMINATED", "ERROR"),
        ("state", "Completed", "InProgress"),
        ("state", "JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED"),
        ("state", "finished", "exploded"),
    ],
)
def test_a_run_that_did_not_end_well_is_left_out(column, well, badly, tmp_path):
    table = pd.DataFrame({column: well, "epochs": np.arange(8) + 1, "core_hours": HOURS, "val_loss": final(HOURS)})
    table.loc[5, [column, "val_loss"]] = badly, 3.0
    found = fit(table, tmp_path)
    assert (len(found.runs), len(found.excluded), slope(found)) == (7, 1, pytest.approx(0.2))


def test_a_state_of_something_else_is_no_status(tmp_path):
    table = pd.DataFrame(
        {"state": ["CA", "NY", "OK", "WA"] * 2, "epochs": np.arange(8) + 1, "core_hours": HOURS, "val_loss": final(HOURS)}
    )
    assert len(fit(table, tmp_path).runs) == 8


@pytest.mark.parametrize(
    ("done", "whole", "numbers"),
    [
        ("epoch", "epochs", (10, 4)),
        ("step", "total_steps", (100, 40)),
        ("epoch", "max_epochs", (9, 4)),
        ("iter", "max_iters", (500, 30)),
    ],
)
def test_training_cut_short_is_no_finished_run(done, whole, numbers, tmp_path):
    full, short = numbers
    table = pd.DataFrame({done: full, "core_hours": HOURS, "val_loss": final(HOURS)})
    table[whole] = full if full != 9 else 10
    table.loc[2, [done, "val_loss"]] = short, 3.0
    found = fit(table.assign(params=HOURS * 1e6), tmp_path)
    assert [entry.reason for entry in found.excluded] == [f"finished at {done} {short} of {table[whole].iloc[0]}"]


# -- what tells budgets and sizes apart -----------------------------------------------------------------------------------------------


def isoflop(size="num_params", **others):
    """Five budgets, seven sizes at each, every size another."""
    rows = [
        {"flops": budget, size: round((budget / 120) ** 0.5 * factor), "loss": 2 * budget**-0.05 * (1 + 0.01 * abs(np.log(factor)))}
        for budget in (1e18, 3e18, 1e19, 3e19, 1e20)
        for factor in (0.5, 0.7, 0.9, 1.0, 1.2, 1.5, 2.0)
    ]
    return pd.DataFrame(rows).rename(columns={"flops": "train_flops", "loss": "val_loss"}).assign(**others)


@pytest.mark.parametrize("size", ["num_params", "model.n_params", "non_embedding_parameters"])
def test_sizes_at_one_budget_are_no_seeds_whatever_their_column_is_called(size, tmp_path):
    assert fit(isoflop(size), tmp_path, x="train_flops").cells == 35


def test_a_column_in_which_every_row_differs_is_named_too(tmp_path):
    found = fit(isoflop("breadth"), tmp_path, x="train_flops")
    assert (found.cells, "breadth differs between runs" in found.notes[0]) == (5, True)


def test_epochs_that_are_one_throughout_tell_no_budgets_apart(tmp_path):
    rows = [
        {
            "model": model,
            "epochs": 1,
            "tokens": size * tokens,
            "train_flops": 6 * size**2 * tokens,
            "val_loss": 20 * (size * tokens) ** -0.1,
        }
        for model, size in (("small", 1e8), ("middle", 3e8), ("large", 1e9))
        for tokens in (14, 20, 28)
    ]
    assert fit(pd.DataFrame(rows), tmp_path, x="train_flops").cells == 9
    assert fit(pd.DataFrame(rows).drop(columns="tokens"), tmp_path, x="train_flops").cells == 9


def test_computes_of_one_number_of_epochs_are_budgets(tmp_path):
    table = pd.DataFrame({"epochs": 1, "core_hours": 1.0 + 0.2 * np.arange(10)})
    assert fit(table.assign(val_loss=final(table["core_hours"])), tmp_path).cells == 10
    grid = pd.DataFrame(
        [{"model": f"m{n}", "epochs": 1, "core_hours": n * hours} for n in (1, 2, 4, 8) for hours in (1.0, 2, 4, 8, 16)]
    )
    assert fit(grid.assign(val_loss=final(grid["core_hours"])), tmp_path).cells == 20


def test_seeds_of_one_number_of_epochs_are_seeds_though_their_hours_differ(tmp_path):
    rng = np.random.default_rng(0)
    hours = np.repeat(HOURS, 3) * np.exp(0.05 * rng.standard_normal(24))
    table = pd.DataFrame(
        {"model": np.repeat([f"m{n}" for n in range(8)], 3), "epochs": 1, "seed": np.tile([0, 1, 2], 8), "core_hours": hours}
    )
    assert fit(table.assign(val_loss=final(hours)), tmp_path).cells == 8


def test_equal_runs_that_are_timed_are_seeds_though_their_hours_differ(tmp_path):
    rng = np.random.default_rng(0)
    hours = np.repeat(HOURS, 3) * np.exp(0.1 * rng.standard_normal(24))
    table = pd.DataFrame(
        {"model": "m", "epochs": np.repeat(np.arange(8) + 1, 3), "seed": np.tile([0, 1, 2], 8), "core_hours": hours}
    )
    assert fit(table.assign(val_loss=final(np.repeat(HOURS, 3)) * np.exp(0.01 * rng.standard_normal(24))), tmp_path).cells == 8


@pytest.mark.parametrize(("name", "values"), [("model_id", ("a", "b")), ("train_hours", (460, 960))])
def test_an_id_of_a_model_and_hours_of_data_are_named(name, values, tmp_path):
    assert fit(two_recipes(name, values), tmp_path).notes[0].startswith(f"{name} differs between runs")


@pytest.mark.parametrize("name", ["config.lr", "optimizer.lr", "optim/lr", "LR", "max_learning_rate", "lr_peak"])
def test_a_searched_rate_is_one_however_it_is_called(name, tmp_path):
    table = two_recipes(name, (0.1, 0.4))
    found = fit(table, tmp_path)
    assert (found.cells, len(found.runs), slope(found)) == (8, 8, pytest.approx(0.2))
    assert found.notes == (f"{name} was read as learning_rate: of a cell's rates the best counts",)


def test_the_compute_of_a_column_that_data_were_made_of_is_still_compute(tmp_path):
    path = tmp_path / "runs.csv"
    isoflop("params").rename(columns={"train_flops": "flops"}).to_csv(path, index=False)
    runs = analysis.read_runs(path, {"examples_seen": "flops"}, {"examples_seen": "FLOP/(6*params)"})
    from analysis.reading.source import column_of

    assert column_of(runs, "flops") == "flops"
    assert runs["flops"].iloc[0] == pytest.approx(6 * runs["params"].iloc[0] * runs["examples_seen"].iloc[0])


def test_checkpoints_of_runs_that_no_column_names(tmp_path):
    """As the suites of models are published: a model, a step, a loss."""
    table = curves(run="model").assign(params=np.repeat(HOURS, 5))
    assert_eight_runs(fit(table, tmp_path))
    of_two_seeds = pd.concat([table.assign(seed=seed, val_loss=table["val_loss"] * (1 + 1e-9 * seed)) for seed in (1, 2)])
    assert len(fit(of_two_seeds, tmp_path).runs) == 16


def test_runs_of_a_random_search_that_stopped_at_different_steps_are_no_checkpoints(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"model": np.repeat(["a", "b"], 8), "step": rng.permutation(16) + 100, "learning_rate": rng.uniform(0.01, 1, 16)}
    )
    table = table.assign(core_hours=np.tile(HOURS, 2), val_loss=final(np.tile(HOURS, 2)), epochs=np.tile(np.arange(8) + 1, 2))
    found = fit(table.drop(columns="epochs"), tmp_path)
    assert not any("checkpoint" in entry.kind for entry in found.excluded)


def test_a_rate_that_decays_and_epochs_that_rise_along_a_run_are_no_settings(tmp_path):
    table = curves(run="run_name")
    table = table.assign(learning_rate=1e-3 * np.cos(table["step"] / 1000), epochs=table["step"] / 50)
    assert_eight_runs(fit(table, tmp_path))


def test_a_surface_is_of_all_runs_unless_asked_otherwise():
    rows = [
        {"id": f"{size} {epochs}", "model": str(size), "params": size, "epochs": epochs, "examples_seen": 1e6 * epochs}
        for size in (1e6, 3e6, 1e7, 3e7)
        for epochs in (1, 2, 4, 8)
    ]
    table = pd.DataFrame(rows)
    table = table.assign(
        core_hours=table["params"] * table["examples_seen"] / 1e12,
        val_loss=0.5 + 30 * table["params"] ** -0.3 + 20 * table["examples_seen"] ** -0.3,
    )
    fits, _ = analysis.fit_all(table, laws=["chinchilla"])
    assert [(found.law, found.cells) for found in fits] == [("chinchilla", 16)]
