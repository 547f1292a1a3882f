"""Where an interval comes from and what halves it: parts against brute force, the advice followed, and what cannot be said."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import analysis
from scaling.errors import UsageError

TARGET = 4000.0


def study(seeds=2, *, floor=0.5, of_seeds=0.01, of_cells=0.0, held_out=0.0, rng_seed=0):
    """Twelve budgets over three decades, on 0.5 + 2·x^−0.4; on 2·x^−0.4 where floor is 0."""
    rng = np.random.default_rng(rng_seed)
    x = np.repeat(np.geomspace(1, 1000, 12), seeds)
    loss = (
        np.log(floor + 2 * x**-0.4) + np.repeat(of_cells * rng.standard_normal(12), seeds) + of_seeds * rng.standard_normal(len(x))
    )
    runs = pd.DataFrame({"core_hours": x, "epochs": x, "seed": np.tile(np.arange(seeds), 12), "val_loss": np.exp(loss)})
    return runs.assign(val_loss_standard_error=held_out * runs["val_loss"]) if held_out else runs


def width(interval):
    return np.log(interval.high / interval.low)


def test_noise_of_seeds_has_the_share_of_the_interval_that_it_has_of_the_scatter():
    found = analysis.halve(study(), target=TARGET, law="power-floor", on="all", bootstrap=100)
    assert sum(part.share for part in found.parts) == pytest.approx(1.0)
    runs = found.forecast.runs.assign(left=found.forecast.residuals["residual"])
    cells = runs.groupby("cell")["left"]
    within = runs["left"] - cells.transform("mean")
    of_runs, of_cells = (within @ within) / 12, 2 * np.sum(cells.mean() ** 2) / (12 - 3)  # by hand: 12 cells, three coefficients
    assert found.share("seeds") == pytest.approx(min(1.0, of_runs / of_cells), rel=0.02)


def test_scatter_of_cells_is_not_taken_for_noise_of_seeds():
    found = analysis.halve(study(of_seeds=0.001, of_cells=0.01), target=TARGET, law="power-floor", on="all")
    assert found.share("cells") > 10 * found.share("seeds")
    assert next(way for way in found.ways if way.name == "seeds").width > 0.9


def test_what_the_forecast_of_the_recent_runs_may_be_off_by_is_of_the_form_and_no_seeds_narrow_it():
    x = np.repeat(np.geomspace(1, 1000, 8), 2)
    noise = 0.01 * np.random.default_rng(3).standard_normal(16)
    runs = pd.DataFrame({"core_hours": x, "epochs": x, "seed": np.tile([0, 1], 8), "val_loss": (0.5 + 2 * x**-0.4) * np.exp(noise)})
    found = analysis.halve(runs, target=1e6, on="all", bootstrap=100)  # further than the laws' average counts
    assert found.forecast.estimate.part(np.array([[1e6]])) == 1
    assert found.share("form") == pytest.approx(1)
    assert all(way.width > 0.99 for way in found.ways if way.name == "seeds")


def test_the_advice_halves_the_interval():
    few = study(held_out=0.03, of_seeds=0.002)
    found = analysis.halve(few, target=TARGET, on="all")
    best = found.cheapest
    assert best.name == "images"
    assert best.cost == 0.0
    after = few.assign(val_loss_standard_error=few["val_loss_standard_error"] / np.sqrt(best.times))
    assert width(analysis.halve(after, target=TARGET, on="all").interval) / width(found.interval) == pytest.approx(0.5, abs=0.01)


def test_four_times_the_seeds_halve_it_where_seeds_are_all_of_it():
    ratios = []
    for number in range(5):
        few, many = (
            analysis.halve(study(seeds, floor=0.0, rng_seed=number), target=TARGET, law="power", on="all", bootstrap=100)
            for seeds in (2, 8)
        )
        ratios.append(width(many.on_these) / width(few.on_these))
    assert 0.3 < np.median(ratios) < 0.8


def test_held_out_images_move_all_losses_together():
    """So their part adds to the interval in full, whatever the number of runs, and images with runs are a way of their own."""
    found = analysis.halve(study(held_out=0.01), target=TARGET, on="all")
    half = [width(each) / 2 for each in (found.interval, found.on_these)]
    assert half[0] ** 2 - half[1] ** 2 == pytest.approx((1.96 * 0.01) ** 2, rel=0.01)
    assert found.share("evaluation") == pytest.approx((1.96 * 0.01 / half[0]) ** 2, rel=0.05)


def test_without_seeds_it_says_that_they_cannot_be_told_apart():
    found = analysis.halve(study(1), target=TARGET, on="all")
    assert np.isnan(found.share("seeds"))
    assert "no cell was repeated" in found.sentence()
    assert all(way.name != "seeds" for way in found.ways)
    assert found.to_dict()["parts"][0] == {"part": "seeds", "share": None, "words": "seed noise"}
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_cheapest_that_halves_comes_first():
    found = analysis.halve(study(held_out=0.01), target=TARGET, on="all")
    halving = [way.cost for way in found.ways if way.halves]
    assert halving == sorted(halving)
    assert [way.halves for way in found.ways] == sorted([way.halves for way in found.ways], reverse=True)
    assert found.to_csv().splitlines()[0] == "way,times,cost,width,halves,words"


@pytest.mark.parametrize("asked", [{"target": -1.0}, {"target": 5.0, "law": "chinchilla"}])
def test_what_cannot_be_asked_is_refused(asked):
    runs = study().assign(params=np.tile(np.repeat([1e6, 2e6, 4e6], 2), 4), examples_seen=lambda table: table["core_hours"] * 1e3)
    with pytest.raises(UsageError):
        analysis.halve(runs, **asked)
