"""Tails, quantiles and small solvers that stand in for `scipy.stats`, `scipy.optimize` and statsmodels, against those."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.regression.linear_model import WLS

from analysis.direction import rises
from analysis.distributions import f_above, f_below, normal_quantile, ranks, spearman, t_quantile, t_two_sided
from analysis.fitting.estimate import Sample
from analysis.fitting.log_least_squares import log_least_squares
from analysis.fitting.non_negative import non_negative

SHARES = st.floats(1e-9, 1 - 1e-9)
FREEDOM = st.floats(0.5, 1e6)
VALUES = st.lists(st.integers(-4, 4), min_size=4, max_size=30)


@settings(max_examples=60, deadline=None)
@given(share=SHARES, freedom=FREEDOM, more=FREEDOM, value=st.floats(0, 1e4))
def test_they_are_those_of_scipy(share, freedom, more, value):
    assert normal_quantile(share) == pytest.approx(stats.norm.ppf(share), rel=1e-12, abs=1e-12)
    assert t_quantile(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=1e-9, abs=1e-12)
    assert t_two_sided(-value, freedom) == pytest.approx(2 * stats.t.sf(value, freedom), rel=1e-9)
    assert f_above(value, more, freedom) == pytest.approx(stats.f.sf(value, more, freedom), rel=1e-9, abs=1e-300)
    assert f_below(value, more, freedom) == pytest.approx(stats.f.cdf(value, more, freedom), rel=1e-9, abs=1e-300)


def test_at_the_edges_too():
    for ratio in (-1e-12, 0.0, np.inf, np.nan):
        assert f_above(ratio, 2, 5) == pytest.approx(stats.f.sf(ratio, 2, 5), nan_ok=True)
        assert f_below(ratio, 2, 5) == pytest.approx(stats.f.cdf(ratio, 2, 5), nan_ok=True)
    assert np.isnan(f_above(1.0, 0, 5))
    assert t_two_sided(np.inf, 3) == 0
    assert np.isnan(t_two_sided(np.nan, 3))


@settings(max_examples=60, deadline=None)
@given(a=VALUES, seed=st.integers(0, 99))
def test_rank_correlation_is_that_of_scipy(a, seed):
    a, b = np.array(a, float), np.round(np.random.default_rng(seed).normal(a, 2.0))
    assert np.array_equal(ranks(a), stats.rankdata(a))
    if np.ptp(a) and np.ptp(b):
        assert spearman(a, b) == pytest.approx(tuple(stats.spearmanr(a, b)), rel=1e-9, abs=1e-12)
        expected = bool(stats.kendalltau(a, b, alternative="greater").pvalue < 0.3)
        assert rises(a, b, 0.3) == expected


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), m=st.integers(0, 3))
def test_non_negative_least_squares_are_those_of_scipy(seed, m):
    rng = np.random.default_rng(seed)
    columns, y = rng.normal(size=(8, m)), rng.normal(size=8)
    found = non_negative(columns, y)
    assert (found >= 0).all()
    with np.errstate(all="raise"):
        assert non_negative(columns, 1e200 * y) == pytest.approx(1e200 * found, rel=1e-9)
    if m:
        assert found == pytest.approx(optimize.nnls(columns, y)[0], abs=1e-9)


@pytest.mark.parametrize("size", [3, 40])
def test_log_least_squares_are_those_of_statsmodels(size):
    rng = np.random.default_rng(size)
    x, weights = np.exp(rng.normal(40.0, 3.0, size)), rng.uniform(0.5, 4.0, size)
    y = 3.0 * x**-0.2 * np.exp(rng.normal(0, 0.05, size))
    theta, covariance = log_least_squares(Sample(x[None], y, np.arange(size), weights))
    peer = WLS(np.log(y), np.column_stack([np.ones(size), -np.log(x)]), weights=weights).fit()
    assert theta == pytest.approx(peer.params, rel=1e-9)
    assert covariance == pytest.approx(peer.cov_params(), rel=1e-8)
