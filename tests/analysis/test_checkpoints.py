"""Checkpoints count as one run whatever their progress is called; runs that share a name do not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.cells import cells_of
from analysis.checkpoints import checkpoints_of
from analysis.reading.source import attach_source

RUNS, ROWS = 6, 10
ASKED = ("val_loss", "core_hours")


def curves(run="run_id", progress="steps", *, rows=ROWS, evenly=True):
    """Runs of six sizes, each with its rows; no other column than the run, what is asked for, a size and the progress."""
    at = np.arange(1, rows + 1) if evenly else 2 ** np.arange(rows)
    table = pd.DataFrame(
        [
            {run: f"r{number}", "params": 10**6 * 3**number, progress: int(1000 * done), "core_hours": 3**number * done / 10}
            for number in range(RUNS)
            for done in at
        ]
    )
    return table.assign(val_loss=3 * table["core_hours"] ** -0.1)


def found_in(table, **settings):
    return checkpoints_of(table, asked=ASKED, **settings)


def power(table, **settings):
    return analysis.fit(table, law="power", **settings)


@pytest.mark.parametrize(
    ("run", "progress"),
    [
        ("run_id", "steps"),
        ("run", "epochs"),
        ("Run ID", "it"),
        ("run", "iters"),
        ("uid", "num_batches"),
        ("experiment_id", "train/iterations"),
        ("run_name", "optimizer_updates"),
        ("filename", "iters"),
        ("log_path", "steps"),
        ("run", "examples_seen"),
        ("run", "tokens_b"),
        ("run", "n"),  # unknown, but compute is a straight line in it
    ],
)
def test_whatever_rises_along_a_run_is_its_progress(run, progress):
    table = curves(run, progress).sample(frac=1, random_state=0)
    assert (found_in(table).run, found_in(table).progress, found_in(table).runs) == ((run,), progress, RUNS)
    fit = power(table)
    assert fit.runs_used == RUNS
    assert set(fit.runs[progress]) == {1000 * ROWS}
    assert "54 earlier checkpoints of a run" in fit.excluded_words
    if progress not in ("examples_seen", "tokens_b", "n"):
        (note,) = fit.notes
        assert f"{progress} rises along the rows of each {run}" in note


@pytest.mark.parametrize("run", ["run_id", "run"])
def test_compute_alone_is_progress(run):
    table = curves(run).drop(columns="steps")
    assert found_in(table).progress == "core_hours"
    assert power(table).runs_used == RUNS
    assert power(table.rename(columns={"core_hours": "cost"}), x="cost").runs_used == RUNS


@pytest.mark.parametrize("rows", [2, 3, 8])
@pytest.mark.parametrize("progress", ["steps", "epochs"])
def test_few_rows_and_uneven_ones_are_checkpoints_too(rows, progress):
    assert found_in(curves("run", progress, rows=rows, evenly=False)).runs == RUNS


def test_a_number_that_names_runs_does_too():
    table = curves()
    by_number = table.assign(run_id=table["run_id"].str[1:].astype(int))
    assert found_in(by_number).runs == RUNS
    assert found_in(by_number.rename(columns={"run_id": "run"})).runs == RUNS  # each of its own size


@pytest.mark.parametrize(
    "more",
    [
        lambda t: t.assign(wer=np.round(30 / t["core_hours"] ** 0.1 + np.arange(len(t)) % 3, 2)),
        lambda t: t.assign(temperature=1 / t["steps"]),
        lambda t: t.assign(epochs=np.ceil(t["steps"] / 3000)),
        lambda t: t.assign(learning_rate=1e-3 * np.cos(t["steps"] / 7000)),
        lambda t: t.assign(lr=1e-3 * np.sin(t["steps"] / 4000)),
        lambda t: t.assign(checkpoint="/out/" + t["steps"].astype(str)),
        lambda t: t.assign(grad_norm=1.0, created_at="2024-01-01", weight_decay=0.1),
    ],
)
def test_results_schedules_and_paths_along_a_run_are_no_settings(more):
    assert found_in(more(curves())).runs == RUNS


def test_the_curve_itself_resamples_runs():
    table = curves("run", "examples_seen")
    fit = analysis.fit(table.assign(val_loss=1 + table["params"] ** -0.3 + table["examples_seen"] ** -0.3), law="chinchilla")
    assert (fit.runs_used, fit.clusters_used) == (RUNS * ROWS, RUNS)
    assert power(curves(), x="steps").clusters_used == RUNS


def test_the_user_may_say_that_each_row_is_a_run():
    assert found_in(curves(), cell=("steps",)) is None
    assert power(curves(), cell=("steps",)).runs_used == RUNS * ROWS
    assert power(attach_source(curves(), {"cell": ["steps"]})).runs_used == RUNS * ROWS


def budgets(**columns):
    """Three replicates of one model at six budgets."""
    epochs = np.repeat([1.0, 2, 4, 8, 16, 32], 3)
    hours = epochs * np.exp(0.1 * np.random.default_rng(0).standard_normal(len(epochs)))
    loss = 3 * epochs**-0.2 * np.tile([1, 1.01, 0.99], 6)
    return pd.DataFrame({"epochs": epochs, "core_hours": hours, "val_loss": loss, **columns})


SIZES = np.repeat(["s", "m", "l", "xl", "xxl", "h"], 3)
COSTS = np.repeat([1.0, 3, 9, 27, 81, 243], 3)


@pytest.mark.parametrize(
    ("table", "cells"),
    [
        (budgets(run=[0, 1, 2] * 6), 6),  # the number of a replicate
        (budgets(run=["a", "b", "c"] * 6), 6),  # its name
        (budgets(run="small"), 6),  # one name for all
        (budgets(run=np.repeat([f"e{number}" for number in range(6)], 3)), 6),  # one name for the seeds of each budget
        (budgets(run=np.repeat([f"e{number}" for number in range(6)], 3), seed=[0, 1, 2] * 6), 6),
        (pd.concat([budgets(run=name, params=size) for name, size in zip("abc", (1, 2, 4), strict=True)], ignore_index=True), 18),
        (budgets(name=["a", "b", "c"] * 6, model=["a", "b", "c"] * 6), 18),
        (budgets(run=SIZES, model=SIZES, epochs=1.0, core_hours=COSTS * np.tile([1, 1.1, 1.3], 6)), 6),
        (budgets(run=SIZES, model=SIZES, epochs=1.0, core_hours=COSTS * np.tile([1, 1.1, 1.3], 6), seed=[0, 1, 2] * 6), 6),
    ],
)
def test_seeds_that_share_a_name_are_no_checkpoints(table, cells):
    assert found_in(table) is None
    found = cells_of(table, metric="val_loss", x="core_hours")
    assert (len(found.runs), found.runs["cell"].nunique()) == (len(table), cells)


@pytest.mark.parametrize(
    "of_sweep",
    [
        {"width": [64, 128, 256, 512]},
        {"params": [1e6, 4e6, 1.6e7, 6.4e7]},
        {"n_params": [1e6, 4e6, 1.6e7, 6.4e7]},
        {"depth": [2, 4, 8, 16]},
        {"dropout": [0.0, 0.1, 0.2, 0.3]},
        {"batch_size": [32, 64, 128, 256]},
        {"augment": ["none", "crop", "mixup", "all"]},
        {"model": ["s", "m", "l", "xl"]},
        {"learning_rate": [0.1, 0.2, 0.4, 0.8]},
        {"peak_lr": [0.1, 0.2, 0.4, 0.8]},
    ],
)
@pytest.mark.parametrize("steps", [False, True])
def test_a_sweep_that_shares_a_name_is_no_run(of_sweep, steps):
    """Whatever was swept, cost rises with it or does not, and so may the steps that each took."""
    names = np.repeat([f"sweep{number}" for number in range(5)], 4)
    cost = np.tile([1.0, 2.1, 4.3, 8.8], 5) * np.repeat(3.0 ** np.arange(5), 4)
    table = pd.DataFrame({"run": names, "core_hours": cost, "val_loss": 3 * cost**-0.1})
    table = table.assign(**{name: np.tile(values, 5) for name, values in of_sweep.items()})
    if steps:
        table["steps"] = (1000 * cost).astype(int)
    rate = next((name for name in of_sweep if name.endswith(("rate", "lr"))), None)
    if rate is not None:  # a search for the best: not in the order of what it cost
        table[rate] = np.tile([0.2, 0.8, 0.1, 0.4], 5)
    assert found_in(table) is None
    assert found_in(table.sample(frac=1, random_state=1)) is None


def test_rows_that_have_names_of_their_own_are_runs():
    """As those of an MLflow export, whose experiments repeat; a number of the row is no such name."""
    table = curves("experiment_name", "epochs")
    ids = [f"{number:08x}" for number in range(len(table))]
    assert "checkpoints" in notes(table)
    assert "checkpoints" not in notes(table.assign(run_id=ids))
    assert found_in(curves().assign(id=ids)) is None
    assert found_in(curves().assign(id=range(len(table)))).runs == RUNS


def notes(table):
    return " ".join(cells_of(table, metric="val_loss", x="core_hours").notes)


def test_what_may_be_checkpoints_is_said():
    by_name = curves("name", "tokens")
    assert found_in(by_name) is None
    assert "tokens rises along the rows of each name" in notes(by_name)
    assert "--map run_id=name" in notes(by_name)
    two = curves()[lambda table: table["run_id"].isin(["r0", "r1"])]
    assert found_in(two) is None  # the last rows of two runs are no law
    assert "if these are checkpoints of one run" in notes(two)
    unnamed = pd.concat([curves(progress="step").assign(val_loss=lambda t, k=k: t["val_loss"] * (1 + k / 100)) for k in range(3)])
    assert "no column names runs" in notes(unnamed.drop(columns="run_id").reset_index(drop=True))


def test_budgets_of_models_by_name_need_no_such_word():
    assert not notes(curves("name", "tokens", rows=4, evenly=False))
    assert not notes(budgets(name="m"))
