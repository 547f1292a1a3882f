"""Rows at equal compute that were averaged as seeds, though nothing says that they are: the isoFLOP design without its sizes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import analysis
from tests.analysis.grids import grid

BUDGETS = np.geomspace(1e17, 1e20, 7)


def isoflop(families=("a", "b"), sizes=7):
    """Each of `sizes` sizes once at each compute: losses of one compute are a valley."""
    return pd.DataFrame(
        {
            "family": family,
            "train_flops": flops,
            "params": size,
            "val_loss": worse * (1.7 + 500 * size**-0.34 + 900 * (flops / 6 / size) ** -0.37),
        }
        for family, worse in zip(families, (1.0, 1.03), strict=False)
        for flops in BUDGETS
        for size in np.sqrt(flops / 6 / 20) * np.geomspace(0.25, 4, sizes)
    )


def notes_of(runs):
    return [note for note in analysis.compare(runs, x="train_flops").notes if "were averaged" in note]


def test_sizes_without_a_column_are_said_with_a_cure_that_works():
    table = isoflop()
    (note,) = notes_of(table.drop(columns="params"))
    assert note.startswith("49 rows at 7 values of train_flops were averaged")
    assert "no column tells them apart" in note
    assert "--map params=THEIRS" in note
    assert not notes_of(table)
    (fitted,) = analysis.fit(table[table["family"] == "a"].drop(columns="params"), x="train_flops", law="power", on="all").notes
    assert fitted == note


def test_each_side_has_its_own_line_where_they_differ():
    table = isoflop().drop(columns="params")
    fewer = table[~((table["family"] == "b") & (table["train_flops"] == BUDGETS[0]))]
    assert [note.partition(" rows")[0] for note in notes_of(fewer)] == ["a: 49", "b: 42"]


@pytest.mark.parametrize("rng_seed", range(20))
def test_seeds_are_taken_at_their_word_unless_they_differ_by_far_more_than_their_means(rng_seed):
    rng = np.random.default_rng(rng_seed)
    table = isoflop().drop(columns="params")
    numbered = table.assign(seed=table.groupby(["family", "train_flops"]).cumcount())
    assert "they differ by far more than their means" in notes_of(numbered)[0]
    seeds = numbered.assign(val_loss=numbered["train_flops"] ** -0.05 * np.exp(0.02 * rng.standard_normal(len(table))))
    assert not notes_of(seeds)


def test_a_grid_of_models_and_epochs_has_no_such_note():
    assert not [note for note in analysis.frontier(grid(noise=0.005, seeds=2)).notes if "were averaged" in note]
