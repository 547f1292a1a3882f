"""What was tried must not decide who wins: unequal sizes, unequal searches of the learning rate, unequal seeds."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import analysis
from analysis.comparison.by_side import least_squares_by_side
from analysis.comparison.searches import _left_out, luck_of, more_searched

SIZES = tuple(np.geomspace(1e7, 1e9, 5))
SMALL = tuple(np.geomspace(1e7, 10**7.5, 3))
EXAMPLES = tuple(np.geomspace(10**8.5, 1e11, 7))
COLUMNS = {
    "params and examples": (),
    "params alone": ("examples_seen",),
    "models alone": ("examples_seen", "params"),
    "examples alone": ("params", "model"),
}


def side(family: str, sizes=SIZES, examples=EXAMPLES, *, factor=1.0, noise=0.002, seed=0) -> pd.DataFrame:
    """A side of a law that is known; at equal compute small models are best up to some compute, then larger ones."""
    size, seen = (axis.ravel() for axis in np.meshgrid(sizes, examples, indexing="ij"))
    loss = factor * (1.7 + 400 * size**-0.34 + 410 * seen**-0.28)
    rng = np.random.default_rng([seed, ord(family[0])])
    return pd.DataFrame(
        {
            "family": family,
            "model": [f"{each:.0e}" for each in size],
            "params": size,
            "examples_seen": seen,
            "core_hours": 6 * size * seen / 1e18,
            "val_loss": loss * np.exp(noise * rng.standard_normal(len(size))),
        }
    )


def two(of_a: pd.DataFrame, of_b: pd.DataFrame, drop=()) -> pd.DataFrame:
    return pd.concat([of_a, of_b], ignore_index=True).drop(columns=list(drop))


@pytest.mark.parametrize("columns", COLUMNS)
def test_a_side_without_large_models_does_not_lose_for_it(columns):
    """b is truly 3 % better. At large compute a gains by sizes that b did not try."""
    runs = two(side("a"), side("b", SMALL, factor=0.97), COLUMNS[columns])
    found = analysis.compare(runs)
    assert found.better == "b"
    assert found.crossing.overtakes is None
    assert found.found.narrowed
    assert found.found.shared[1] < 0.5  # the best size grows out of b's at 0.14
    assert -found.difference_at_largest.value == pytest.approx(np.log(0.97), abs=0.008)
    (caveat,) = found.caveats
    assert "the best of b is of the largest models that it tried at equal compute, while a gains by larger ones" in caveat
    assert "Train larger models of b" in caveat
    assert found.sentence().endswith(caveat)
    assert json.loads(json.dumps(analysis.payload(found)))["caveats"] == [caveat]


def test_a_side_without_small_models_does_not_lose_for_it():
    found = analysis.compare(two(side("a"), side("b", SIZES[2:], factor=0.97)))
    assert found.found.narrowed
    assert {edge.wants for edge in found.found.edges} == {"smaller"}
    assert found.better == "b"
    assert found.crossing.overtakes is None
    assert found.found.shared[1] == pytest.approx(600, rel=0.01)  # the largest compute is as it was


def test_swapped_sides_and_units_change_nothing():
    runs = two(side("a"), side("b", SMALL, factor=0.97))
    one = analysis.compare(runs)
    other = analysis.compare(runs.assign(core_hours=runs["core_hours"] * 1e9), a="b", b="a")
    assert other.better == one.better == "b"
    assert other.found.shared == pytest.approx([1e9 * end for end in one.found.shared], rel=1e-6)
    assert other.difference_at_largest.value == pytest.approx(-one.difference_at_largest.value, rel=1e-6)


@pytest.mark.parametrize("sizes", [SIZES, SMALL, SIZES[1:2]])
def test_the_same_sizes_on_both_sides_have_no_edge(sizes):
    found = analysis.compare(two(side("a", sizes), side("b", sizes, factor=0.97)))
    assert not found.found.edges
    assert not found.caveats
    assert found.better == "b"


def test_families_whose_sizes_are_near_each_other_have_no_edge():
    found = analysis.compare(two(side("a"), side("b", tuple(1.3 * each for each in SIZES), factor=0.97)))
    assert not found.found.edges
    assert found.better == "b"


def test_one_model_a_side_is_compared_and_said():
    runs = two(side("a", SIZES[1:2]), side("b", SIZES[2:3], factor=0.97))
    found = analysis.compare(runs)
    assert not found.found.edges
    assert found.better is not None
    assert (
        found.notes[0]
        == "each side has one size of model (a: 3e+07, b: 1e+08): these two are compared, not the best of either side"
    )
    recipes = runs.assign(recipe=runs["family"], model="m", params=1e8, family="f")
    assert analysis.compare(recipes, by="recipe").notes[0] == "both sides have one size of model, m: nothing is said about others"


LONG = tuple(np.geomspace(1e11, 1e13, 7))


def test_no_winner_where_no_compute_compares():
    """Two small models that were trained long, against a grid that has larger ones too."""
    found = analysis.compare(two(side("a", examples=(*EXAMPLES, *LONG[1:])), side("b", (1e7, 1.6e7), LONG, factor=0.97)))
    assert found.better is None
    assert found.withheld in found.sentence()
    assert found.sentence().startswith("No winner is named between a and b. The difference may only tell which sizes were tried")
    assert "larger models of b at these computes" in found.withheld
    assert found.crossing.overtakes is None
    payload = analysis.payload(found)
    assert (payload["better"], payload["withheld"]) == (None, found.withheld)


def test_a_side_that_wins_in_spite_of_its_sizes_wins():
    found = analysis.compare(two(side("a", examples=(*EXAMPLES, *LONG[1:])), side("b", (1e7, 1.6e7), LONG, factor=0.6)))
    assert found.better == "b"
    assert found.withheld is None
    assert "b is better at the sizes nearest to each other, too" in found.sentence()


@pytest.mark.parametrize("few", [EXAMPLES[::3], EXAMPLES[1::2]])
def test_few_cells_name_no_winner_by_sizes_either(few):
    found = analysis.compare(two(side("a", SIZES[::2], few), side("b", SMALL[:2], few, factor=0.97)))
    assert found.better != "a"
    assert found.found.edges


# The learning rate: two recipes that are alike, of one model.
BUDGETS = tuple(np.geomspace(1, 1000, 8))


def searched(family: str, rates, *, seeds=1, best=1e-3, curvature=0.0, noise=0.01, rng) -> pd.DataFrame:
    budget, rate, seed = (axis.ravel() for axis in np.meshgrid(BUDGETS, rates, np.arange(seeds), indexing="ij"))
    loss = (1 + 2 * budget**-0.2) * np.exp(curvature * np.log(rate / best) ** 2 + noise * rng.standard_normal(len(rate)))
    return pd.DataFrame(
        {
            "family": family,
            "model": "m",
            "epochs": budget,
            "learning_rate": rate,
            "seed": seed,
            "core_hours": budget,
            "val_loss": loss,
        }
    )


FIVE = tuple(1e-3 * 2.0**step for step in range(-2, 3))


def test_who_tries_more_rates_does_not_win_for_it():
    found, of_a, of_b = [], tuple(np.arange(1, 9) * 1e-3), (1e-3,)
    for draw in range(12):
        rng = np.random.default_rng([draw, len(of_a)])
        found.append(analysis.compare(two(searched("a", of_a, rng=rng), searched("b", of_b, rng=rng))))
    assert sum(each.better is not None for each in found) <= 3  # of 12 at 5 %: exceeded one time in 450
    p = [each.p_value for each in found]
    assert np.mean(np.less(p, 0.05)) <= 0.25
    assert stats.kstest(p, "uniform").pvalue > 1e-3
    assert f"a tried {len(of_a)} learning rates a cell, b {len(of_b)}." in found[0].sentence()


def test_a_real_search_finds_its_best_rate():
    """The wrong rates cost up to 10 %, and the sides are alike at the best."""
    rng = np.random.default_rng(1)
    found = analysis.compare(two(searched("a", FIVE, curvature=0.05, rng=rng), searched("b", (1e-3,), rng=rng)))
    assert abs(found.difference.value) < 0.01
    worse = analysis.compare(two(searched("a", FIVE, curvature=0.05, rng=rng), searched("b", (1e-3,), noise=0.01, rng=rng).assign(
        val_loss=lambda table: table["val_loss"] * 1.1)))  # fmt: skip
    assert worse.better == "a"


def test_rates_that_diverged_in_a_cell_or_two_are_no_other_search():
    rng = np.random.default_rng(2)
    runs = two(searched("a", FIVE, rng=rng), searched("b", FIVE, rng=rng)).assign(status="finished")
    runs.loc[4, "status"] = "diverged"
    found = analysis.compare(runs)
    assert found.rates is None
    assert len([entry for entry in found.excluded if entry.kind == "not at its cell's best learning rate"]) == 63


def test_every_run_counts_or_is_left_out_once():
    rng = np.random.default_rng(3)
    runs = two(searched("a", FIVE, seeds=2, rng=rng), searched("b", (1e-3,), rng=rng))
    found = analysis.compare(runs)
    assert found.runs_used + len(found.excluded) == len(runs)
    assert len({entry.id for entry in found.excluded}) == len(found.excluded)
    shuffled = analysis.compare(runs.sample(frac=1, random_state=0).reset_index(drop=True))
    assert shuffled.difference.value == pytest.approx(found.difference.value, rel=1e-9)


def test_luck_is_the_mean_of_the_lowest():
    trials = np.random.default_rng(0).standard_normal((20000, 8))
    for rates in (1, 2, 5, 8):
        assert luck_of(np.array(rates)) == pytest.approx(-trials[:, :rates].min(1).mean(), abs=0.04)


def test_unequal_searches_in_either_half_are_seen():
    table = pd.DataFrame({"log_x": np.arange(8.0), "rates_tried": 3})
    assert more_searched(table, table) is None
    assert more_searched(table, table.assign(rates_tried=[5, 5, 5, 5, 2, 2, 2, 2])) == 0


def test_left_out_is_the_fit_to_the_others():
    rng = np.random.default_rng(0)
    features, y = np.column_stack([np.ones(9), rng.standard_normal(9)]), rng.standard_normal(9)
    for row in range(9):
        others = np.arange(9) != row
        theta = np.linalg.lstsq(features[others], y[others], rcond=None)[0]
        assert _left_out(features, y)[row] == pytest.approx(features[row] @ theta)


def test_weights_of_the_sides_are_those_of_statsmodels():
    from statsmodels.regression.linear_model import WLS

    rng = np.random.default_rng(0)
    x, of_a = np.linspace(-1, 1, 60), 20
    y = x + np.where(np.arange(60) < of_a, 0.1, 0.01) * rng.standard_normal(60)
    design = np.column_stack([np.ones(60), x, np.where(np.arange(60) < of_a, 0.5, -0.5)])
    found = least_squares_by_side(design, y, of_a, 2)
    residual = y - design @ found.theta
    spread = [np.std(residual[:of_a]), np.std(residual[of_a:])]
    theirs = WLS(y, design, 1 / np.repeat(spread, [of_a, 40]) ** 2).fit(cov_type="fixed scale")
    assert np.allclose(found.theta, theirs.params, atol=1e-3)
    assert np.sqrt(found.covariance[2, 2]) == pytest.approx(theirs.bse[2], rel=0.1)
    assert 18 <= found.degrees_of_freedom <= 24  # nearly those of the noisy side


def test_unequal_seeds_do_not_decide():
    """Cells and seeds of each side. Budgets do not pair."""
    p, of_a, of_b = [], (8, 1), (24, 5)
    for draw in range(16):
        rng = np.random.default_rng([draw, *of_a])
        sides = []
        for name, (cells, seeds), start in (("a", of_a, 1.0), ("b", of_b, 1.13)):
            x = np.repeat(np.geomspace(start, start * 1000, cells), seeds)
            loss = 3 * x**-0.1 * np.exp(0.01 * rng.standard_normal(len(x)))
            sides.append(
                pd.DataFrame({"family": name, "model": "m", "epochs": x, "core_hours": x, "seed": np.tile(np.arange(seeds), cells), "val_loss": loss})
            )  # fmt: skip
        p.append(analysis.compare(pd.concat(sides, ignore_index=True)).p_value_at_largest)
    assert np.mean(np.less(p, 0.05)) <= 0.2
    assert stats.kstest(p, "uniform").pvalue > 1e-3
