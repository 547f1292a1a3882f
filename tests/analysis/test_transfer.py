"""Downstream against upstream: rank correlation against scipy, the regret by hand, parents joined by id."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import analysis
from analysis.downstream import _rank_interval
from analysis.reading.source import attach_source
from scaling.errors import TooFewPoints, UnknownName


def finetuned(n=12, noise=0.0, rng_seed=0, seeds=1):
    rng = np.random.default_rng(rng_seed)
    hours = np.repeat(np.geomspace(10, 1e4, n), seeds)
    upstream = 3 * hours**-0.1
    return pd.DataFrame(
        {
            "model": [f"F{k // seeds}" for k in range(n * seeds)],
            "epochs": 1.0,
            "seed": np.tile(np.arange(seeds), n),
            "core_hours": hours,
            "pretrain_loss": upstream,
            "error": 0.1 * upstream**2 * np.exp(noise * rng.standard_normal(n * seeds)),
        }
    )


COLUMNS = {"downstream": "error", "upstream": "pretrain_loss", "x": "core_hours"}


def test_rank_correlation_is_scipys():
    runs = finetuned(noise=0.3)
    found = analysis.transfer(runs, **COLUMNS)
    rho, p = stats.spearmanr(runs["pretrain_loss"], runs["error"])
    assert found.rank_correlation.value == pytest.approx(rho)
    assert found.p_value == pytest.approx(p)
    assert found.rank_correlation.low < rho < found.rank_correlation.high


def test_rank_interval_covers_the_true_correlation():
    """Bivariate normal with Pearson's r = 0.7: Spearman's ρ is 6/π·asin(r/2)."""
    rng, truth, inside = np.random.default_rng(0), 6 / np.pi * np.arcsin(0.35), 0
    for _ in range(300):
        a, b = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], 15).T
        interval = _rank_interval(float(stats.spearmanr(a, b)[0]), 15, 0.95)
        inside += interval.low <= truth <= interval.high
    assert 0.92 <= inside / 300 <= 0.99
    assert -1 < _rank_interval(1.0, 10, 0.95).low < 1  # a perfect order of ten is not proof of a perfect one
    assert _rank_interval(1.0, 10, 0.95).high == 1.0


def test_the_best_pretrained_is_not_always_the_best_finetuned():
    runs = finetuned()
    assert analysis.transfer(runs, **COLUMNS).same_best
    assert analysis.transfer(runs, **COLUMNS).regret == 0
    best = runs["pretrain_loss"].idxmin()
    runs.loc[best, "error"] *= 1.5
    found = analysis.transfer(runs, **COLUMNS)
    assert not found.same_best
    assert found.best_upstream["checkpoint"] == "F11 at 1 epochs"
    assert found.regret == pytest.approx(runs.loc[best, "error"] - runs["error"].min())
    assert found.regret_may_be_noise is None  # one seed each: nothing is known about noise
    assert "is not the best fine-tuned one" in found.sentence()


def test_seeds_say_whether_a_regret_may_be_noise():
    runs = finetuned(noise=0.001, seeds=3)
    worst = runs["core_hours"] == runs["core_hours"].max()
    runs.loc[worst, "error"] = runs.loc[~worst, "error"].min() * np.array([1.0005, 1.0006, 1.0007])
    assert analysis.transfer(runs, **COLUMNS).regret_may_be_noise is True
    runs.loc[worst, "error"] *= 1.2
    found = analysis.transfer(runs, **COLUMNS)
    assert found.regret_may_be_noise is False
    assert "more than seed noise" in found.sentence()
    assert found.checkpoints["runs"].tolist() == [3] * 12


def test_the_law_is_that_of_fit():
    runs = finetuned(noise=0.02)
    found = analysis.transfer(runs, **COLUMNS)
    assert found.law.params["a"] == pytest.approx(analysis.fit(runs, metric="error", x="core_hours", law="power").params["a"])


def test_given_compute_is_the_correlation_of_what_compute_leaves():
    """Partial rank correlation is the correlation of the residuals of ranks."""
    runs = finetuned(noise=0.3)
    runs["pretrain_loss"] *= np.exp(0.2 * np.random.default_rng(5).standard_normal(len(runs)))
    ranks = runs[["pretrain_loss", "error", "core_hours"]].rank().to_numpy()
    left = [y - np.polyval(np.polyfit(ranks[:, 2], y, 1), ranks[:, 2]) for y in ranks[:, :2].T]
    assert analysis.transfer(runs, **COLUMNS).given_compute.value == pytest.approx(np.corrcoef(*left)[0, 1])


def with_links():
    base = finetuned()
    parents = pd.DataFrame(
        {"id": [f"p{k}" for k in range(12)], "parent": None, "model": base["model"], "epochs": 1.0, "status": "finished"}
    )
    parents = parents.assign(core_hours=base["core_hours"], val_loss=base["pretrain_loss"], val_top1=0.5, dataset="big")
    tuned = pd.DataFrame(
        {"id": [f"t{k}" for k in range(12)], "parent": parents["id"], "model": base["model"], "epochs": 50.0, "status": "finished"}
    )
    tuned = tuned.assign(core_hours=1.0, val_loss=base["error"], val_top1=1 - base["error"], dataset="small")
    return pd.concat([parents, tuned], ignore_index=True)


def test_finetuned_runs_are_joined_with_their_parents():
    runs = with_links()
    found = analysis.transfer(runs)
    assert found.x == "parent_core_hours"
    assert len(found.checkpoints) == 12
    assert found.checkpoints["parent_core_hours"].max() == pytest.approx(1e4)
    assert found.rank_correlation.value == pytest.approx(1.0)
    joined = analysis.with_parents(runs, "val_top1_error")
    assert set(joined["id"]) == {f"t{k}" for k in range(12)}
    assert (joined["parent_val_top1_error"] == 0.5).all()


def test_refusals():
    with pytest.raises(TooFewPoints, match=r"3 fine-tuned checkpoints .* 2 more are needed"):
        analysis.transfer(finetuned(3), **COLUMNS)
    with pytest.raises(TooFewPoints, match="no run of the table starts from another"):
        analysis.transfer(with_links().iloc[:12])
    with pytest.raises(UnknownName, match="column 'pretrain_los'"):
        analysis.transfer(finetuned(), downstream="error", upstream="pretrain_los", x="core_hours")


def test_columns_that_tell_fine_tuned_runs_apart_are_named_by_cell():
    table = finetuned(seeds=2)
    by_recipe = table.assign(recipe=np.where(table["seed"] == 0, "a", "b"))
    attach_source(by_recipe, {"cell": ["recipe"]})
    assert len(analysis.transfer(by_recipe, **COLUMNS).checkpoints) == 24
    assert len(analysis.transfer(table, **COLUMNS).checkpoints) == 12
    with pytest.raises(UnknownName, match="column 'nope'"):
        analysis.transfer(attach_source(table, {"cell": ["nope"]}), **COLUMNS)


@pytest.mark.parametrize("columns", [("epochs",), ("batch_size", "weight_decay")])
def test_columns_in_which_runs_of_a_checkpoint_differ_are_named(columns):
    runs = finetuned(seeds=2).assign(parent=lambda table: "run-" + table["model"], examples_seen=lambda table: 1e5 + table["seed"])
    runs = runs.assign(**dict.fromkeys(columns, 1.0 + runs["seed"]))
    found = analysis.transfer(runs, **COLUMNS)
    assert len(found.checkpoints) == 12
    differ = "differs" if len(columns) == 1 else "differ"
    assert found.notes == (
        f"{', '.join(columns)} {differ} between runs that were averaged as one cell; --cell {','.join(columns)} keeps them apart",
    )
    assert found.to_dict()["notes"] == list(found.notes)
    assert not analysis.transfer(finetuned(seeds=2), **COLUMNS).notes


def test_payload_and_csv():
    found = analysis.transfer(finetuned(noise=0.1), **COLUMNS)
    payload = json.loads(json.dumps(analysis.payload(found), allow_nan=False))
    assert payload["rank_correlation"]["low"] < payload["rank_correlation"]["high"]
    assert payload["fit"]["runs_used"] == 12
    assert found.to_csv().splitlines()[0] == "checkpoint,core_hours,pretrain_loss,error,runs"
