"""Each diagnostic with runs that have the fault and with runs that do not."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.diagnostics import DiagnosticCode, diagnose, far_extrapolation
from analysis.diagnostics.optimum import best_model_at_edge

fit_power = partial(analysis.fit, law="power")

CODE = DiagnosticCode


def codes(fit) -> set[DiagnosticCode]:
    return {found.code for found in diagnose(fit)}


def one(fit, code):
    (found,) = [found for found in fit.diagnostics if found.code == code]
    return found


def grid(
    *, sizes: int = 5, budgets: int = 6, seeds: int = 2, noise: float = 0.003, tied: bool = False, falls_with_size: bool = True
) -> pd.DataFrame:
    """Runs of several sizes, each for several numbers of examples; `tied`: twenty examples a parameter, give or take a few percent."""
    rng = np.random.default_rng(7)
    rows = [
        {"model": f"m{size}", "params": 1e5 * 4.0**size, "epochs": budget, "examples_seen": 1e6 * 3.0**budget, "seed": seed}
        for size in range(sizes)
        for budget in range(budgets)
        for seed in range(seeds)
    ]
    runs = pd.DataFrame(rows).assign(
        id=lambda table: [f"r{number}" for number in range(len(table))], family="nfnet", status="finished"
    )
    if tied:
        runs["examples_seen"] = 20 * runs["params"] * (1 + 0.05 * runs["epochs"])
    runs["core_hours"] = runs["params"] * runs["examples_seen"] / 1e12
    by_size = 40 * runs["params"] ** -0.35 if falls_with_size else 0.5
    mean = 0.3 + by_size + 40 * runs["examples_seen"] ** -0.3
    return runs.assign(val_loss=mean * np.exp(noise * rng.standard_normal(len(runs))))


def curve(noise: float = 0.01, cells: int = 12, seeds: int = 3, **changes) -> pd.DataFrame:
    from tests.analysis.conftest import simulated_cells

    return simulated_cells(lambda x: 0.5 + 2 * x**-0.4, noise=noise, cells=cells, seeds=seeds, **changes).assign(
        model=lambda table: [f"m{number % 4}" for number in table["epochs"]]
    )


@pytest.fixture(scope="module")
def sound():
    return analysis.fit(curve(), law="power-floor", bootstrap=100)


@pytest.fixture(scope="module")
def sound_surface():
    return analysis.fit(grid(), law="chinchilla", bootstrap=100)


def test_sound_runs_have_nothing_said_about_them(sound, sound_surface):
    assert sound.diagnostics == ()
    assert sound_surface.diagnostics == ()


def test_too_few_sizes():
    assert CODE.TOO_FEW_SIZES in codes(analysis.fit(curve().assign(model="F1"), law="power-floor"))
    assert "2 sizes" in one(analysis.fit(grid(sizes=2), law="power", x="core_hours"), CODE.TOO_FEW_SIZES).message


def test_few_cells(sound):
    assert CODE.FEW_CELLS in codes(analysis.fit(curve(cells=5), law="power-floor"))
    assert CODE.FEW_CELLS not in codes(sound)


def test_collinear_design():
    found = one(analysis.fit(grid(tied=True), law="chinchilla"), CODE.COLLINEAR_DESIGN)
    assert found.about == ("params", "examples_seen")
    assert "correlation of logs 0.99" in found.message


def test_exponent_not_identified():
    fit = analysis.fit(grid(falls_with_size=False, noise=0.01), law="chinchilla")
    assert "alpha" in one(fit, CODE.EXPONENT_NOT_IDENTIFIED).about
    flat = curve().assign(val_loss=lambda table: 1 + 0.01 * np.random.default_rng(0).standard_normal(len(table)))
    assert CODE.EXPONENT_NOT_IDENTIFIED in codes(analysis.fit(flat, law="power"))


def test_floor_not_identified():
    runs = curve().assign(
        val_loss=lambda table: 2 * table["core_hours"] ** -0.3 * (1 + 0.02 * np.random.default_rng(1).standard_normal(len(table)))
    )
    found = one(analysis.fit(runs, law="power-floor"), CODE.FLOOR_NOT_IDENTIFIED)
    assert found.about == ("E",)
    assert "0 … " in found.message


def test_an_average_with_and_without_a_floor_says_so():
    runs = curve().assign(
        val_loss=lambda table: 2 * table["core_hours"] ** -0.3 * (1 + 0.03 * np.random.default_rng(1).standard_normal(len(table)))
    )
    fit = analysis.fit(runs, law="auto")
    assert {"power", "power-floor"} <= set(fit.members)
    assert "the power law, which has none, is in the average" in one(fit, CODE.FLOOR_NOT_IDENTIFIED).message


def with_rates(best: float) -> pd.DataFrame:
    rates = (0.5, 1.0, 2.0)
    parts = [
        curve(seeds=1).assign(
            learning_rate=rate,
            id=lambda table, rate=rate: table["id"] + f"-{rate}",
            val_loss=lambda table, rate=rate: table["val_loss"] * np.exp(0.1 * np.log(rate / best) ** 2),
        )
        for rate in rates
    ]
    return pd.concat(parts, ignore_index=True)


def test_learning_rate_at_the_edge_of_those_tried():
    found = one(analysis.fit(with_rates(best=4.0), law="power-floor"), CODE.OPTIMUM_NOT_INTERIOR)
    assert "in 12 of 12 cells the best learning rate is the smallest or largest tried" in found.message
    assert len(found.about) == 12
    assert CODE.OPTIMUM_NOT_INTERIOR not in codes(analysis.fit(with_rates(best=1.0), law="power-floor"))


def test_an_edge_that_other_cells_close_is_none():
    """Two trials a cell: where the smaller cells tried higher rates and the larger ones lower rates in vain, nothing lies beyond."""
    searched = pd.DataFrame(
        [
            {"id": f"{epochs}-{rate}", "family": "nfnet", "model": "F0", "epochs": epochs, "learning_rate": rate, "core_hours": epochs,
             "val_loss": epochs**-0.3 * np.exp(0.1 * np.log(rate / best) ** 2)}
            for epochs, best, rates in (
                (1, 0.8, (0.4, 0.8, 1.6)), (2, 0.8, (0.4, 0.8)), (4, 0.4, (0.4, 0.8)), (8, 0.4, (0.2, 0.4)), (16, 0.4, (0.2, 0.4))
            )
            for rate in rates
        ]
    )  # fmt: skip
    assert CODE.OPTIMUM_NOT_INTERIOR not in codes(analysis.fit(searched, law="power"))
    last = searched[(searched["epochs"] != 16) | (searched["learning_rate"] >= 0.4)]
    last = pd.concat(
        [last, searched[searched["id"] == "16-0.4"].assign(id="16-0.8", learning_rate=0.8, val_loss=0.9)], ignore_index=True
    )
    found = one(analysis.fit(last[last["epochs"] != 8], law="power"), CODE.OPTIMUM_NOT_INTERIOR)
    assert set(found.about) == {"4-0.4", "16-0.4"}  # nothing below 0.4 was tried


def test_best_model_at_the_edge_of_the_sizes():
    inside = grid(sizes=7, budgets=7, noise=0.0)
    assert CODE.OPTIMUM_NOT_INTERIOR not in codes(analysis.fit(inside, law="power", on="frontier"))
    larger_is_always_better = inside.assign(val_loss=lambda table: table["params"] ** -0.3 * table["examples_seen"] ** -0.01)
    found = one(analysis.fit(larger_is_always_better, law="power", on="frontier"), CODE.OPTIMUM_NOT_INTERIOR)
    assert "12 of 12 frontier cells" in found.message


def test_residual_trend(sound):
    fit = analysis.fit(curve(noise=0.002), law="power")
    assert CODE.RESIDUAL_TREND in codes(fit)
    assert "core_hours explains" in one(fit, CODE.RESIDUAL_TREND).message
    assert CODE.RESIDUAL_TREND not in codes(sound)


def test_heteroscedastic(sound):
    runs = curve(noise=0.0)
    noise = 0.001 * runs["core_hours"] ** 0.4 * np.random.default_rng(3).standard_normal(len(runs))
    found = one(analysis.fit(runs.assign(val_loss=runs["val_loss"] * np.exp(noise)), law="power-floor"), CODE.HETEROSCEDASTIC)
    assert "smaller where val_loss is high" in found.message
    assert CODE.HETEROSCEDASTIC not in codes(sound)


def test_equal_absolute_scatter_is_not_heteroscedastic_for_plain_squares():
    runs = curve(noise=0.0)
    runs["val_loss"] += 0.005 * np.random.default_rng(3).standard_normal(len(runs))
    assert CODE.HETEROSCEDASTIC not in codes(analysis.fit(runs, law="power-floor", objective="mse"))


@pytest.mark.parametrize("objective", ["log", "huber-log"])
def test_outliers_are_named_and_kept(objective):
    runs = curve()
    runs.loc[runs["id"].isin(["run10", "run20"]), "val_loss"] *= 1.15
    fit = analysis.fit(runs, law="power-floor", objective=objective, bootstrap=100)
    assert set(one(fit, CODE.OUTLIER).about) == {"run10", "run20"}
    assert {"run10", "run20"} <= set(fit.run_ids)
    assert "1.1" in one(fit, CODE.OUTLIER).message


@pytest.mark.parametrize("place", [0, 5, 6, 11])
def test_a_forecast_that_one_wrong_run_bent_is_not_green(place):
    """By squares, the runs of a curve with a floor: one in the middle made the plain power law win, its own misfit hid the run, and the forecast was
    sure and wrong."""
    hours, rng = np.geomspace(1, 1000, 12), np.random.default_rng([77, 1])
    loss = (0.5 + 2 * hours**-0.4) * np.exp(0.01 * rng.standard_normal(12))
    loss[place] *= 1.5
    fit = analysis.fit(pd.DataFrame({"core_hours": hours, "val_loss": loss}), law="auto", bootstrap=100)
    band = fit.predict([4000]).iloc[0]
    holds = band["low"] <= 0.5 + 2 * 4000**-0.4 <= band["high"]
    assert holds or fit.lights.forecasts_well.ok is False
    if place == 6:
        assert "far off (outlier)" in fit.lights.forecasts_well.reason


def test_an_influential_run(sound):
    runs = curve(seeds=1, cells=10)
    runs.loc[9, "val_loss"] *= 0.93
    fit = analysis.fit(runs, law="power-floor")
    found = one(fit, CODE.INFLUENTIAL_RUN)
    assert found.about[0] == "run9"
    without = analysis.fit(runs.drop(index=9), law="power-floor")
    factor = float(np.exp(without.log_mean([4e4]) - fit.log_mean([4e4]))[0])
    assert f"is {factor:.3g}"[:7] in found.message
    assert CODE.INFLUENTIAL_RUN not in codes(sound)


def test_far_extrapolation(sound, sound_surface):
    (found,) = far_extrapolation(sound, [1e4, 3e5])
    assert found.code == CODE.FAR_EXTRAPOLATION
    assert found.message == "core_hours is 30.0 times beyond the runs, whose own range is a factor of 10000"
    assert far_extrapolation(sound, [1.0, 5e4]) == []
    assert far_extrapolation(sound_surface, pd.DataFrame({"params": [1e6], "examples_seen": [1e10]}))[0].about == ("examples_seen",)


def test_the_horizon_of_a_back_test_bounds_what_is_near(sound):
    fit = analysis.fit(curve(), law="auto", bootstrap=100)
    assert far_extrapolation(sound, [8e4]) == []
    assert [found.code for found in far_extrapolation(fit, [8e4])] == [CODE.FAR_EXTRAPOLATION]


def test_they_stand_in_summary_and_json():
    fit = analysis.fit(curve(noise=0.002), law="power")
    found = one(fit, CODE.RESIDUAL_TREND)
    assert f"residual-trend: {found.message}" in fit.summary()
    entry = next(entry for entry in json.loads(json.dumps(fit.to_dict()))["diagnostics"] if entry["code"] == "residual-trend")
    assert entry == found.to_dict()
    assert entry["advice"] == CODE.RESIDUAL_TREND.advice


def test_every_code_has_a_sentence_of_advice():
    for code in DiagnosticCode:
        assert code.advice.endswith(".")
        assert len(code.advice) > 40


def test_families_in_one_law_are_named(sound):
    other = curve(rng_seed=1).assign(
        family="vit", id=lambda table: "vit-" + table["id"], val_loss=lambda table: 1.1 * table["val_loss"]
    )
    both = analysis.fit(pd.concat([curve(), other], ignore_index=True), law="power-floor")
    assert one(both, CODE.FAMILIES_POOLED).message == "2 families in one law (nfnet, vit)"
    assert CODE.FAMILIES_POOLED not in codes(sound)


def test_rehearsed_runs_are_named_and_left_out_beside_real_ones(sound):
    rehearsed = curve().assign(rehearsal=True)
    assert one(analysis.fit(rehearsed, law="power-floor"), CODE.REHEARSED).message == "these runs are simulated"
    assert CODE.REHEARSED not in codes(sound)
    both = pd.concat([curve(), rehearsed.assign(id=lambda table: "r-" + table["id"])], ignore_index=True)
    real = analysis.fit(both, x="core_hours", law="power-floor")
    assert real.params == sound.params
    assert CODE.REHEARSED not in codes(real)
    assert {(entry.id, entry.kind) for entry in real.excluded} == {(f"r-{run}", "simulated") for run in rehearsed["id"]}


def test_runs_of_a_model_that_were_packed_otherwise_are_named():
    """Core-hours of a packed run are a share; a law in another x has nothing to do with them."""
    half = curve().assign(packed=lambda table: np.where(table["seed"] == 0, 4, 1))
    found = one(fit_power(half), CODE.PACKED_MIXED)
    assert found.message == "the runs of m0, m1, m2, … were not trained equally many at once (1, 4)"
    assert set(found.about) == {"m0", "m1", "m2", "m3"}
    assert CODE.PACKED_MIXED not in codes(fit_power(half.assign(packed=4)))
    assert CODE.PACKED_MIXED not in codes(fit_power(curve()))
    by_size = half.assign(packed=lambda table: np.where(table["model"] == "m0", 4.0, np.nan))
    assert CODE.PACKED_MIXED not in codes(fit_power(by_size))
    assert CODE.PACKED_MIXED not in codes(fit_power(half.assign(train_flops=half["core_hours"] * 1e15), x="train_flops"))


def test_what_the_status_says_is_not_said_again():
    fit = analysis.fit(curve(noise=0.02, high=5.0), law="power-floor")
    assert fit.status.value == "floor-not-identified"
    assert CODE.FLOOR_NOT_IDENTIFIED in codes(fit)
    assert CODE.FLOOR_NOT_IDENTIFIED not in {found.code for found in fit.further_diagnostics}
    assert fit.summary().count("floor-not-identified") == 1


def test_residuals_are_split_where_seeds_repeat_a_cell(sound):
    assert f"of it seeds ×/÷ {np.exp(sound.seed_std):.3f}, lack of fit ×/÷ {np.exp(sound.lack_of_fit_std):.3f}" in sound.summary()
    assert "of it" not in fit_power(curve(seeds=1)).summary()


def test_a_column_that_explains_the_scatter_inside_cells_is_told_and_no_light_is_green():
    mixed = curve(cells=8).assign(dropped=lambda table: np.where(table["seed"] % 2, "yes", "no"))
    mixed = mixed.assign(val_loss=mixed["val_loss"] * np.where(mixed["dropped"] == "yes", 1.1, 1.0))
    fit = analysis.fit(mixed, law="power-floor")
    found = one(fit, CODE.CELLS_MIXED)
    assert found.about == ("dropped",)
    assert found.message.startswith("dropped explains 9")
    assert fit.lights.forecasts_well.ok is False
    assert "cells-mixed" in fit.lights.forecasts_well.reason
    assert CODE.CELLS_MIXED not in codes(analysis.fit(mixed, law="power-floor", cell=["dropped"]))


def test_a_column_that_says_nothing_is_seldom_said_to_mix_cells():
    rng = np.random.default_rng(0)
    told = 0
    for draw in range(60):
        table = curve(cells=8, rng_seed=draw) if draw else curve(cells=8)
        table = table.assign(val_loss=table["val_loss"] * np.exp(0.01 * rng.standard_normal(len(table))))
        told += CODE.CELLS_MIXED in codes(
            analysis.fit(table.assign(shade=rng.choice(["red", "blue"], len(table))), law="power", bootstrap=100)
        )
    assert told <= 1


def test_a_fit_is_told_who_judges_it_and_imports_none_of_them():
    judges = {"analysis.diagnostics", "analysis.fitting.lights", "analysis.sentence"}
    code = f"import sys, analysis.fitting.result; print(sorted({judges!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_fit_is_diagnosed_once_when_first_asked(sound):
    asked = []
    fit = replace(sound, diagnose=lambda fit: asked.append(fit) or ())
    assert not asked
    assert (fit.diagnostics, fit.diagnostics) == ((), ())
    assert asked == [fit]


def test_sizes_that_are_not_known_make_no_warning():
    """As of a program's models that state no parameters: the cells of one size are all that can be compared."""
    rows = [
        {
            "model": model,
            "params": params,
            "epochs": epochs,
            "core_hours": epochs * cost,
            "val_loss": 2.0 * (epochs * cost) ** -0.2 + jitter,
            "status": "finished",
        }
        for model, params, cost in (("a", None, 1.0), ("b", 100.0, 3.0), ("c", None, 10.0))
        for epochs, jitter in ((1, 0.01), (2, 0.0), (4, -0.01), (8, 0.005), (16, 0.0))
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert best_model_at_edge(analysis.fit(pd.DataFrame(rows), law="power", on="frontier")) == []
