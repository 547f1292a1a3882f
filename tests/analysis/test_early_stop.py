"""A run is only called dominated when it is: against known truths, by the thousand, and against statsmodels."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.regression.linear_model import OLS
from statsmodels.tools.tools import add_constant

from analysis.early_stop import outlook


def table(then, final, hours=None):
    hours = np.ones(len(then)) if hours is None else hours
    return pd.DataFrame({"id": [f"r{k}" for k in range(len(then))], "loss_then": then, "val_loss": final, "core_hours": hours})


def test_the_interval_is_that_of_one_more_run():
    rng = np.random.default_rng(0)
    then = np.exp(rng.normal(0.5, 0.3, 15))
    final = 0.7 * then**0.8 * np.exp(rng.normal(0, 0.05, 15))
    found = outlook(1.5, 2.0, table(then, final), confidence=0.95)
    fitted = OLS(np.log(final), add_constant(np.log(then))).fit()
    expected = fitted.get_prediction(np.array([[1.0, np.log(1.5)]])).summary_frame(alpha=0.05)
    assert np.log([found.value, found.low, found.high]) == pytest.approx(
        expected[["mean", "obs_ci_lower", "obs_ci_upper"]].to_numpy()[0]
    )
    assert (found.runs_used, found.core_hours) == (15, 2.0)
    wider = outlook(1.5, 2.0, table(then, final), confidence=0.95, looks=5)
    assert np.log(wider.low) == pytest.approx(
        fitted.get_prediction(np.array([[1.0, np.log(1.5)]])).summary_frame(alpha=0.01)["obs_ci_lower"].iloc[0]
    )


def test_only_what_cost_no_more_can_dominate():
    then = np.linspace(1.0, 2.0, 10)
    runs = table(then, 0.5 * then * np.exp(0.001 * (-1.0) ** np.arange(10)), hours=np.linspace(10, 1, 10))
    assert not outlook(1.9, 0.5, runs).is_dominated
    assert outlook(1.9, 0.5, runs).rival is None
    assert outlook(1.9, 10.0, runs).rival == ("r0", runs["val_loss"][0], 10.0)
    assert outlook(1.9, 10.0, runs).is_dominated
    assert not outlook(1.0, 10.0, runs).is_dominated
    assert "run r0 ended at 0.5005 for 10.0 core-hours, and this one would cost 10.0" in outlook(1.9, 10.0, runs).sentence


def test_far_beyond_what_was_seen_it_says_no_more_than_at_the_edge():
    then = np.linspace(1.0, 2.0, 10)
    runs = table(then, 0.5 * then * np.exp(0.01 * (-1.0) ** np.arange(10)))
    assert outlook(50.0, 1.0, runs) == outlook(2.0, 1.0, runs)


@pytest.mark.parametrize(
    "runs",
    [
        table(np.linspace(1, 2, 7), np.linspace(1, 2, 7)),  # too few
        table(np.full(10, 1.0), np.linspace(1, 2, 10)),  # all alike then
        table(np.linspace(1, 2, 10), np.linspace(2, 1, 10)),  # falls where it should rise
        table(np.full(10, np.nan), np.linspace(1, 2, 10)),  # not evaluated
    ],
)
def test_runs_that_do_not_tell_stop_nothing(runs):
    assert outlook(1.5, 1.0, runs) is None


@pytest.mark.parametrize(("confidence", "tails"), [(0.9, None), (0.99, 4)])
def test_few_runs_that_belong_on_the_frontier_are_stopped(confidence, tails):
    """Grids of models × budgets × learning rates on a loss surface with noise, in random order, looked at twice a run.

    tails: noise of Student's t with so many degrees of freedom, which the interval does not know of.
    """
    rng = np.random.default_rng(1)

    def noise(size):
        return rng.normal(0, 0.01, size) if tails is None else 0.01 * rng.standard_t(tails, size) / np.sqrt(tails / (tails - 2))

    belong = stopped_wrongly = stopped = seen = 0
    for _ in range(40):
        size, epochs, miss = (grid.ravel() for grid in np.meshgrid([1e4, 3e4, 1e5, 3e5], [1, 2, 4, 8], [-0.7, 0.0, 0.7, 1.4]))
        order = rng.permutation(size.size)
        size, epochs, miss = size[order], epochs[order], miss[order]
        hours = size * epochs / 1e5
        final = (0.3 + 30 * size**-0.5 + 0.5 * epochs**-0.6) * np.exp(0.1 * miss**2 + noise(size.size))
        looks = [final * ratio * np.exp(noise(size.size) * 3 + 0.02 * miss) for ratio in (1.8, 1.3)]
        done: list[int] = []
        for run in range(size.size):
            seen += 1
            on_frontier = all(final[run] < final[other] for other in done if hours[other] <= hours[run])
            verdicts = []
            for look in looks:
                found = outlook(
                    look[run], hours[run], table(look[done], final[done], hours[done]), confidence=confidence, looks=len(looks)
                )
                verdicts.append(found is not None and found.is_dominated)
            belong += on_frontier
            stopped += any(verdicts)
            stopped_wrongly += on_frontier and any(verdicts)
            if not any(verdicts):
                done.append(run)
    assert stopped > 0.15 * seen, "it has to be of use"
    assert belong > 200
    assert stopped_wrongly <= (1 - confidence) * belong
