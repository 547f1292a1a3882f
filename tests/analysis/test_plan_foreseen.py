"""Candidates judged by the forecast after them: against single refits, every subset, and a law that turns out wrong."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.backtest.recent import fit_recent
from analysis.backtest.windows import Cells
from analysis.fitting.objective import objective_named
from analysis.interval import Interval
from analysis.planning.foreseen import Foreseen, search
from analysis.planning.futures import DRAWS, Futures, futures_of
from analysis.planning.result import log_width

LOG = objective_named("log")
TARGET = np.log(3000.0)


@pytest.fixture(scope="module")
def runs():
    """Two powers, of no law's family: ten budgets up to 300 with two seeds."""
    x = np.repeat(np.geomspace(1, 300, 10), 2)
    noise = 0.005 * np.random.default_rng(0).standard_normal(len(x))
    return pd.DataFrame({"core_hours": x, "val_loss": (0.4 + 1.4 * x**-0.6 + 0.7 * x**-0.15) * np.exp(noise)})


def made(on_frontier: bool = False) -> Foreseen:
    """Six candidates of a study of eight cells, with outcomes that are not on one curve."""
    rng = np.random.default_rng(1)
    order, log_x = np.log(np.geomspace(1, 100, 8)), np.log([50.0, 150.0, 200.0, 300.0, 400.0, 700.0])
    cells = Cells(np.exp(order)[None], 1 + 2 * np.exp(-0.4 * order), np.ones(8), order)
    logs = np.log(1 + 2 * np.exp(-0.4 * np.append(log_x, TARGET))) + 0.05 * rng.standard_normal((DRAWS, 7)).cumsum(1)
    noise = rng.standard_normal((DRAWS, 6))
    futures = Futures(logs, noise)
    outcome = logs[:, :-1] + 0.02 * noise
    return Foreseen(cells, log_x, np.ones(6), outcome, futures, TARGET, 0.02, LOG, on_frontier)


@pytest.mark.parametrize("on_frontier", [False, True])
def test_the_loss_of_a_set_is_the_mean_over_futures_of_forecasts_made_one_by_one(on_frontier):
    foreseen, sets = made(on_frontier), [[], [3], [0, 5], [5, 1, 2]]
    for chosen, found in zip(sets, foreseen.losses(sets), strict=True):
        each = []
        for draw in range(DRAWS):
            order = np.append(foreseen.cells.order, foreseen.log_x[chosen])
            logs = np.append(np.log(foreseen.cells.y), foreseen.outcome[draw, chosen])
            if on_frontier:
                kept = [
                    not np.any((order <= at) & (logs <= low) & (np.arange(len(logs)) != k))
                    for k, (at, low) in enumerate(zip(order, logs, strict=True))
                ]
                order, logs = order[kept], logs[kept]
            cells = Cells(np.exp(order)[None], np.exp(logs), np.ones(len(order)), order)
            after = fit_recent(cells, np.ones((1, len(order)), dtype=bool), LOG)
            at = np.array([TARGET])
            error = after.log_mean(at)[0, 0] - foreseen.futures.at_target[draw]
            each.append(error**2 + after.variance(at, 0.02, of_mean=True)[0, 0])
        assert found == pytest.approx(np.mean(each), rel=1e-9)


def test_the_choice_is_the_best_of_all_subsets_or_close():
    foreseen, cost = made(), np.array([1.0, 3.0, 4.0, 6.0, 8.0, 14.0])
    for budget in (5.0, 9.0, 15.0):
        subsets = [list(s) for k in range(7) for s in itertools.combinations(range(6), k) if cost[list(s)].sum() <= budget]
        best = foreseen.losses(subsets).min()
        picked = search(foreseen, cost, budget)
        assert cost[picked].sum() <= budget
        assert foreseen.losses([picked])[0] <= best * 1.05


@pytest.mark.parametrize("target", [200.0, 3000.0])
def test_futures_are_spread_at_the_target_as_the_interval_says(runs, target):
    forecast = analysis.fit(runs, x="core_hours", law="auto", bootstrap=100)
    found = futures_of(forecast.estimate, np.log([400.0, 1200.0]), np.log(target), 0)
    low, high = np.log(forecast.predict([target]).iloc[0][["low", "high"]].to_numpy(float))
    assert 3.92 * found.at_target.std() == pytest.approx(high - low, rel=0.25)
    assert (found.noise[::2] == -found.noise[1::2]).all()
    assert found.logs[:, 0].std() < found.at_target.std() or target < 400


def test_the_plan_brings_the_target_nearer_and_says_by_what_it_judged(runs):
    pool = pd.DataFrame({"core_hours": [10.0, 100.0, 300.0, 600.0, 1200.0]})
    found = analysis.plan(runs, pool, budget=1300, target=3000.0, bootstrap=100)
    assert found.chosen["core_hours"].iloc[0] == 1200.0
    assert sum(found.members.values()) == pytest.approx(1.0)
    assert "draws of what the curve may be" in found.weighed_by()
    more = found.chosen.assign(val_loss=lambda t: 0.4 + 1.4 * t["core_hours"] ** -0.6 + 0.7 * t["core_hours"] ** -0.15)
    truth = 0.4 + 1.4 * 3000**-0.6 + 0.7 * 3000**-0.15
    after = analysis.predict(pd.concat([runs, more[["core_hours", "val_loss"]]], ignore_index=True), [3000.0], bootstrap=100).mean()
    assert after.low < truth < after.high
    assert abs(np.log(after.value / truth)) < abs(np.log(found.now.value / truth))


def test_where_the_laws_and_the_recent_runs_disagree_the_plan_does_not_say_ok():
    x = np.geomspace(1, 300, 24)
    loss = 2 * x**-0.3 * np.exp(0.05 * np.sin(2 * np.log(x)) + 1e-3 * np.random.default_rng(0).standard_normal(24))
    runs, pool = pd.DataFrame({"core_hours": x, "val_loss": loss}), pd.DataFrame({"core_hours": [600.0]})
    apart = analysis.plan(runs, pool, budget=600, target=3000.0, bootstrap=100, level=0.5)  # at 95 % each holds what the other says
    assert apart.status == apart.to_dict()["status"] == "laws-disagree"
    assert "This may be wrong" in apart.sentence()
    far = analysis.plan(runs, pool, budget=600, target=3300.0, bootstrap=100, law="power")
    assert far.fit.status == "ok"
    assert far.status == "far-extrapolation"


@pytest.mark.parametrize("ends", [(0.0, 1.0), (0.1, np.inf), (0.0, np.inf)])
def test_an_interval_without_an_end_has_an_infinite_width(ends):
    assert log_width(Interval(0.5, *ends)) == np.inf
