"""The joint law in epochs and size: planted exponents are found, intervals hold them, and what contradicts monotony is told."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import nnls

import analysis
from analysis.fitting.cluster import cluster_covariance
from analysis.fitting.shared_parabola import Curves
from analysis.learning_rate.monotone import MOST_CELLS, CellMinima, _least_misfits, cell_minima, monotonicity_p_value
from analysis.learning_rate.unseen import trials_needed
from scaling.errors import UnknownName, UsageError

SIZES = {"F0": 1e6, "F1": 2e6, "F3": 4e6}
S, T, U, C, KAPPA = 0.25, 0.1, 0.06, 1.2, 0.05


def best_rate(params, epochs, *, s=S, t=T, u=U):
    size = math.log(params / 2e6)  # the geometric mean of the three
    return C * epochs ** -(s + u * size) * math.exp(-t * size)


def sized_sweep(
    *, noise=0.0, scatter=0.0, seeds=1, rates=(0.2, 0.4, 0.8, 1.6), sizes=SIZES, rng_seed=0, **exponents
) -> pd.DataFrame:
    """Each cell's optimum is the law's, times log-normal `scatter`; losses are exact parabolas in the log, times log-normal `noise`."""
    rng = np.random.default_rng(rng_seed)
    rows = []
    for model, params in sizes.items():
        for epochs in (1, 2, 4, 8):
            best = best_rate(params, epochs, **exponents) * math.exp(scatter * rng.standard_normal())
            for rate in rates:
                for seed in range(seeds):
                    loss = (
                        2
                        * params**-0.1
                        * epochs**-0.3
                        * math.exp(KAPPA * math.log(rate / best) ** 2 + noise * rng.standard_normal())
                    )
                    key = f"{model}-{epochs}-{rate}-{seed}"
                    rows.append({"id": key, "family": "nfnet", "model": model, "params": params, "epochs": epochs, "learning_rate": rate, "seed": seed, "val_loss": loss})  # fmt: skip
    return pd.DataFrame(rows)


def test_recovers_the_planted_exponents_of_epochs_and_size():
    trend = analysis.learning_rate_trend(sized_sweep())
    assert {name: exponent.value for name, exponent in trend.exponents.items()} == pytest.approx({"s": S, "t": T, "u": U})
    assert trend.law.reference_params == pytest.approx(2e6)
    assert trend.curvature == pytest.approx(KAPPA)
    assert trend.models["c"].tolist() == pytest.approx([best_rate(params, 1) for params in SIZES.values()])
    assert trend.models["slope"].tolist() == pytest.approx([S + U * math.log(n / 2e6) for n in SIZES.values()])
    assert trend.monotone_p_value == 1.0
    assert trend.cell_std == pytest.approx(0, abs=1e-6)


def test_cells_of_two_rates_serve_once_one_cell_shows_the_curvature():
    runs = sized_sweep(rates=(0.4, 0.8))
    extra = sized_sweep(rates=(1.6,))[lambda table: (table["model"] == "F0") & (table["epochs"] == 1)]
    trend = analysis.learning_rate_trend(pd.concat([runs, extra]))
    assert trend.exponents["u"].value == pytest.approx(U)
    assert trend.optima["rates"].tolist() == [3, *[2] * 11]


def test_intervals_hold_the_planted_exponents_though_cells_scatter_about_the_law():
    """Nominally 0.95; with runs taken as independent it was seen at 0.73."""
    draws = [
        analysis.learning_rate_trend(sized_sweep(noise=0.01, scatter=0.15, rng_seed=n, sizes={"F0": 1e6, "F3": 4e6}))
        for n in range(30)
    ]
    held = {
        name: np.mean([draw.exponents[name].low < true < draw.exponents[name].high for draw in draws])
        for name, true in (("s", S), ("u", U))
    }
    assert all(share >= 0.85 for share in held.values()), held
    covered = [
        cell.low < best_rate(1.6e7, 16) < cell.high for draw in draws for cell in [draw.predict_cell(params=1.6e7, epochs=16)]
    ]
    assert np.mean(covered) >= 0.85
    assert np.median([draw.cell_std for draw in draws]) == pytest.approx(0.15, abs=0.06)


def test_the_evidence_that_larger_models_fall_faster_has_a_p_value():
    clear = analysis.learning_rate_trend(sized_sweep(noise=0.002))
    assert clear.exponents["u"].p_value < 0.01
    assert "falls faster with epochs for larger models: u = " in clear.summary()
    by_chance = [analysis.learning_rate_trend(sized_sweep(noise=0.01, u=0.0, rng_seed=n)).exponents["u"].p_value for n in range(25)]
    assert np.mean([p < 0.05 for p in by_chance]) <= 0.15
    assert np.mean([p > 0.5 for p in by_chance]) > 0.25


def test_of_few_cells_the_p_value_says_on_what_it_rests():
    few = sized_sweep(noise=0.01, sizes={"F0": 1e6, "F3": 4e6})[lambda table: table["epochs"] < 8]
    assert "; both hold only where the 6 cells do not scatter about the law." in analysis.learning_rate_trend(few).summary()
    assert "both hold only" not in analysis.learning_rate_trend(sized_sweep(noise=0.01)).summary()


def test_two_budgets_of_a_size_do_not_tell_its_exponent_from_another():
    runs = sized_sweep(noise=0.01)
    assert "u" not in analysis.learning_rate_trend(runs[(runs["model"] == "F0") | (runs["epochs"] <= 2)]).exponents
    assert "u" in analysis.learning_rate_trend(runs[(runs["model"] != "F3") | (runs["epochs"] <= 2)]).exponents


def test_optima_that_rise_contradict_the_law():
    falls = analysis.learning_rate_trend(sized_sweep(noise=0.005))
    rises = analysis.learning_rate_trend(sized_sweep(noise=0.005, s=-0.3, u=0.0))
    assert falls.monotone_p_value > 0.2
    assert "do not contradict that it never rises with epochs or size" in falls.summary()
    assert rises.monotone_p_value < 0.01
    assert "The cells contradict" in rises.summary()


def test_monotony_of_two_cells_is_the_one_sided_t_test():
    for difference in (-0.5, 0.3, 1.1):
        minima = CellMinima(1.0, np.array([0.0, difference]), np.diag([0.0, 0.1, 0.2]), degrees_left=5)
        p = monotonicity_p_value(minima, np.array([[False, True], [False, False]]))
        expected = 1.0 if difference <= 0 else stats.t.sf(difference / math.sqrt(0.3), 5)
        assert p == pytest.approx(expected, abs=0.03)


def test_each_cells_own_minimum():
    runs = sized_sweep()
    curves = Curves(
        np.log(runs["learning_rate"].to_numpy()),
        np.log(runs["val_loss"].to_numpy()),
        runs.groupby(["model", "epochs"]).ngroup().to_numpy(),
    )
    minima = cell_minima(curves)
    assert np.exp(minima.scaled / minima.curvature) == pytest.approx(
        [best_rate(n, e) for n in SIZES.values() for e in (1, 2, 4, 8)]
    )


def test_minima_of_cells_are_those_of_one_least_squares():
    """The closed form against the design of all cells, of which 2,000 would take gigabytes."""
    rng, cell = np.random.default_rng(0), np.repeat(np.arange(12), 5)
    u = rng.normal(size=60) + 0.1 * cell
    curves = Curves(u, 0.3 * (u - 0.2 * cell) ** 2 + 0.05 * rng.normal(size=60), cell)
    design, y = curves.design(np.eye(12)), curves.without_means(curves.y)
    coefficients, (rest,), *_ = np.linalg.lstsq(design, y)
    minima = cell_minima(curves)
    assert np.append(minima.curvature, minima.scaled) == pytest.approx(coefficients)
    assert minima.covariance == pytest.approx(rest / (60 - 25) * np.linalg.inv(design.T @ design), abs=1e-12)
    assert cell_minima(Curves(np.where(cell == 3, 1.0, u), curves.y, cell)) is None  # one rate tells no minimum


def test_of_very_many_cells_nothing_is_tested_and_it_says_so():
    cells = MOST_CELLS + 1
    minima = CellMinima(1.0, np.zeros(cells), np.eye(cells + 1), degrees_left=5)
    assert math.isnan(monotonicity_p_value(minima, np.triu(np.ones((cells, cells), bool), 1)))
    trend = analysis.learning_rate_trend(sized_sweep(noise=0.01))
    many = replace(trend, monotone_p_value=math.nan, optima=pd.concat([trend.optima] * cells))
    assert "is not tested: they are more than 500" in many.summary()


def test_the_rate_of_a_cell_that_was_not_run():
    trend = analysis.learning_rate_trend(sized_sweep(noise=0.002))
    cell = trend.predict_cell(params=8e6, epochs=16)
    assert cell.value == pytest.approx(best_rate(8e6, 16), rel=0.15)
    assert cell.low < best_rate(8e6, 16) < cell.high
    assert cell.trials in (2, 3)
    assert trend.predict_cell(model="F3", epochs=2).value == pytest.approx(float(trend.predict("F3", 2.0)))
    near, far = trend.predict_cell(params=2e6, epochs=3), trend.predict_cell(params=2e8, epochs=100)
    assert math.log(far.high / far.low) > 2 * math.log(near.high / near.low)
    with pytest.raises(UnknownName, match="F7"):
        trend.predict_cell(model="F7", epochs=2)
    with pytest.raises(UsageError, match="by a model or by its parameters"):
        trend.predict_cell(epochs=2)
    unsized = analysis.learning_rate_trend(sized_sweep().drop(columns="params"))
    assert set(unsized.exponents) == {"s"}
    with pytest.raises(UsageError, match="do not tell how the best rate goes with size"):
        unsized.predict_cell(params=1e6, epochs=2)


@pytest.mark.parametrize("epochs", [5e-324, 1.0, 1.7e308])
@pytest.mark.parametrize("params", [5e-324, 1.7e308])
def test_a_cell_that_is_no_cell_has_a_rate_or_none(params, epochs):
    """The ratio of 5e-324 to a number of parameters is 0, and e^800 is no double."""
    trend = analysis.learning_rate_trend(sized_sweep(noise=0.002))
    with suppress(UsageError):
        cell = trend.predict_cell(params=params, epochs=epochs)
        assert 0 <= cell.low <= cell.value < math.inf


def test_a_third_trial_where_the_interval_reaches_below_both():
    assert trials_needed(1.0, 0.5) == 2
    assert trials_needed(1.0, 0.3) == 3
    assert trials_needed(1.0, float("nan")) == 3


def test_families_have_a_c_of_their_own():
    other = sized_sweep().assign(
        family="vit", learning_rate=lambda table: table["learning_rate"] / 100, id=lambda table: "v" + table["id"]
    )
    trend = analysis.learning_rate_trend(pd.concat([sized_sweep(), other]))
    assert trend.exponents["s"].value == pytest.approx(S)
    assert trend.predict_cell(params=2e6, epochs=1, family="vit").value == pytest.approx(C / 100)
    with pytest.raises(UsageError, match="2 families"):
        trend.predict_cell(params=2e6, epochs=1)


def test_the_payload_is_json_with_p_values():
    trend = analysis.learning_rate_trend(sized_sweep(noise=0.01))
    payload = json.loads(json.dumps(analysis.payload(trend), allow_nan=False))
    assert set(payload["interaction"]) == {"value", "low", "high", "p_value"}
    assert payload["monotone_p_value"] == trend.monotone_p_value > 0.05
    assert payload["models"][0]["params"] == 1e6
    cell = analysis.learning_rate_trend(sized_sweep(noise=0.01)).predict_cell(model="F0", epochs=2)
    assert set(cell.to_dict()["learning_rate"]) == {"value", "low", "high"}


def test_the_covariance_of_clusters():
    """Written out at full length; without its correction it is statsmodels' (CR0)."""
    from statsmodels.regression.linear_model import OLS

    rng = np.random.default_rng(1)
    cluster = np.repeat(np.arange(7), rng.integers(3, 6, 7))
    means = (cluster[:, None] == cluster) / np.bincount(cluster)[cluster]
    design = (np.eye(len(cluster)) - means) @ rng.standard_normal((len(cluster), 3))
    bread = np.linalg.inv(design.T @ design)
    hat = np.eye(len(cluster)) - design @ bread @ design.T
    left = hat - means
    residual = left @ rng.standard_normal(len(cluster))
    found = cluster_covariance(design, residual, cluster)

    values, vectors = np.linalg.eigh(np.where(cluster[:, None] == cluster, hat, 0))
    adjusted, plain = (bread @ design.T @ part for part in (vectors @ np.diag(values**-0.5) @ vectors.T, np.eye(len(cluster))))

    def summed(weights):
        scores = [weights[:, cluster == g] @ residual[cluster == g] for g in range(7)]
        return sum(np.outer(score, score) for score in scores)

    assert found.covariance == pytest.approx(summed(adjusted))
    theirs = OLS(residual, design).fit(cov_type="cluster", cov_kwds={"groups": cluster, "use_correction": False})
    assert theirs.cov_params() == pytest.approx(summed(plain))
    contrast = np.array([0.0, 1.0, -0.5])
    columns = np.array([left[:, cluster == g] @ (contrast @ adjusted)[cluster == g] for g in range(7)])
    moments = np.linalg.eigvalsh(columns @ columns.T)
    assert found.degrees_of_freedom(contrast) == pytest.approx(moments.sum() ** 2 / (moments**2).sum())
    alone = np.column_stack([design, np.where(cluster == 0, design[:, 0] ** 2 - np.mean(design[cluster == 0, 0] ** 2), 0)])
    assert cluster_covariance(alone, residual, cluster) is None


def test_draws_that_a_bound_decides_are_never_taken_for_further_than_they_are():
    random = np.random.default_rng(5)
    smaller = [place for place in range(30) if place % 6 < 5] + list(range(24))
    larger = [place + 1 for place in range(30) if place % 6 < 5] + [place + 6 for place in range(24)]
    order = np.zeros((len(smaller), 30))
    order[np.arange(len(smaller)), smaller], order[np.arange(len(smaller)), larger] = 1.0, -1.0
    cone = (order @ np.linalg.cholesky(np.diag(random.uniform(0.5, 2, 30)) + 0.1)).T
    draws = random.standard_normal((40, 30))
    exact = np.array([np.sum((cone @ nnls(cone, draw)[0]) ** 2) for draw in draws])
    least = _least_misfits(cone, draws)
    assert (least <= exact).all()
    assert np.median(least / exact) > 0.5
    assert _least_misfits(cone, np.zeros((1, 30))) == 0.0
