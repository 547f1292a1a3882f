"""Weight decay and batch size that were searched: of a cell's values the best counts, and what was not searched keeps its meaning."""

import itertools

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.cells import cells_of
from analysis.reading.source import attach_source


def searched(second="weight_decay", *, values=(0.05, 0.1, 0.2), told=True, seeds=(0, 1)):
    """Two models, three budgets, three rates and values. The best value is the middle one, at the middle rate, and has several seeds."""
    rows = []
    cells = itertools.product((("F0", 1e6), ("F1", 4e6)), (1, 2, 4), (0.1, 0.2, 0.4), values)
    for (model, params), epochs, rate, value in cells:
        off = np.log2(rate / 0.2) ** 2 + np.log2(value / values[1]) ** 2
        for seed in seeds if off == 0 else seeds[:1]:
            loss = (1 + 0.05 * off) * (params * epochs / 1e6) ** -0.2 * (1 + 0.001 * seed)
            rows.append(
                {
                    "model": model,
                    "params": params,
                    "epochs": epochs,
                    "learning_rate": rate,
                    second: value,
                    "seed": seed,
                    "val_loss": loss,
                }
                | {"core_hours": params * epochs * 1e-6 * (1.0 if second != "batch_size" else 5.0 * 64 / value)}
                | ({"steps": int(1e4 * epochs / value)} if second == "batch_size" else {})
            )
    table = pd.DataFrame(rows).assign(family="nfnet", status="finished", id=lambda table: [f"r{n}" for n in range(len(table))])
    return table.assign(searched=second) if told else table


@pytest.mark.parametrize(
    ("second", "values", "told"),
    [("weight_decay", (0.05, 0.1, 0.2), True), ("weight_decay", (0.05, 0.1, 0.2), False), ("batch_size", (32, 64, 128), True)],
)
def test_of_what_was_searched_the_best_pair_counts(second, values, told):
    runs = searched(second, values=values, told=told)
    found = cells_of(runs, metric="val_loss", x="core_hours")
    assert found.runs["cell"].nunique() == 6
    assert set(found.runs[second]) == {values[1]}
    assert set(found.runs["learning_rate"]) == {0.2}
    assert (found.runs.groupby("cell")["seed"].nunique() == 2).all()
    assert len(found.excluded) == len(runs) - len(found.runs)
    kinds = {entry.kind for entry in found.excluded}
    assert kinds == {"not at its cell's best learning rate", f"not at its cell's best {second.replace('_', ' ')}"}
    assert [note for note in found.notes if "taken as searched" in note] == [note for note in found.notes if not told]
    shuffled = cells_of(runs.sample(frac=1, random_state=0), metric="val_loss", x="core_hours")
    assert set(shuffled.runs["id"]) == set(found.runs["id"])


def test_a_batch_size_that_nobody_says_was_searched_tells_cells_apart():
    found = cells_of(searched("batch_size", values=(32, 64, 128), told=False), metric="val_loss", x="core_hours")
    assert found.runs["cell"].nunique() == 18
    assert set(found.runs["batch_size"]) == {32, 64, 128}


@pytest.mark.parametrize("second", ["weight_decay", "batch_size"])
def test_in_a_table_that_says_what_was_searched_other_values_tell_cells_apart(second):
    """Runs of a grid beside those of a search: the grid's are cells of their own."""
    runs = searched(second, values=(32, 64, 128))
    grid = runs[(runs[second] == 64) & (runs["seed"] == 0)].assign(searched="", id=lambda table: "g" + table["id"])
    both = pd.concat([runs, grid.assign(**{second: 256})], ignore_index=True)
    found = cells_of(both, metric="val_loss", x="core_hours")
    assert found.runs["cell"].nunique() == 12
    assert sorted(found.runs.groupby("cell")[second].first()) == [64] * 6 + [256] * 6


@pytest.mark.parametrize("told", [True, False])
def test_cell_keeps_the_values_apart(told):
    runs = attach_source(searched(told=told), {"cell": ["weight_decay"]})
    found = cells_of(runs, metric="val_loss", x="core_hours")
    assert found.runs["cell"].nunique() == 18
    assert not any("taken as searched" in note for note in found.notes)


def test_weight_decays_that_go_with_the_seed_are_not_searched():
    runs = searched(values=(0.1, 0.1, 0.1)[:3], told=False)
    runs = runs.drop_duplicates(["model", "epochs", "learning_rate"]).assign(weight_decay=0.1)
    second = runs.assign(seed=1, weight_decay=0.2, id="b" + runs["id"])
    found = cells_of(pd.concat([runs, second], ignore_index=True), metric="val_loss", x="core_hours")
    assert any(note.startswith("weight_decay differs between runs that were averaged") for note in found.notes)
    assert (found.runs.groupby("cell")["seed"].nunique() == 2).all()


def test_configuration_of_a_tracker_is_searched_where_one_seed_has_several_values():
    runs = searched(told=False)
    attach_source(runs, {"config": ["weight_decay", "learning_rate"]})
    assert cells_of(runs, metric="val_loss", x="core_hours").runs["cell"].nunique() == 6
    fixed = runs[(runs["weight_decay"] == 0.1) | (runs["model"] == "F0")]
    fixed = fixed[(fixed["weight_decay"] == 0.2) | (fixed["model"] == "F1")]
    attach_source(fixed, {"config": ["weight_decay"]})
    assert cells_of(fixed, metric="val_loss", x="core_hours").runs["cell"].nunique() == 6


def test_the_trend_of_rates_is_of_the_best_value():
    trend = analysis.learning_rate_trend(searched())
    assert len(trend.optima) == 6
    assert np.allclose(trend.optima["learning_rate"], 0.2, rtol=0.01)
    assert set(trend.points["learning_rate"]) == {0.1, 0.2, 0.4}
    assert {entry.kind for entry in trend.excluded} == {"not at its cell's best weight decay"}


def test_a_fit_says_nothing_of_edges_that_other_values_closed():
    fit = analysis.fit(searched(), law="power")
    assert fit.cells == 6
    assert "optimum-not-interior" not in {str(found.code) for found in fit.diagnostics}
