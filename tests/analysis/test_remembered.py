"""Fits are remembered by what they are of: equal runs share one, and anything that differs makes another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.fitting import point
from analysis.fitting.estimate import Precision, Sample
from analysis.fitting.estimator import estimate
from analysis.fitting.objective import objective_named
from analysis.fitting.point import fit_point
from analysis.fitting.remembered import remembered
from analysis.laws import law_named


def sample(moved=0.0):
    x = np.geomspace(1, 100, 8)
    y = 2 * x**-0.2
    y[3] += moved
    return Sample(x[None], y, np.arange(8), np.ones(8))


def test_equal_runs_share_a_fit_and_others_do_not():
    law, log, precision = law_named("power"), objective_named("log"), Precision()
    first = estimate(law, sample(), log, precision)
    assert estimate(law, sample(), log, precision) is first
    for other in (
        estimate(law, sample(1e-12), log, precision),
        estimate(law, replace(sample(), cluster=np.arange(8) // 2), log, precision),
        estimate(law, sample(), objective_named("relative"), precision),
        estimate(law, sample(), log, replace(precision, level=0.9)),
        estimate(law, sample(), log, precision, "pairs"),
        estimate(law_named("power-floor"), sample(), log, precision),
    ):
        assert other is not first


def test_the_oldest_and_the_large_are_forgotten():
    calls = []

    @remembered
    def total(values: np.ndarray) -> float:
        calls.append(len(values))
        return float(values.sum())

    for number in (*range(65), 64, 0):
        assert total(np.array([float(number)])) == number
    assert len(calls) == 66  # the last again is known, the first is not any more
    large = np.ones(100_000)
    assert total(large) == total(large) == 100_000
    assert len(calls) == 68


def test_repeats_of_inputs_are_fitted_as_one_and_nothing_changes(monkeypatch):
    random = np.random.default_rng(3)
    size, data = np.repeat(np.geomspace(1e4, 1e6, 5), 12), np.tile(np.repeat(np.geomspace(1e5, 1e7, 4), 3), 5)
    y = (0.1 + 20 * size**-0.4 + 9 * data**-0.3) * np.exp(0.02 * random.standard_normal((7, len(size))))
    weights = random.exponential(size=(7, len(size))) * (np.arange(len(size)) > 2)  # one place has no weight at all
    law, inputs = law_named("chinchilla"), np.array([size, data])
    asked = ({"y": y[0]}, {"y": y}, {"y": y[0], "weights": weights}, {"y": y, "weights": weights, "objective": "huber-log"})
    together = [fit_point(law, inputs, **each) for each in asked]
    monkeypatch.setattr(point, "with_repeats_merged", lambda problem: problem)
    for at_once, each in zip(together, asked, strict=True):
        alone = fit_point(law, inputs * (1 + 1e-9), **each)  # else it is remembered
        np.testing.assert_allclose(at_once.loss, alone.loss, rtol=1e-6)
        np.testing.assert_allclose(law.log_curve(inputs, at_once.theta), law.log_curve(inputs, alone.theta), atol=1e-7)
