"""What one point is: which rows are replicates of one cell, which are checkpoints of one run, and what is resampled together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.cells import cells_of
from analysis.checkpoints import checkpoints_of
from analysis.design_columns import alike, design_columns, with_epochs
from analysis.reading.source import attach_source
from scaling.errors import TooFewPoints, UnknownName, UsageError


def table(**columns):
    """Two settings with two runs each, which differ in `columns` and in loss alone."""
    losses = [2.0, 2.1, 1.5, 1.6]
    return pd.DataFrame({"core_hours": [1.0, 1.0, 4.0, 4.0], "epochs": [1.0, 1.0, 4.0, 4.0], "val_loss": losses, **columns})


def cells(runs, **settings):
    found = cells_of(runs, metric="val_loss", x="core_hours", **settings)
    return found.runs["cell"].nunique(), found


@pytest.mark.parametrize(
    "columns",
    [
        {"family": ["a", "b"] * 2},
        {"model": ["a", "b"] * 2},
        {"params": [1e6, 2e6] * 2},
        {"examples_seen": [1e3, 2e3, 4e3, 8e3]},
        {"unique_examples": [1e3, 5e2] * 2},
        {"batch_size": [64, 128] * 2},
        {"optimizer": ["sgd", "adam"] * 2},
    ],
)
def test_each_setting_tells_cells_apart(columns):
    assert cells(table())[0] == 2
    assert cells(table(**columns))[0] == 4


@pytest.mark.parametrize(
    "columns",
    [
        {"seed": [0, 1] * 2},
        {"examples_seen": [1000, 1001, 4000, 4003]},  # measured: as many epochs, nearly as many examples
        {"host": ["n1", "n2"] * 2},
        {"output_dir": ["/a", "/b"] * 2},
        {"run_name": ["p", "q", "r", "s"]},
        {"train_loss": [1.9, 2.0, 1.4, 1.5]},
        {"model": ["m", "m", None, "m"], "params": [1e6, np.nan, 1e6, 1e6]},  # a hole is no other setting
    ],
)
def test_what_is_no_setting_tells_no_cells_apart(columns):
    count, found = cells(table(**columns))
    assert count == (3 if "model" in columns else 2)  # an empty model name is a name, of a model nobody named
    assert not found.notes


def test_a_column_of_unknown_meaning_is_named_and_the_user_may_tell_by_it():
    runs = table(augment=["none", "mixup"] * 2)
    count, found = cells(runs)
    assert count == 2
    assert found.notes == ("augment differs between runs that were averaged as one cell; --cell augment keeps them apart",)
    assert cells(runs, cell=("augment",))[0] == 4
    assert "note: augment differs" in analysis.fit(six_budgets().assign(augment=["none", "mixup"] * 6), law="power").summary()
    with pytest.raises(UnknownName, match="augmnt"):
        cells(runs, cell=("augmnt",))


def six_budgets(seeds=2):
    epochs = np.repeat([1.0, 2, 4, 8, 16, 32], seeds)
    noise = np.random.default_rng(0).normal(0, 0.01, len(epochs))
    return pd.DataFrame(
        {"core_hours": epochs, "epochs": epochs, "seed": np.tile(range(seeds), 6), "val_loss": epochs**-0.2 * np.exp(noise)}
    )


def test_configuration_of_an_export_tells_cells_apart_where_some_rows_share_it():
    """As the readers of W&B and MLflow list it; a value a row is a name, and a path, host, seed or time is no setting."""
    runs = table(width=[1, 2] * 2, trial_key=["a", "b", "c", "d"], data_path=["/a", "/b"] * 2, job_seed=[1, 2] * 2)
    assert cells(runs)[0] == 2
    exported = attach_source(runs, {"config": ["width", "trial_key", "data_path", "job_seed"]})
    count, found = cells(exported)
    assert count == 4
    assert "width" in found.columns
    assert not {"trial_key", "data_path", "job_seed"} & set(found.columns)


def test_sizes_at_one_nominal_budget_are_no_seeds():
    """The classic isoFLOP table: equal nominal budgets, no epochs, no models."""
    rng = np.random.default_rng(3)
    flops, params = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e18, 1e20, 5), np.geomspace(1e8, 1e10, 9)))
    tokens = flops / 6 / params
    loss = 1.7 + 400 * params**-0.34 + 410 * tokens**-0.28
    runs = pd.DataFrame({"params": params, "train_flops": flops, "val_loss": loss * np.exp(0.001 * rng.standard_normal(45))})
    assert len(analysis.frontier(runs, x="train_flops").points) == 45
    with_tokens = runs.assign(examples_seen=tokens)
    assert len(analysis.frontier(with_tokens, x="train_flops").points) == 45
    found = analysis.compute_optimal(with_tokens, x="train_flops").path("surface")
    assert found.size_exponent.low < 0.28 / 0.62 < found.size_exponent.high  # N ∝ C^(beta/(alpha + beta))


def test_sizes_without_models_are_cells_of_their_own():
    runs = pd.DataFrame(
        {"params": [1e6, 2e6] * 4, "epochs": np.repeat([1.0, 2, 4, 8], 2), "core_hours": range(1, 9), "val_loss": 1.0}
    )
    assert cells(runs)[0] == 8


def test_epochs_come_from_examples_where_the_size_of_the_split_is_known():
    runs = pd.DataFrame({"examples_seen": [500.0, 1000, 2000, 8000], "unique_examples": [500.0, 1000, 1000, 1000]})
    assert with_epochs(runs)["epochs"].tolist() == [0.5, 1, 2, 8]
    assert "epochs" not in with_epochs(runs.assign(unique_examples=[500, 1000, 1000, 2000]))  # two splits
    assert "epochs" not in with_epochs(runs.assign(unique_examples=runs["examples_seen"]))  # nothing repeats: any split will do


def test_a_learning_rate_by_another_name_is_searched_too():
    runs = table(lr=[0.1, 0.2] * 2)
    count, found = cells(runs)
    assert (count, len(found.runs)) == (2, 2)
    assert found.notes == ("lr was read as learning_rate: of a cell's rates the best counts",)


def test_one_seed_twice_is_refused_with_the_column_and_the_cure():
    with pytest.raises(UsageError, match="differ in augment") as caught:
        cells(table(seed=[0] * 4, augment=["none", "mixup"] * 2))
    assert "--cell augment" in caught.value.hint


def test_a_cell_is_the_same_whatever_the_order_of_the_rows_and_the_names():
    runs = table(model=["a", "b", "a", "b"])
    shuffled = runs.sample(frac=1, random_state=1)
    columns = design_columns(runs, x=("core_hours",))
    assert alike(shuffled, columns).loc[runs.index].tolist() == alike(runs, columns).tolist()


def curves(runs=12, checkpoints=20, *, spread=0.02, seed=0, name="run"):
    """Loss curves of runs that lie off the law as a whole: what is wrong with one checkpoint is wrong with the next."""
    rng = np.random.default_rng(seed)
    rows = [
        {name: f"r{run}", "params": 1e7 * 1.5**run, "examples_seen": seen, "step": number, "off": off}
        for run, off in enumerate(spread * rng.standard_normal(runs))
        for number, seen in enumerate(np.geomspace(1e8, 1e10, checkpoints))
    ]
    found = pd.DataFrame(rows)
    loss = 1.5 + 300 * found["params"] ** -0.35 + 200 * found["examples_seen"] ** -0.28
    return found.assign(train_flops=6 * found["params"] * found["examples_seen"], val_loss=loss * np.exp(found.pop("off")))


@pytest.mark.parametrize("name", ["run", "run_id", "id"])
def test_of_checkpoints_the_last_counts(name):
    runs = curves(name=name)
    fit = analysis.fit(runs.sample(frac=1, random_state=0), x="train_flops", law="power")
    assert fit.runs_used == 12
    assert set(fit.runs["step"]) == {19}
    assert "228 earlier checkpoints of a run" in fit.excluded_words
    assert len(analysis.frontier(runs, x="train_flops").points) == 12


@pytest.mark.parametrize("name", ["run", "id"])
def test_a_law_of_the_curve_itself_resamples_runs(name):
    runs = curves(name=name)
    fit = analysis.fit(runs, x=("params", "examples_seen"), law="chinchilla")
    assert (fit.runs_used, fit.clusters_used, fit.clusters) == (240, 12, (name,))
    assert fit.runs_words == f"240 rows of 12 clusters, resampled by {name}"
    as_if_apart = analysis.fit(runs.drop(columns=[name, "step"]), x=("params", "examples_seen"), law="chinchilla")
    widths = [found.interval().loc["alpha", "high"] - found.interval().loc["alpha", "low"] for found in (fit, as_if_apart)]
    assert widths[0] > 2 * widths[1]
    asked = analysis.fit(runs, x="train_flops", law="power", clusters=(name,))
    assert (asked.runs_used, asked.clusters_used) == (240, 12)


def test_intervals_of_curves_hold_the_truth():
    held = [
        interval["low"] <= 0.28 <= interval["high"]
        for seed in range(16)
        for interval in [analysis.fit(curves(seed=seed), x=("params", "examples_seen"), law="chinchilla").interval().loc["beta"]]
    ]
    assert (
        sum(held) >= 13
    )  # 16 × 95 %, less three standard deviations; rows taken as independent hold it in half of the draws: 13 of 16 once in 90


def test_a_number_of_a_replicate_names_no_run():
    """`run` 0, 1, 2 of every setting are seeds by another name."""
    runs = pd.DataFrame({"run": [0, 1] * 3, "params": np.repeat([1e6, 2e6, 4e6], 2), "examples_seen": 1e6, "val_loss": 1.0})
    assert checkpoints_of(runs) is None
    assert checkpoints_of(runs.assign(run=range(6))) is None
    assert checkpoints_of(curves()).runs == 12


def test_configuration_of_a_wandb_export_splits_cells_and_results_do_not(tmp_path):
    """The runs table as CSV: settings and results side by side under plain names."""
    path = tmp_path / "wandb.csv"
    rows = [
        f"r{seed}{width}{steps},finished,{steps},{width},adam,{seed},/out/{seed},{steps},{0.5 + seed / 100:.2f},{3 / steps + width / 1000 + seed / 1e4}"
        for steps in (1, 2, 4, 8, 16)
        for width in (64, 128)
        for seed in (0, 1)
    ]
    path.write_text("\n".join(["Name,State,Runtime,width,opt_name,seed,out_dir,epochs,final_acc,val_loss", *rows]))
    runs = analysis.read_runs(path, {"core_hours": "Runtime"})
    found = cells_of(runs, metric="val_loss", x="core_hours")
    assert found.runs["cell"].nunique() == 10
    assert "width" in found.columns
    assert not {"final_acc", "out_dir", "seed"} & set(found.columns)
    plain = runs.drop(columns=[]).copy()
    plain.attrs = {}
    with pytest.raises(UsageError, match="differ in width"):  # of a table of unknown origin it is not known what width means
        cells_of(plain, metric="val_loss", x="core_hours")


def test_runs_that_cost_many_times_as_much_are_no_replicates():
    """Five sizes that no column names, at four budgets: what their rows agree in cannot be all that was set."""
    rng = np.random.default_rng(0)
    sizes, steps = (axis.ravel() for axis in np.meshgrid([1, 2, 4, 8, 16], [1000, 2000, 4000, 8000]))
    runs = pd.DataFrame({"steps": steps, "core_hours": sizes * steps / 1e3, "val_loss": 3 * (sizes * steps) ** -0.1})
    count, found = cells(runs)
    assert count == 20
    assert "differ more in core_hours than replicates do" in found.notes[0]
    bare = pd.DataFrame({"core_hours": np.geomspace(1, 100, 8), "val_loss": np.geomspace(2, 1, 8)})
    assert cells(bare.assign(epochs=1.0))[0] == cells(bare)[0] == 8
    noisy = six_budgets(seeds=3).assign(core_hours=lambda t: t["core_hours"] * np.exp(0.2 * rng.standard_normal(len(t))))
    one_far = noisy.assign(core_hours=noisy["core_hours"].where(noisy.index != 4, 5 * noisy["core_hours"]))
    assert cells(noisy)[0] == cells(one_far)[0] == 6


def two_budgets(**columns):
    """Six models of one epoch each, at 1000 and 2000 steps: twelve runs, no two of them alike."""
    number, steps = (axis.ravel() for axis in np.meshgrid(range(6), [1000, 2000], indexing="ij"))
    cost = 3.0**number * steps / 1e3
    runs = pd.DataFrame({"model": [f"m{each}" for each in number], "epochs": 1, "steps": steps, "core_hours": cost})
    return runs.assign(val_loss=3 * cost**-0.1, **columns)


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"examples_seen": 1e6},
        {"batch_size": 256},
        {"epochs": np.nan},
        {"epochs": np.repeat([1, 2, 3, 4, 5, 6], 2)},  # of each model, and the same in its runs
        {"steps": [1000, 2000, 1100, 2300, 1200, 2400, 1300, 2500, 1400, 2900, 1500, 3000]},  # no two models have them in common
    ],
)
def test_steps_tell_budgets_apart_where_nothing_else_does_within_a_model(columns):
    runs = two_budgets(**columns)
    count, found = cells(runs)
    assert count == 12
    assert "steps" in found.columns
    assert not found.notes
    both = pd.concat(
        [runs.assign(seed=seed, core_hours=runs["core_hours"] * (1 + seed / 50)) for seed in (0, 1)], ignore_index=True
    )
    assert (cells(both)[0], len(cells(both)[1].runs)) == (12, 24)


@pytest.mark.parametrize("steps", [[3000, 3010, 2990], [4100, 3500, 3020]])
def test_the_steps_that_runs_happened_to_take_are_no_setting(steps):
    runs = six_budgets(seeds=3)
    taken = np.concatenate([np.array(steps) * 2**number + number for number in range(6)])
    count, found = cells(runs.assign(steps=taken))
    assert count == 6
    assert not found.notes


def test_steps_in_which_equal_runs_differ_are_named():
    with pytest.raises(UsageError, match="differ in steps") as caught:
        cells(table(seed=[0] * 4, steps=[10, 25, 40, 90]))
    assert "--cell steps" in caught.value.hint
    _, found = cells(table(max_iters=[10, 20] * 2))
    assert found.notes == ("max_iters differs between runs that were averaged as one cell; --cell max_iters keeps them apart",)
    assert cells(table(epoch=[10, 20] * 2))[1].notes == (
        "epoch differs between runs that were averaged as one cell; --cell epoch keeps them apart",
    )


def test_compute_that_differs_by_one_factor_in_all_cells_is_of_budgets():
    runs = two_budgets().drop(columns="steps")
    count, found = cells(runs)
    assert count == 12
    assert "differ more in core_hours than replicates do" in found.notes[0]
    slower = pd.concat([runs[::2].assign(seed=seed, core_hours=runs["core_hours"][::2] * (1 + seed)) for seed in (0, 1)])
    assert cells(slower.reset_index(drop=True))[0] == 6  # another machine for the other seed
    rng = np.random.default_rng(0)
    noisy = pd.concat(
        [runs[::2].assign(core_hours=runs["core_hours"][::2] * np.exp(0.3 * rng.standard_normal(6))) for _ in range(3)]
    )
    assert cells(noisy.reset_index(drop=True))[0] == 6


def test_too_few_clusters_are_counted_as_clusters():
    runs = six_budgets().assign(site=["a", "b"] * 6, country=["x"] * 12)
    with pytest.raises(
        TooFewPoints, match="needs 3 clusters by site, which are resampled whole; there are 2, of 6 cells"
    ) as caught:
        analysis.fit(runs, law="power", clusters=("site",))
    assert (caught.value.have, caught.value.need) == (2, 3)
    with pytest.raises(TooFewPoints, match=r"clusters by site and country.* there are 2"):
        analysis.fit(runs, law="power", clusters=("site", "country"))
    with pytest.raises(TooFewPoints, match=r"clusters by country.* there is 1, of 6 cells .*: 2 more are needed"):
        analysis.fit(runs, law="power", clusters=("country",))
    with pytest.raises(TooFewPoints, match="needs 3 cells of distinct core_hours; there are 2"):
        analysis.fit(runs[:4], law="power", clusters=("seed",))
