"""The optimum of tables that people bring: noisy compute, isoFLOP budgets without seeds or names, truths outside every law, any unit and order."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import analysis
from analysis.optimum.agreement import disagreeing, with_disagreement
from analysis.optimum.best_line import slices_on_line
from analysis.optimum.best_path import best_path
from analysis.optimum.budgets import budgets_shared, nearly_equal_as_one
from analysis.optimum.cells import grid_cells
from analysis.optimum.cost import fit_cost
from analysis.optimum.equal_compute import slices_at_equal_compute
from analysis.optimum.local_fit import local_curves
from analysis.optimum.noise import CellNoise
from analysis.optimum.path import about, path_along
from analysis.optimum.slices import slices_of
from scaling.cli.app import app
from scaling.outcomes import OptimumStatus
from tests.analysis.grids import EXAMPLES, grid

ALPHA, BETA = 0.34, 0.36
EXPONENT = BETA / (ALPHA + BETA)  # .514


def loss(N, D):
    return 1.7 + 0.7 * (N / 2e8) ** -ALPHA + 0.7 * (D / 5e9) ** -BETA


def valley(N, D):
    """Of no surface law: a valley in log loss along N = 1e8·(C/6e18)^.35."""
    u = np.log(6 * N * D / 6e18)
    return np.exp(1 - 0.1 * u + 0.01 * (np.log(N / 1e8) - 0.35 * u) ** 2)


def isoflop(truth=loss, *, noise=0.003, compute=0.0, budgets=8, sizes=9, decades=1.8, exponent=0.5, rng_seed=0):
    """Each size once at each nominal budget; no model, no epochs, no seed. compute: how far the measured compute scatters."""
    rng = np.random.default_rng(rng_seed)
    rows = []
    for C in np.geomspace(6e18, 1e21, budgets):
        for N in 3e8 * (C / 6e18) ** exponent * 10 ** np.linspace(-decades / 2, decades / 2, sizes):
            N = np.round(N)
            measured = C * np.exp(compute * rng.standard_normal())
            rows.append((N, C / (6 * N), measured, truth(N, C / (6 * N)) * np.exp(noise * rng.standard_normal())))
    rng.shuffle(rows)
    return pd.DataFrame(rows, columns=["params", "examples_seen", "train_flops", "val_loss"])


def optimum(runs, x="train_flops", **settings):
    ids = runs if "id" in runs else runs.assign(id=[f"row {number}" for number in range(len(runs))])
    return analysis.compute_optimal(ids, x=x, **({"bootstrap": 200} | settings))


def holds(path, truth=EXPONENT):
    return path.size_exponent.low < truth < path.size_exponent.high


# -- isoFLOP tables -------------------------------------------------------------------------------------------------------------------


def test_an_isoflop_table_is_answered_by_the_command(tmp_path):
    """Nine sizes at each nominal budget, nothing else: they are no seeds, and every budget is a slice."""
    isoflop().to_csv(tmp_path / "runs.csv", index=False)
    asked = ["frontier", "--optimum", "--x", "train_flops", "--data", str(tmp_path / "runs.csv")]
    answer = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert answer["cells_used"] == 72
    by_name = {path["approach"]: path for path in answer["approaches"]}
    for name in ("surface", "isocompute"):
        exponent = by_name[name]["size_exponent"]
        assert by_name[name]["status"] == "ok"
        assert exponent["low"] < EXPONENT < exponent["high"]
        assert exponent["high"] - exponent["low"] < 0.08
    assert by_name["isocompute"]["reason"] == "local curves in 8 budgets of equal compute"
    assert [row["sizes"] for row in by_name["isocompute"]["points"]] == [9] * 8
    text = CliRunner().invoke(app, asked).stdout
    assert f"headline: {answer['recommended']}, by the rule that the approach counts which forecasts larger budgets best" in text


def test_slices_of_shared_budgets_are_the_runs_themselves():
    runs = isoflop(noise=0.0)
    found = analysis.frontier(runs.assign(id=[str(number) for number in range(len(runs))]), x="train_flops")
    table = slices_of(found, optimum(runs, bootstrap=100)).table
    assert len(table) == 72
    merged = table.merge(runs.assign(size=runs["params"]), on=["size"], suffixes=("", "_run"))
    assert merged["val_loss"].to_numpy() == pytest.approx(merged["val_loss_run"].to_numpy(), rel=1e-6)
    assert merged["examples_seen"].to_numpy() == pytest.approx(merged["examples_seen_run"].to_numpy(), rel=1e-6)


@pytest.mark.parametrize("decades", [1.0, 2.0, 3.0])
def test_lopsided_slices_do_not_bias_the_local_curves(decades):
    """Exact losses, α ≠ β, and sizes off the best by a factor that drifts from 1/3 to 3: a parabola through them is off, the curves are not."""

    def steep(N, D):
        return 1.7 + 0.7 * (N / 2e8) ** -0.5 + 0.7 * (D / 5e9) ** -0.3

    runs = isoflop(steep, noise=0.0, decades=decades, exponent=0.55)
    cells = grid_cells(analysis.frontier(runs.assign(id=[str(number) for number in range(len(runs))]), x="train_flops"))
    slices, interpolated = slices_at_equal_compute(cells, cells.loss[None])
    assert not interpolated
    line = slices_on_line(slices, local_curves(slices, 1e-4))[1]
    at = np.array([own.at for own in slices])
    parabolas = [np.polyfit(own.size, own.loss[0], 2) for own in slices]
    by_parabola = np.polyfit(at, [-b / (2 * a) for a, b, _ in parabolas], 1)[0]
    truth = 0.3 / 0.8
    assert abs(line[1] - truth) < 0.006
    if decades > 1:
        assert abs(by_parabola - truth) > 4 * abs(line[1] - truth)


# -- where the best size is no power of compute -------------------------------------------------------------------------------------


def with_embeddings(N, words):
    """Parameters of models with N beside the embeddings, 12·layers·width² with width = 128·layers."""
    return N + words * (128 / 12 * N) ** (1 / 3)


def embedded(*, words=2e5, noise=0.003, rng_seed=0):
    """An isoFLOP table whose `params` counts embeddings, and the log of the best params at each of its budgets by the closed form."""
    runs = isoflop(noise=noise, decades=1.2, exponent=EXPONENT, rng_seed=rng_seed)
    C = np.unique(runs["train_flops"].round(-10))
    best = ((C / 6 / 5e9) ** BETA * 2e8**ALPHA) ** (1 / (ALPHA + BETA)) * (ALPHA / BETA) ** (1 / (ALPHA + BETA))
    return runs.assign(params=with_embeddings(runs["params"], words)), C, np.log(with_embeddings(best, words))


def test_a_best_size_that_is_no_power_of_compute_is_followed_and_no_approach_is_ok():
    runs, C, best = embedded(noise=0.001)
    found = optimum(runs, bootstrap=100)
    slices = found.path("isocompute")
    truth = np.gradient(best, np.log(C))[[0, -1]]
    assert slices.size_exponent.value == pytest.approx(np.polyfit(np.log(C), best, 1)[0], abs=0.012)
    assert [end.value for end in slices.end_exponents] == pytest.approx(truth, abs=0.03)
    assert all(path.status != OptimumStatus.OK for path in found.paths)
    assert slices.status in (OptimumStatus.BENT, OptimumStatus.APPROACHES_DISAGREE)
    assert "But the exponent changes along train_flops, from 0." in found.sentence()
    answer = next(path for path in found.to_dict()["approaches"] if path["approach"] == "isocompute")
    assert answer["p_straight"] < 0.01
    assert answer["end_exponents"][0]["value"] < answer["end_exponents"][1]["value"]


def test_a_path_of_exact_losses_follows_the_best_size_where_a_line_is_off():
    runs, C, best = embedded(noise=0.0)
    cells = grid_cells(analysis.frontier(runs.assign(id=[str(number) for number in range(len(runs))]), x="train_flops"))
    slices, _ = slices_at_equal_compute(cells, np.tile(cells.loss, (2, 1)))
    curves = local_curves(slices, 1e-4)
    chosen, line = slices_on_line(slices, curves)
    path = best_path(slices, curves, chosen, line, noise=CellNoise(1e-4, float("nan"), "surface"), seed=0).size[0]
    truth = np.polyfit(np.log(C), best, 1)[0]
    assert np.polyfit(np.log(C), path, 1)[0] == pytest.approx(truth, abs=0.006)
    assert abs(line[1] - truth) > 0.012


def test_a_power_of_compute_is_not_called_bent():
    for noise in (0.0, 0.003):
        found = optimum(isoflop(noise=noise), bootstrap=100)
        assert OptimumStatus.BENT not in {path.status for path in found.paths}
        assert "But the exponent changes" not in found.sentence()


# -- noisy compute --------------------------------------------------------------------------------------------------------------------


def test_noisy_compute_neither_moves_the_answer_nor_makes_it_certain():
    answers = [
        (compute, path)
        for compute in (0.0, 0.03, 0.10)
        for number in range(3)
        for path in optimum(isoflop(compute=compute, rng_seed=number)).paths
        if path.approach != "envelope"
    ]
    assert all(path.status == OptimumStatus.OK for _, path in answers)
    assert np.mean([holds(path) for _, path in answers]) > 0.85
    for _, path in answers:
        exponent = path.size_exponent
        assert abs(exponent.value - EXPONENT) < 0.03
        assert min(exponent.value - exponent.low, exponent.high - exponent.value) > 1e-3  # no kink: neither end lies on the value


def test_two_equal_computes_among_many_change_nothing():
    runs = isoflop()
    runs["examples_seen"] = runs["examples_seen"].round()
    runs["train_flops"] = 6 * runs["params"] * runs["examples_seen"]  # nearly equal, as rounded examples make them
    apart = optimum(runs)
    same = runs.copy()
    budget = np.flatnonzero(np.isclose(same["train_flops"], same["train_flops"].iloc[0], rtol=1e-6))
    same.loc[budget[1], "train_flops"] = same.loc[budget[0], "train_flops"]
    for path, other in zip(optimum(same).paths, apart.paths, strict=True):
        assert path.size_exponent.value == pytest.approx(other.size_exponent.value, abs=1e-6)


def test_measured_compute_of_a_grid():
    """Core-hours of five models, each run at six epoch budgets, ±10 %."""
    inside = []
    for number in range(6):
        runs = grid(noise=0.004, seeds=2, rng_seed=number)
        runs["core_hours"] *= np.exp(0.1 * np.random.default_rng(number).standard_normal(len(runs)))
        found = optimum(runs, "core_hours")
        assert 0.03 < found.compute_scatter < 0.15
        inside += [holds(found.path(name), 0.30 / 0.64) for name in ("surface", "isocompute")]
    assert np.mean(inside) > 0.8


def _cost(log_cost, *, sizes=7, budgets=5, noise=0.0, power=1.0, rng_seed=0):
    rng = np.random.default_rng(rng_seed)
    size, data = (
        axis.ravel() for axis in np.meshgrid(np.log(3.0) * np.arange(sizes), np.log(2.0) * np.arange(budgets), indexing="ij")
    )
    group = np.repeat(np.arange(sizes), budgets)
    x = log_cost(size) + power * data + noise * rng.standard_normal(len(size))
    return fit_cost(x, size, data, group), x, size, data


def test_the_form_of_the_cost_follows_what_the_runs_show():
    straight, *_ = _cost(lambda v: 0.8 * v)
    bent, *_ = _cost(lambda v: 0.8 * v + 0.05 * v**2)
    assert (straight.degree, straight.free) == (2, False)  # seven sizes: a bend is always fitted
    assert abs(straight.theta[2]) < 3 * np.sqrt(straight.covariance[2, 2])
    assert _cost(lambda v: 0.8 * v, sizes=4)[0].degree == 1
    assert (bent.degree, bent.free) == (2, False)
    overhead, _, size, data = _cost(lambda v: 0.8 * v, power=0.9)
    assert overhead.free
    assert overhead.power() == pytest.approx(0.9)
    assert overhead.log_data(0.8 * size + 0.9 * data, size) == pytest.approx(data, abs=1e-9)
    noisy = [_cost(lambda v: 0.8 * v, noise=0.1, rng_seed=number)[0] for number in range(20)]
    assert np.mean([(cost.degree, cost.free) == (2, False) for cost in noisy]) > 0.8


def test_the_cost_of_a_model_is_its_own_as_far_as_its_runs_tell():
    off = np.array([0.3, -0.2, 0.1, -0.3, 0.2, 0.0, -0.1])
    cost, x, size, data = _cost(lambda v: 0.8 * v + off[np.round(v / np.log(3)).astype(int)], noise=0.01)
    assert cost.degree == 2
    assert (cost.log_x(size, data) + np.repeat(cost.own, 5))[::5] == pytest.approx(x[::5], abs=0.03)
    _, errors = cost.draws(400, 0)
    assert errors.std(axis=0) == pytest.approx(0.01 / np.sqrt(5), rel=0.25)


@pytest.mark.parametrize(("sizes", "budgets"), [(72, 1), (7, 7)])
def test_the_error_of_the_cost_is_what_it_says(sizes, budgets):
    """The truth lies within 1.96 standard errors about 95 times in 100: with sizes run once, and with sizes that repeat."""
    inside, middle = [], np.array([np.log(3.0) * (sizes - 1) * 0.8])
    for number in range(150):
        cost, *_ = _cost(lambda v: 0.8 * v, sizes=sizes, budgets=budgets, noise=0.1, rng_seed=number)
        drawn = cost.log_data(np.zeros(1), middle, cost.draws(100, number)[0])
        value = cost.log_data(np.zeros(1), middle)
        inside.append(abs(value[0] + 0.8 * middle[0]) < 1.96 * drawn.std())
    assert 0.88 < np.mean(inside) <= 1.0


def test_budgets_that_are_meant_equal_count_as_the_table_has_them():
    """Models whose cost lies off every smooth relation, at exactly equal budgets; and the same measured with noise."""
    rng = np.random.default_rng(1)
    runs = isoflop()
    runs["examples_seen"] *= np.exp(0.1 * rng.standard_normal(len(runs)))  # what the budget bought in this architecture
    exact = grid_cells(analysis.frontier(runs.assign(id=[str(number) for number in range(len(runs))]), x="train_flops"))
    assert exact.counts_measured
    noisy = runs.assign(id=[str(number) for number in range(len(runs))], examples_seen=isoflop()["examples_seen"])
    noisy["train_flops"] *= np.exp(0.05 * rng.standard_normal(len(noisy)))
    assert not grid_cells(analysis.frontier(noisy, x="train_flops")).counts_measured


def test_budgets():
    group = np.tile(np.arange(4), 3)
    x = np.repeat([0.0, 1.0, 2.0], 4) + np.tile([0.0, 0.01, 0.03, 0.02], 3)
    assert [list(at) for at in budgets_shared(x, group)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert not budgets_shared(np.linspace(0, 3, 200), np.arange(200) % 5)
    assert nearly_equal_as_one(x) == pytest.approx(np.repeat([0.015, 1.015, 2.015], 4))
    dense = np.linspace(0, 3, 200)
    assert nearly_equal_as_one(dense) == pytest.approx(dense)


# -- what runs were trained on ------------------------------------------------------------------------------------------------------


def _epochs(runs, kind):
    """What a table of one pass over 2·10¹⁰ examples may have as epochs: a word for "no repeats", the fraction, or either of them rounded."""
    fraction = runs["examples_seen"] / 2e10
    return {
        "constant": 1,
        "nearly constant": np.where(np.arange(len(runs)) == 3, 1.01, 1.0),
        "tenths": np.maximum(fraction.round(1), 0.1),
        "rounded up": np.ceil(fraction),
    }[kind]


@pytest.mark.parametrize(("kind", "compute"), [("constant", 0.1), ("nearly constant", 0.0), ("tenths", 0.1), ("rounded up", 0.0)])
def test_epochs_that_do_not_say_what_runs_were_trained_on_are_passed_over(kind, compute):
    runs = isoflop(compute=compute)
    without = optimum(runs, bootstrap=100)
    found = optimum(runs.assign(epochs=_epochs(runs, kind)), bootstrap=100)
    assert found.data_name == "examples_seen"
    assert holds(found.path("surface"))
    assert found.recommended.approach == without.recommended.approach
    assert found.recommended.size_exponent == without.recommended.size_exponent
    (note,) = (note for note in found.notes if "examples_seen counts as what runs were trained on" in note)
    assert note.startswith("epochs are the same for all runs" if kind == "constant" else "epochs leave train_flops")


@pytest.mark.parametrize("batch_size", [None, 256])
def test_steps_say_what_runs_were_trained_on_where_nothing_else_does(batch_size):
    runs = isoflop()
    whole = optimum(runs, bootstrap=100).recommended
    steps = runs.drop(columns="examples_seen").assign(steps=runs["examples_seen"] / 256, epochs=1.0)
    found = optimum(steps if batch_size is None else steps.assign(batch_size=batch_size), bootstrap=100)
    assert found.data_name == ("steps" if batch_size is None else "examples_seen")
    assert found.recommended.approach == whole.approach
    assert found.recommended.size_exponent.value == pytest.approx(whole.size_exponent.value, rel=1e-6)


def test_epochs_that_say_the_same_as_the_examples_count():
    """Nominal epochs beside measured examples, and noisy compute: the crossing of one epoch is said as before."""
    rng = np.random.default_rng(0)
    runs = grid(noise=0.004)
    runs["examples_seen"] *= 1 + 0.005 * rng.standard_normal(len(runs))
    runs["core_hours"] *= np.exp(0.1 * rng.standard_normal(len(runs)))
    found = optimum(runs, "core_hours", bootstrap=100)
    assert found.data_name == "epochs"
    assert not any("trained on" in note for note in found.notes)


@pytest.mark.parametrize(
    ("draws", "status"),
    [
        ((0.4, 0.6), OptimumStatus.OK),
        ((-0.05, 0.3), OptimumStatus.NOT_IDENTIFIED),
        ((-0.2, 0.5), OptimumStatus.NOT_IDENTIFIED),
        ((0.1, 1.3), OptimumStatus.NOT_IDENTIFIED),
        ((-2.0, 2.8), OptimumStatus.NOT_IDENTIFIED),
    ],
)
def test_an_exponent_of_which_nothing_is_known_is_not_ok(draws, status):
    """An interval that holds 0 does not say whether the best size grows; one as wide as 1 says no more than that compute is size times data."""
    log_x = np.array([1.0, 2.0, 3.0])
    exponents = np.linspace(*draws, 201)
    size = (np.mean(draws) * log_x, exponents[:, None] * log_x)
    data = (0.5 * log_x, np.linspace(0.4, 0.6, 201)[:, None] * log_x)
    path = path_along(
        "surface", x="core_hours", data="epochs", log_x=log_x, size=size, epochs=data, level=0.95, reason="", points=None,
        epochs_tried=(0.5, 8.0), noise=0.01,
    )  # fmt: skip
    assert path.status == status
    assert path.says == (status == OptimumStatus.OK)


# -- which approach counts ------------------------------------------------------------------------------------------------------------


def test_the_headline_is_who_forecasts_best_and_says_that_the_approaches_disagree():
    found = optimum(isoflop(valley, decades=2.0, exponent=0.4))
    assert found.recommended.approach == "isocompute"
    assert holds(found.recommended, 0.35)
    assert not holds(found.path("surface"), 0.35)
    assert found.choice.regret["isocompute"] < found.choice.regret["surface"]
    assert {path.approach for path in found.disagree} >= {"surface", "isocompute"}
    assert all(path.status == OptimumStatus.APPROACHES_DISAGREE for path in found.paths if path.answers)
    assert "The approaches disagree beyond their intervals: surface 0." in found.sentence()
    payload = json.loads(json.dumps(analysis.payload(found), allow_nan=False))
    assert payload["recommended"] == payload["choice"]["approach"] == "isocompute"
    assert payload["choice"]["rule"] == "forecasts-larger-budgets"
    assert set(payload["disagree"]) >= {"surface", "isocompute"}
    assert "ok" not in {path["status"] for path in payload["approaches"]}


def test_a_surface_that_bends_otherwise_than_the_runs_is_not_ok():
    """Such a surface missed the true exponent in 98 of 100 simulations, with the narrowest of the intervals."""

    def bent(N, D):
        return loss(N, D) * np.exp(0.003 * np.log(N / 1e9) ** 2)

    tables = [optimum(isoflop(bent, decades=3.0, budgets=6, rng_seed=draw)) for draw in range(3)]
    assert "ok" not in {found.path("surface").status for found in tables}
    assert OptimumStatus.LACK_OF_FIT in {found.path("surface").status for found in tables}
    assert optimum(isoflop(decades=3.0, budgets=6)).path("surface").status == OptimumStatus.OK


def test_what_surface_says_best_stays_with_the_surface():
    found = optimum(isoflop(noise=0.01, budgets=6, sizes=5))
    assert found.choice.regret["surface"] < 1e-3
    assert not found.disagree
    assert found.choice.forecasts >= 3


def test_with_too_few_budgets_the_order_decides_and_is_named():
    found = optimum(isoflop(budgets=3))
    assert found.choice.regret == {}
    assert found.recommended.approach == "surface"
    assert "surface, the first that answers of surface, isocompute, envelope" in found.choice.words()
    assert analysis.payload(found)["choice"]["rule"] == "order"


def test_disagreement_is_of_intervals_that_lie_apart():
    found = optimum(isoflop(noise=0.003))
    surface, other = found.path("surface"), found.path("isocompute")
    assert disagreeing([surface, other], "train_flops") == set()
    moved = dataclasses.replace(
        other.size_exponent,
        value=other.size_exponent.value - 0.2,
        low=other.size_exponent.low - 0.2,
        high=other.size_exponent.high - 0.2,
    )
    apart = dataclasses.replace(other, size_exponent=moved)
    assert disagreeing([surface, apart], "train_flops") == {"surface", "isocompute"}
    assert {path.status for path in with_disagreement([surface, apart], "train_flops")} == {OptimumStatus.APPROACHES_DISAGREE}
    sizes = other.table.assign(**{name: other.table[name] * 3 for name in ("size", "size_low", "size_high")})
    assert disagreeing([surface, dataclasses.replace(other, table=sizes)], "train_flops") == {"surface", "isocompute"}


def test_a_runnable_cell_is_affordable_whatever_approach_is_recommended():
    found = optimum(isoflop(valley, decades=2.0, exponent=0.4), models={"small": 1e8, "large": 5e9})
    assert found.recommended.approach == "isocompute"
    assert (found.runnable["train_flops_of_cell"] <= 1.1 * found.runnable["train_flops"] * (1 + 1e-9)).all()


# -- intervals ------------------------------------------------------------------------------------------------------------------------


def test_an_interval_has_width_on_both_sides_or_no_ends():
    rng = np.random.default_rng(0)
    draws = 0.5 + 0.1 * np.abs(rng.standard_normal(400))
    one_sided = about(0.5, draws, 0.95, 0.01)
    assert one_sided.low < 0.46
    assert one_sided.high == pytest.approx(np.quantile(draws, 0.975))
    assert not about(0.5, np.full(400, 0.5), 0.95, 0.01).bounded
    assert about(0.5, np.full(400, 0.5), 0.95, 0.0).bounded  # without noise the draws are right to agree


# -- invariance -----------------------------------------------------------------------------------------------------------------------


def _answers(runs, x):
    found = optimum(runs, x, bootstrap=100)
    numbers = [
        number
        for path in found.paths
        if path.answers
        for end in (path.size_exponent, path.epochs_exponent)
        for number in (end.value, end.low, end.high)
    ]
    return [found.recommended.approach, *(path.status for path in found.paths)], np.array(numbers)


@pytest.mark.parametrize("made", ["isoflop", "grid", "no params"])
def test_units_order_names_and_idle_columns_change_nothing(made):
    """All units at once, and all of the others: `test_invariance.py` asks them one by one."""
    if made == "isoflop":
        runs, x = isoflop(compute=0.1), "train_flops"
    else:
        runs, x = grid(noise=0.004, seeds=2).drop(columns="id"), "core_hours"
        runs[x] *= np.exp(0.05 * np.random.default_rng(0).standard_normal(len(runs)))
        if made == "no params":
            runs = runs.drop(columns="params")
    words, numbers = _answers(runs, x)
    data = [name for name in ("examples_seen", "unique_examples") if name in runs]
    units = {x: 1e9, "val_loss": 1e-9, "params": 1e-9} | dict.fromkeys(data, 1e-9)
    in_others = runs.assign(**{name: runs[name] * factor for name, factor in units.items() if name in runs})
    told = runs.assign(idle=3.0).sample(frac=1, random_state=1).reset_index(drop=True)
    if "model" in runs:
        told = told.assign(model=told["model"].map({f"nfnet-{rank}": f"{'zebac'[rank]}" for rank in range(5)}))
    changed = [in_others, told]
    for other in changed:
        other_words, other_numbers = _answers(other, x)
        assert other_words == words
        assert other_numbers == pytest.approx(numbers, rel=1e-6)


def test_examples_are_the_unit_that_they_are():
    """Epochs and examples seen place the same runs: the answer is one."""
    runs = grid(noise=0.004)
    by_epochs, by_examples = (
        optimum(runs, "core_hours"),
        optimum(runs.drop(columns=["epochs", "unique_examples"]), "core_hours", law="chinchilla"),
    )
    one, other = (found.path("isocompute").table for found in (by_epochs, by_examples))
    assert (one["epochs"] * EXAMPLES).to_numpy() == pytest.approx(other["examples_seen"].to_numpy(), rel=1e-6)
