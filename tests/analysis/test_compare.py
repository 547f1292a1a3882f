"""Two sides at equal compute: against statsmodels and scipy, exact speed-ups, noise that must cancel, intervals that must cover."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import analysis
from analysis.comparison.pairing import pair_cells
from analysis.response_surface import Covered, least_squares
from scaling.errors import TooFewPoints, UnknownName, UsageError
from tests.analysis.grids import chinchilla, grid


def better(factor: float):
    return lambda N, D: factor * chinchilla(N, D)


def two(factor: float = 0.985, **settings) -> pd.DataFrame:
    cost = settings.pop("cost", 1.0)
    return pd.concat([grid(**settings), grid(better(factor), family="vit", cost=cost, **settings)], ignore_index=True)


def test_the_mean_is_that_of_the_paired_differences():
    runs = two(noise=0.01, seeds=2)
    found = analysis.compare(runs)
    means = runs.groupby(["family", "params", "epochs"])["val_loss"].mean().unstack(0)
    difference = np.log(means["nfnet"] / means["vit"])
    assert found.found.design == "paired"
    assert found.found.pairs == 30
    assert found.difference.value == pytest.approx(difference.mean(), abs=1e-12)
    assert found.budgets["log_ratio"].mean() == pytest.approx(difference.mean(), abs=1e-12)
    # Noise alone, so the paired t test of scipy, which smooths nothing, must nearly agree.
    plain = stats.ttest_1samp(difference, 0).confidence_interval(0.95)
    assert found.difference.low == pytest.approx(plain.low, rel=0.15)
    assert found.difference.high == pytest.approx(plain.high, rel=0.15)


def test_least_squares_is_that_of_statsmodels():
    from statsmodels.regression.linear_model import OLS

    rng = np.random.default_rng(0)
    design = np.column_stack([np.ones(20), rng.standard_normal((20, 2))])
    y = rng.standard_normal(20)
    ours, theirs = least_squares(design, y), OLS(y, design).fit()
    assert np.allclose(ours.theta, theirs.params)
    assert np.allclose(ours.covariance, theirs.cov_params())


def test_what_both_sides_share_cancels():
    quiet, noisy = (analysis.compare(two(noise=0.003, shared=shared)) for shared in (0.0, 0.05))
    width = quiet.difference.high - quiet.difference.low
    assert noisy.difference.high - noisy.difference.low == pytest.approx(width, rel=0.05)
    assert noisy.better == quiet.better == "vit"


def test_shared_noise_cancels_though_budgets_differ():
    """One family costs half as much again, so that no cell has a partner of its compute."""
    widths = [
        np.subtract(
            *(getattr(analysis.compare(two(noise=0.003, shared=shared, cost=1.5)).difference, end) for end in ("high", "low"))
        )
        for shared in (0.0, 0.03)
    ]
    assert widths[1] < 3 * widths[0]  # 0.03 of shared noise unheeded would make it ten times as wide


@pytest.mark.parametrize(("cost", "design"), [(1.0, "paired"), (1.5, "joint")])
def test_intervals_cover_and_are_as_narrow_as_they_can_be(cost, design):
    """A constant gap of 1.5 % at equal (N, D); where the other side also costs more, the truth at equal compute is the frontiers'."""
    noise, covered, widths, simulations = 0.01, 0, [], 14
    for number in range(simulations):
        found = analysis.compare(two(noise=noise, cost=cost, rng_seed=number))
        assert found.found.design == design
        truth = -np.log(0.985) if design == "paired" else frontier_gap(found.found.shared, cost)
        covered += found.difference.low <= truth <= found.difference.high
        widths.append(found.difference.high - found.difference.low)
    assert covered >= 12
    # Cells that pair are compared directly; where they do not, the shape of the law must bridge what lies between them.
    oracle = 3.92 * noise * np.sqrt(2 / 30)
    assert np.mean(widths) < (1.15 if design == "paired" else 1.5) * oracle


def frontier_gap(shared, cost):
    """Mean over log compute of the difference of the two families' best log losses, sizes and epochs within those tried."""

    def best(budget, cost):
        sizes = np.geomspace(1e6, 8.1e7, 2000)
        D = budget * 1e15 / (6 * sizes * cost)
        ok = (D >= 0.25 * 2e7 * 0.999) & (D <= 8 * 2e7 * 1.001)
        return np.log(chinchilla(sizes[ok], D[ok])).min()

    return np.mean([best(x, 1.0) - best(x, cost) - np.log(0.985) for x in np.geomspace(*shared, 25)])


def by_compute(factor: float) -> pd.DataFrame:
    """Losses that depend on compute alone: side b is side a with `factor` times the compute."""
    x = np.geomspace(1, 1000, 12)
    sides = [
        pd.DataFrame({"family": name, "core_hours": x, "val_loss": 3 * (scale * x) ** -0.2})
        for name, scale in (("a", 1.0), ("b", factor))
    ]
    return pd.concat(sides, ignore_index=True)


def test_speed_up_is_exact_where_it_is_known():
    found = analysis.compare(by_compute(1.5))
    assert found.speed_up.value == pytest.approx(1.5, rel=1e-6)
    assert found.speed_up_at_largest.value == pytest.approx(1.5, rel=1e-6)
    assert found.better == "b"
    assert analysis.compare(by_compute(1.5), a="b", b="a").speed_up.value == pytest.approx(1 / 1.5, rel=1e-6)


def test_a_gap_that_grows_is_said_to_grow():
    runs = pd.concat([grid(noise=0.002), grid(lambda N, D: chinchilla(N, D) * (N * D / 2e13) ** -0.004, family="vit", noise=0.002)])
    found = analysis.compare(runs.reset_index(drop=True))
    assert found.p_value_trend < 0.01
    assert found.trend.value == pytest.approx(0.004, rel=0.3)
    assert "grows with core_hours" in found.sentence()


def test_no_difference_is_called_noise():
    found = analysis.compare(two(1.0, noise=0.01, rng_seed=3))
    assert found.better is None
    assert found.p_value > 0.05
    assert "beyond noise" in found.sentence()
    assert "ruled out" in found.sentence()


def test_pairs_need_equal_epochs_and_near_compute():
    a = pd.DataFrame({"log_x": np.log([1.0, 2.0, 4.0]), "epochs": [1.0, 2.0, 4.0]})
    b = pd.DataFrame({"log_x": np.log([1.05, 2.0, 8.0]), "epochs": [1.0, 1.0, 4.0]})
    assert pair_cells(a, b).tolist() == [[0, 0]]
    assert pair_cells(a.drop(columns="epochs"), b).tolist() == [[0, 0], [1, 1]]


def test_covered_region_is_the_convex_hull():
    """Against linear programming."""
    rng = np.random.default_rng(1)
    u, w = rng.integers(0, 6, 25).astype(float), rng.standard_normal(25)
    region = Covered(u, w)
    for at in np.linspace(u.min(), u.max(), 7):
        equal = {"A_eq": np.stack([u, np.ones_like(u)]), "b_eq": [at, 1.0], "bounds": (0, None)}
        low, high = (sign * optimize.linprog(sign * w, **equal).fun for sign in (1, -1))
        assert region.between(at) == pytest.approx((low, high), abs=1e-7)


def test_any_column_with_two_named_values():
    runs = pd.concat(
        [grid(noise=0.003).assign(batch_size=64.0), grid(better(0.97), noise=0.003, rng_seed=1).assign(batch_size=256.0)]
    )
    runs = runs.assign(id=[f"r{n}" for n in range(len(runs))]).reset_index(drop=True)
    found = analysis.compare(runs, by="batch_size", a="256", b="64")
    assert (found.a, found.b, found.better) == ("256", "64", "256")
    three = pd.concat([runs, grid().assign(batch_size=128.0, id=[f"s{n}" for n in range(30)])], ignore_index=True)
    with pytest.raises(UsageError, match="3 values"):
        analysis.compare(three, by="batch_size")
    with pytest.raises(UnknownName, match="batch_size '512'"):
        analysis.compare(three, by="batch_size", a="512")


def test_refusals():
    with pytest.raises(UsageError, match="nothing to compare"):
        analysis.compare(grid())
    with pytest.raises(UnknownName, match="column 'recipe'"):
        analysis.compare(grid(), by="recipe")
    with pytest.raises(TooFewPoints, match="share no range"):
        analysis.compare(two(cost=1e6))
    with pytest.raises(TooFewPoints, match="1 more is needed"):
        analysis.compare(two(epochs=(1, 2, 4), sizes=(1e6,)))
    diverged = two()
    diverged.loc[diverged["family"] == "vit", "status"] = "diverged"
    with pytest.raises(TooFewPoints, match="family vit has no usable run"):
        analysis.compare(diverged)


def test_payload_and_csv():
    found = analysis.compare(two(noise=0.01, seeds=2))
    payload = json.loads(json.dumps(analysis.payload(found), allow_nan=False))
    assert payload["schema_version"] == 1
    assert payload["speed_up"]["low"] < payload["speed_up"]["value"] < payload["speed_up"]["high"]
    assert payload["runs_used"] == 120
    assert len(payload["budgets"]) == 30
    assert found.to_csv().splitlines()[0].startswith("epochs,model_a,seeds_a,core_hours_a")


def test_a_column_of_many_values_is_listed_in_part(simulate):
    runs = simulate(lambda x: x**-0.2, noise=0.01)
    with pytest.raises(UsageError, match=r"val_loss has 24 values \((\S+, ){8}…\): which two") as caught:
        analysis.compare(runs, by="val_loss")
    with pytest.raises(UnknownName) as caught:
        analysis.compare(runs, by="val_loss", a="nope")
    assert len(caught.value.hint) < 120
