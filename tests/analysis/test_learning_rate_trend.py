"""The learning-rate trend: a planted one is found, edges are named, too few rates are said to be too few."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.fitting.ratio import fieller_interval
from analysis.reading.source import attach_source
from scaling.errors import DataError, TooFewPoints, UsageError
from scaling.outcomes import FitStatus


def test_recovers_an_exact_trend(sweep):
    trend = analysis.learning_rate_trend(sweep())
    assert trend.slope == pytest.approx(0.25)
    assert trend.curvature == pytest.approx(0.05)
    assert trend.models["c"].tolist() == pytest.approx([1.6, 1.0])
    assert trend.status == FitStatus.OK
    expected = [c * epochs**-0.25 for c in (1.6, 1.0) for epochs in (1, 2, 4, 8)]
    assert trend.optima["learning_rate"].tolist() == pytest.approx(expected)
    assert trend.predict("F0", 16.0) == pytest.approx(0.8)


def test_agrees_with_nonlinear_least_squares(sweep):
    """The linear solution is the optimum of the nonlinear problem as it is written."""
    from scipy.optimize import least_squares

    runs = sweep(noise=0.01)
    cells = runs.groupby(["model", "epochs"]).ngroup().to_numpy()
    log_rate, log_epochs = np.log(runs["learning_rate"].to_numpy()), np.log(runs["epochs"].to_numpy())
    model = (runs["model"] == "F1").to_numpy().astype(int)

    def residual(theta):
        kappa, s, log_c, lowest = theta[0], theta[1], theta[2:4], theta[4:]
        return lowest[cells] + kappa * (log_rate - log_c[model] + s * log_epochs) ** 2 - np.log(runs["val_loss"].to_numpy())

    best = least_squares(residual, np.concatenate([[0.1, 0.1, 0, 0], np.ones(8)]), xtol=1e-12, ftol=1e-12, gtol=1e-12)
    trend = analysis.learning_rate_trend(runs)
    assert trend.slope == pytest.approx(best.x[1], rel=1e-5)
    assert trend.curvature == pytest.approx(best.x[0], rel=1e-5)
    assert np.log(trend.models["c"]).tolist() == pytest.approx(best.x[2:4].tolist(), abs=1e-5)


def test_intervals_hold_the_planted_slope(sweep):
    trend = analysis.learning_rate_trend(sweep(noise=0.01))
    assert trend.slope_low < 0.25 < trend.slope_high
    assert trend.slope_high - trend.slope_low < 0.2
    assert ((trend.optima["low"] < trend.optima["learning_rate"]) & (trend.optima["learning_rate"] < trend.optima["high"])).all()


def test_no_trend_is_said(sweep):
    trend = analysis.learning_rate_trend(sweep(s=0.0, noise=0.02))
    assert trend.status == FitStatus.EXPONENT_NOT_IDENTIFIED
    assert "includes zero" in trend.summary()


def test_fieller_is_delta_when_the_denominator_is_known():
    low, high = fieller_interval(2.0, 4.0, (0.01, 0.0), 0.0, 2.0)
    assert (low, high) == pytest.approx((0.5 - 2 * 0.1 / 4, 0.5 + 2 * 0.1 / 4))
    assert fieller_interval(2.0, 1.0, (0.01, 1.0), 0.0, 2.0) == (-np.inf, np.inf)


def test_cells_with_their_best_at_the_edge_are_named(sweep):
    low_rates = analysis.learning_rate_trend(sweep(rates=(0.2, 0.4, 0.8, 1.6)))
    edges = low_rates.at_edge.set_index(["model", "epochs"])["at_edge"].to_dict()
    assert edges[("F0", 1)] == "highest"
    assert not {("F1", epochs) for epochs in (1, 2, 4, 8)} & set(edges)  # optima 0.59 … 1.0
    assert "F0 at 1 epochs: best at the highest rate tried, 1.6" in low_rates.summary()
    high_rates = analysis.learning_rate_trend(sweep(rates=(1.6, 3.2, 6.4)))
    assert set(high_rates.at_edge["at_edge"]) == {"lowest"}


def test_a_diverged_run_closes_the_upper_side(sweep):
    runs = sweep(rates=(0.2, 0.4, 0.8, 1.6))
    too_high = (runs["model"] == "F0") & (runs["epochs"] == 1) & (runs["learning_rate"] == 1.6)
    runs.loc[too_high, ["status", "val_loss"]] = ["diverged", np.nan]
    trend = analysis.learning_rate_trend(runs)
    assert not ((trend.at_edge["model"] == "F0") & (trend.at_edge["epochs"] == 1)).any()
    assert {entry.reason for entry in trend.excluded} == {"diverged"}


def test_an_edge_that_smaller_cells_close_is_none(sweep):
    """As a search leaves them: three rates about the optimum of the smallest cell, later ones accepted at the upper of two."""
    runs = sweep(s=0.0)
    kept = {("F0", 1): (0.8, 1.6, 3.2)} | {("F0", epochs): (0.8, 1.6) for epochs in (2, 4, 8)}
    f0 = runs[
        [
            rate in kept.get((model, epochs), ())
            for model, epochs, rate in zip(runs["model"], runs["epochs"], runs["learning_rate"], strict=True)
        ]
    ]
    assert analysis.learning_rate_trend(f0).at_edge.empty
    without = f0[(f0["epochs"] > 1) | (f0["learning_rate"] < 3.2)]
    lower = sweep(s=0.0, rates=(0.4,))
    open_above = pd.concat([without, lower[lower["model"] == "F0"]])
    assert set(analysis.learning_rate_trend(open_above).at_edge["at_edge"]) == {"highest"}


def test_cells_with_two_rates_say_where_their_parabola_lies_and_those_with_one_are_left_out(sweep):
    runs = sweep()
    some = runs[~((runs["epochs"] == 8) & (runs["learning_rate"] > 0.4)) & ~((runs["epochs"] == 4) & (runs["learning_rate"] > 0.2))]
    trend = analysis.learning_rate_trend(some)
    assert sorted(trend.optima["epochs"].unique()) == [1, 2, 8]
    assert {entry.reason for entry in trend.excluded} == {"its cell has 1 learning rate, where its best one lies takes 2"}
    assert trend.slope == pytest.approx(0.25)
    assert trend.optima["learning_rate"].tolist() == pytest.approx([c * e**-0.25 for c in (1.6, 1.0) for e in (1, 2, 8)])


def test_too_few_says_how_many_more(sweep):
    with pytest.raises(TooFewPoints, match=r"1 more is needed$"):
        analysis.learning_rate_trend(sweep()[lambda table: table["epochs"] == 1])
    with pytest.raises(TooFewPoints, match="in one cell at least; the fullest has 2: 1 more is needed") as caught:
        analysis.learning_rate_trend(sweep(rates=(0.4, 0.8)))
    assert (caught.value.have, caught.value.need) == (2, 3)
    assert "grid" in caught.value.hint
    with pytest.raises(TooFewPoints, match="2 more are needed; the fullest cell has 1 of them"):
        analysis.learning_rate_trend(sweep(rates=(0.4,)))
    with pytest.raises(TooFewPoints):
        analysis.learning_rate_trend(sweep().iloc[:0])


def test_a_parabola_that_opens_downwards_is_refused(sweep):
    runs = sweep()
    with pytest.raises(DataError, match="inside these grids"):
        analysis.learning_rate_trend(runs.assign(val_loss=1 / runs["val_loss"]))


def test_a_table_without_rates_is_refused(simulate):
    with pytest.raises(UsageError, match="learning_rate"):
        analysis.learning_rate_trend(simulate(lambda x: x**-0.2))


def test_row_order_does_not_matter(sweep):
    runs = sweep(noise=0.01)
    first, second = (analysis.learning_rate_trend(table) for table in (runs, runs.sample(frac=1, random_state=0)))
    pd.testing.assert_frame_equal(first.optima, second.optima)


def test_payload(sweep):
    payload = json.loads(json.dumps(analysis.payload(analysis.learning_rate_trend(sweep(noise=0.01))), allow_nan=False))
    assert payload["schema_version"] == 1
    assert set(payload["slope"]) == {"value", "low", "high", "p_value"}
    assert payload["interaction"] is None
    assert len(payload["optima"]) == 8
    assert payload["runs_used"] == 80


def with_batches(sweep, **values):
    """The sweep at two batch sizes, of which the larger wants twice the rate."""
    runs = sweep(noise=0.002)
    large = runs.assign(id="large-" + runs["id"], learning_rate=2 * runs["learning_rate"], batch_size=256)
    return pd.concat([runs.assign(batch_size=64), large.assign(**values)], ignore_index=True)


@pytest.mark.parametrize("column", ["weight_decay", "warmup", "augment"])
def test_a_column_of_unknown_meaning_that_differs_inside_a_cell_is_named(sweep, column):
    runs = sweep(noise=0.002).assign(**{column: lambda table: np.where(table["seed"] == 0, "0.1", "0.2")})
    trend = analysis.learning_rate_trend(runs)
    assert trend.notes == (f"{column} differs between runs that were averaged as one cell; --cell {column} keeps them apart",)
    assert trend.to_dict()["notes"] == list(trend.notes)
    assert f"note: {column} differs" in trend.summary()
    apart = analysis.learning_rate_trend(attach_source(runs.copy(), {"cell": [column]}))
    assert (len(apart.optima), apart.settings) == (16, (column,))
    with pytest.raises(UsageError, match=f"differ in {column}") as caught:
        analysis.learning_rate_trend(runs.assign(seed=0))
    assert f"--cell {column}" in caught.value.hint


def test_a_setting_tells_cells_apart_and_the_law_says_that_it_has_no_term_for_it(sweep):
    trend = analysis.learning_rate_trend(with_batches(sweep))
    assert trend.settings == ("batch_size",)
    assert trend.notes == (
        "batch_size differs between cells, and the law of the best rate has no term for it; --where batch_size=VALUE chooses one",
    )
    assert trend.monotone_p_value > 0.5  # 64 is not tested against 256
    rows = {(row["model"], row["epochs"], row["settings"]["batch_size"]) for row in trend.to_dict()["optima"]}
    assert len(rows) == len(trend.optima) == 16
    best = trend.optima.pivot(index=["model", "epochs"], columns="batch_size", values="best_tried")
    assert (best[256] == 2 * best[64]).all()


def test_runs_of_another_setting_close_no_edge(sweep):
    """A batch of 64 has its best rate at the end of its grid; a batch of 256 diverged there, or tried more and did no better."""
    runs = with_batches(sweep)
    first = (runs["model"] == "F0") & (runs["epochs"] == 1)
    narrow = runs[~(first & (runs["batch_size"] == 64) & (runs["learning_rate"] > 1.6))].copy()
    too_high = first & (narrow["batch_size"] == 256) & (narrow["learning_rate"] > 3.2)
    narrow.loc[too_high, ["status", "val_loss"]] = ["diverged", np.nan]
    found = analysis.learning_rate_trend(narrow)
    at_edge = found.at_edge.loc[found.at_edge["epochs"] == 1, ["model", "batch_size", "at_edge"]]
    assert at_edge.to_numpy().tolist() == [["F0", 64, "highest"]]
    assert "F0 at 1 epochs, batch_size 64: best at the highest rate tried, 1.6" in found.summary()
    without_models = narrow.assign(model="", params=narrow["model"].map({"F0": 1e6, "F1": 2e6}))
    assert (analysis.learning_rate_trend(without_models).optima["at_edge"] == "highest").sum() == 1


def test_a_batch_that_goes_with_the_model_needs_no_note(sweep):
    assert not analysis.learning_rate_trend(sweep().assign(batch_size=lambda runs: runs["model"].map({"F0": 64, "F1": 128}))).notes
