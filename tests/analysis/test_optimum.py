"""Best size and epochs along compute: against the closed form of the Chinchilla surface, exact parabolas, brute force, and refusals."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.optimum import surface
from analysis.optimum.cells import grid_cells
from analysis.optimum.path import path_along
from scaling.errors import DataError, TooFewPoints, UnknownName, UsageError
from scaling.outcomes import OptimumStatus
from tests.analysis.grids import ALPHA, BETA, EXAMPLES, A, B, chinchilla, grid

EXPONENT = BETA / (ALPHA + BETA)
"""Of the best size against compute, for C = 6·N·D (Hoffmann et al. 2022, eq. 4)."""


def best_size(core_hours):
    """G·(C/6)^a with G = (αA/βB)^(1/(α+β)), the closed form."""
    return (ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA)) * (np.asarray(core_hours) * 1e15 / 6) ** EXPONENT


def crossing():
    """The compute at which the best D is one epoch."""
    N = (ALPHA * A / (BETA * B * EXAMPLES**-BETA)) ** (1 / ALPHA)
    return 6 * N * EXAMPLES / 1e15


@pytest.fixture(scope="module")
def noisy():
    return analysis.compute_optimal(grid(noise=0.004, seeds=2), bootstrap=200)


def test_the_surface_finds_the_closed_form():
    found = analysis.compute_optimal(grid(), law="chinchilla", bootstrap=100).path("surface")
    assert found.status == OptimumStatus.OK
    assert found.table["size"].to_numpy() == pytest.approx(best_size(found.table["core_hours"]), rel=2e-3)
    assert found.size_exponent.value == pytest.approx(EXPONENT, abs=1e-3)
    assert found.size_exponent.value + found.epochs_exponent.value == pytest.approx(1.0, abs=1e-6)  # compute is size times epochs
    assert found.crossing.at.value == pytest.approx(crossing(), rel=5e-3)


def test_intervals_of_all_three_hold_the_truth(noisy):
    for path in noisy.paths:
        few = path.approach == "envelope"  # of five sizes three lie in the middle
        assert path.status == (OptimumStatus.NOT_IDENTIFIED if few else OptimumStatus.OK), path.reason
        assert path.size_exponent.low < EXPONENT < path.size_exponent.high
        assert path.epochs_exponent.low < 1 - EXPONENT < path.epochs_exponent.high
        assert path.crossing.at.low < crossing() < path.crossing.at.high
        assert path.size_exponent.high - path.size_exponent.low < 0.5
    assert noisy.recommended.approach == "surface"
    assert noisy.epochs_above_one.at.value == noisy.path("surface").crossing.at.value


def test_disagreement_is_the_largest_over_the_smallest(noisy):
    apart = noisy.disagreement()
    sizes = apart[["size_surface", "size_envelope", "size_isocompute"]]
    assert np.allclose(apart["size_ratio"], sizes.max(axis=1) / sizes.min(axis=1))
    assert (apart["size_ratio"] < 2).all()
    assert sizes["size_isocompute"].isna().any()  # slices cover less compute: no line is drawn on beyond them


def test_isocompute_is_exact_on_parabolas():
    """Loss an exact parabola in log size at each compute, its minimum on N = 40·C^0.55."""

    def parabolas(N, D):
        compute = 6 * N * D / 1e15
        return np.exp(0.3 - 0.1 * np.log(compute) + 0.02 * (np.log(N) - np.log(6e6) - 0.55 * np.log(compute)) ** 2)

    found = analysis.compute_optimal(grid(parabolas), bootstrap=100).path("isocompute")
    assert found.answers
    at = found.table
    assert at["size"].to_numpy() == pytest.approx(6e6 * at["core_hours"] ** 0.55, rel=1e-6)
    assert found.size_exponent.value == pytest.approx(0.55, abs=1e-6)


def test_envelope_is_the_line_through_the_optimal_cells_of_middle_size():
    runs = grid()
    found = analysis.compute_optimal(runs, bootstrap=100).path("envelope")
    optimal = analysis.frontier(runs).on_frontier
    middle = optimal[(optimal["params"] > runs["params"].min()) & (optimal["params"] < runs["params"].max())]
    slope = np.polyfit(np.log(middle["core_hours"]), np.log(middle["params"]), 1)[0]
    assert found.size_exponent.value == pytest.approx(slope, abs=1e-9)


def test_an_optimum_that_is_not_interior_is_refused():
    """At these computes the best size is far above the largest tried."""
    found = analysis.compute_optimal(grid(sizes=(1e4, 2e4, 4e4, 8e4), noise=0.002, seeds=2), bootstrap=100)
    surface, slices = found.path("surface"), found.path("isocompute")
    assert surface.status == slices.status == OptimumStatus.NOT_INTERIOR
    assert surface.size_exponent is None
    assert surface.table.empty
    assert "above the largest" in surface.reason
    assert not slices.points["interior"].any()


def test_epochs_above_one_is_not_determined_when_the_data_do_not_say():
    above = analysis.compute_optimal(grid(epochs=(2, 4, 8, 16), noise=0.002, seeds=2), bootstrap=100)
    assert above.epochs_above_one.at is None
    assert "no budget of one epoch or less" in above.epochs_above_one.reason
    rng = np.random.default_rng(0)
    u = np.linspace(0, 3, 4)
    shaky = {"size": (u, u + np.zeros((200, 1))), "epochs": (0.05 * u - 0.1, rng.standard_normal((200, 1)) * u + 0.1)}
    path = path_along(
        "surface",
        x="core_hours",
        data="epochs",
        log_x=u,
        level=0.95,
        reason="",
        points=pd.DataFrame(),
        epochs_tried=(0.25, 8),
        **shaky,
    )
    assert path.crossing.at is None
    assert "not determined" in path.crossing.reason


def test_runnable_cells_are_the_best_affordable_ones(noisy):
    """Against brute force over models and epochs, with the true surface: the choice may lose no more than noise can cost."""
    for row in noisy.runnable.to_dict("records"):
        cells = [
            (6 * N * EXAMPLES * e / 1e15, chinchilla(N, EXAMPLES * e))
            for N in 1e6 * 3.0 ** np.arange(5)
            for e in (0.25, 0.5, 1, 2, 4, 8)
        ]
        best = min(loss for cost, loss in cells if cost <= 1.1 * row["core_hours"])
        assert row["core_hours_of_cell"] <= 1.1 * row["core_hours"] * (1 + 1e-9)
        assert chinchilla(row["size"], EXAMPLES * row["epochs"]) <= best * 1.005
    own = analysis.compute_optimal(grid(), models={"tiny": 1e6, "huge": 8.1e7}, epochs=[1, 2], bootstrap=100)
    assert set(own.runnable["model"]) <= {"tiny", "huge"}
    assert set(own.runnable["epochs"]) <= {1, 2}


def test_without_params_the_compute_of_an_epoch_is_the_size(nfnet):
    found = analysis.compute_optimal(nfnet, metric="error", bootstrap=200)
    assert found.size_name == "core_hours an epoch"
    best = found.recommended
    assert best is not None
    # Smith et al. 2023 (arXiv 2310.16764): model size and epochs grow at about the same rate.
    assert best.size_exponent.low < 0.5 < best.size_exponent.high


def test_without_epochs_the_examples_seen_are_the_data():
    """A table of language models: sizes, tokens, FLOPs; sizes as if read off a picture."""
    runs = grid(noise=0.003).drop(columns=["epochs", "model", "family", "seed", "unique_examples"])
    runs["params"] *= 1 + 1e-3 * np.random.default_rng(0).standard_normal(len(runs))
    found = analysis.compute_optimal(runs, bootstrap=200)
    assert found.data_name == "examples_seen"
    assert not set(found.path("surface").table) & {"epochs"}
    for path in found.paths:
        assert path.size_exponent.low < EXPONENT < path.size_exponent.high, path.approach
        assert path.crossing.at is None
    at = found.runnable
    assert (6 * at["size"] * at["examples_seen"] / 1e15).to_numpy() == pytest.approx(at["core_hours"], rel=0.02)
    assert "best examples seen" in found.sentence()


def test_cost_of_an_epoch_follows_the_models():
    runs = grid(cost=1.0)
    runs["core_hours"] *= (runs["params"] / 1e6) ** 0.2  # bigger models run at lower utilisation
    cells = grid_cells(analysis.frontier(runs))
    log_size = np.log([1e6, 2e6, 8.1e7, 3e8])
    expected = np.log(6 * np.exp(log_size) * EXAMPLES / 1e15 * (np.exp(log_size) / 1e6) ** 0.2)
    assert cells.cost.log_data(np.zeros(4), log_size) == pytest.approx(-expected, abs=1e-9)


def test_what_is_not_bounded_is_not_identified_and_not_recommended(noisy):
    u = np.linspace(0, 3, 4)
    known = (u, u + 0.01 * np.random.default_rng(0).standard_normal((200, 4)))
    settings = {"x": "core_hours", "data": "epochs", "log_x": u, "level": 0.95, "reason": "", "points": pd.DataFrame()}
    settings |= {"epochs_tried": (0.25, 8)}
    half = (u, np.where(np.arange(200)[:, None] % 2, known[1], np.nan))
    assert path_along("surface", size=known, epochs=known, **settings).status == OptimumStatus.OK
    open_ended = path_along("surface", size=half, epochs=known, **settings)
    vague = path_along("surface", size=known, epochs=known, identified=False, **settings)
    assert open_ended.status == vague.status == OptimumStatus.NOT_IDENTIFIED
    for path in (open_ended, vague):
        found = dataclasses.replace(noisy, paths=(path, *noisy.paths[1:]))
        assert found.recommended.approach == "isocompute"
        alone = dataclasses.replace(noisy, paths=(path, path_along("isocompute", size=half, epochs=known, **settings), open_ended))
        alone = dataclasses.replace(alone, paths=(*alone.paths[:2], dataclasses.replace(open_ended, approach="envelope")))
        assert alone.recommended is None
        assert "not-identified" in alone.sentence()


def test_a_minimum_at_the_edge_of_the_sizes_looked_at_is_none(monkeypatch):
    monkeypatch.setattr(surface, "_BEYOND", 0.0)
    runs = grid(sizes=(1e4, 2e4, 4e4, 8e4), noise=0.002, seeds=2)
    found = analysis.compute_optimal(runs, law="chinchilla", bootstrap=100)
    path = found.path("surface")
    assert path.status == OptimumStatus.NOT_INTERIOR
    assert "above the largest" in path.reason
    assert np.isinf(path.points["size"]).all()
    assert json.loads(json.dumps(analysis.payload(found), allow_nan=False))["approaches"][0]["points"][0]["size"] is None


@pytest.mark.parametrize("column", ["epochs", "params", "examples_seen"])
def test_a_run_with_a_hole_is_left_out_and_listed(column):
    runs = grid(noise=0.004, seeds=2)
    runs["id"] = [f"row {number}" for number in range(1, len(runs) + 1)]
    runs.loc[9, column] = np.nan
    runs.loc[20, column] = 0.0
    found = analysis.compute_optimal(runs, bootstrap=100)
    assert (found.size_name, found.data_name, found.runs_used) == ("params", "epochs", 58)
    assert [(entry.id, entry.reason) for entry in found.excluded] == [
        ("row 10", f"no {column}"),
        ("row 21", f"{column} is not a positive number"),
    ]
    without = analysis.compute_optimal(runs.drop(index=[9, 20]), bootstrap=100)
    assert found.sentence() == without.sentence()


def test_refusals():
    with pytest.raises(UsageError, match="2 families"):
        analysis.compute_optimal(pd.concat([grid(), grid(family="vit")]))
    with pytest.raises(UnknownName, match="family 'vti'"):
        analysis.compute_optimal(pd.concat([grid(), grid(family="vit")]), family="vti")
    with pytest.raises(TooFewPoints, match="1 more size needed"):
        analysis.compute_optimal(grid(sizes=(1e6, 3e6)))
    with pytest.raises(DataError, match="needs the epochs"):
        analysis.compute_optimal(grid().drop(columns=["epochs", "examples_seen"]))
    with pytest.raises(DataError, match="needs the size"):
        analysis.compute_optimal(grid().drop(columns=["params", "model", "seed"]))
    with pytest.raises(UnknownName, match="surface 'power'"):
        analysis.compute_optimal(grid(), law="power")


def test_one_run_a_cell_and_few_cells_give_no_interval():
    found = analysis.compute_optimal(grid(sizes=(1e6, 6e6, 3.6e7), epochs=(0.1, 16)), bootstrap=100)
    assert found.noise.source == "none"
    slices = found.path("isocompute")
    assert slices.answers
    assert slices.status == OptimumStatus.NO_NOISE_ESTIMATE
    assert not slices.size_exponent.bounded


def test_payload_and_csv(noisy):
    payload = json.loads(json.dumps(analysis.payload(noisy), allow_nan=False))
    assert [path["approach"] for path in payload["approaches"]] == ["surface", "envelope", "isocompute"]
    assert payload["epochs_above_one"]["at"]["low"] < payload["epochs_above_one"]["at"]["high"]
    assert payload["runs_used"] == 60
    assert noisy.to_csv().splitlines()[0] == "approach,core_hours,size,size_low,size_high,epochs,epochs_low,epochs_high"


# -- the frontier's band -------------------------------------------------------------------------------------------------------------


def test_band_holds_the_best_true_loss_and_is_no_wider_than_its_noise():
    inside, cells, widths = 0, 0, []
    for number in range(8):
        runs = grid(noise=0.01, seeds=2, rng_seed=number)
        band = analysis.frontier_band(analysis.frontier(runs), draws=200)
        truth = np.minimum.accumulate([chinchilla(row["params"], EXAMPLES * row["epochs"]) for row in band.to_dict("records")])
        inside += ((band["best_low"] <= truth) & (truth <= band["best_high"])).sum()
        cells += len(band)
        widths.append(np.log(band["best_high"] / band["best_low"]).mean())
    assert inside / cells > 0.85
    assert np.mean(widths) < 3.92 * 0.01 / np.sqrt(2) * 1.2


def test_frontier_share_says_which_cells_are_there_by_luck():
    runs = grid(noise=0.01, seeds=2)
    found = analysis.frontier(runs)
    band = analysis.frontier_band(found, draws=200)
    cheapest, costliest = band.iloc[0], band.iloc[-1]
    assert cheapest["frontier_share"] == 1.0  # nothing costs less
    assert costliest["on_frontier"]
    assert band.loc[band["on_frontier"], "frontier_share"].mean() > 0.6
    assert band.loc[~band["on_frontier"], "frontier_share"].mean() < 0.2
    payload = analysis.payload(found, band=band)
    assert payload["points"][0]["best_loss"]["low"] < payload["points"][0]["best_loss"]["high"]


def test_band_is_unknown_where_noise_is():
    few = analysis.frontier_band(analysis.frontier(grid(sizes=(1e6,), epochs=(1, 2, 4))))
    assert few["best_low"].isna().all()
    assert few["frontier_share"].isna().all()
