"""Downstream against upstream: rank correlation against scipy, the regret by hand, parents joined by id; shifts of simulated surfaces."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from typer.testing import CliRunner

import analysis
from analysis.downstream.contrast import contrast_of
from analysis.downstream.rank import rank_interval
from analysis.reading.source import attach_source
from scaling.cli.app import app
from scaling.errors import TooFewPoints, UnknownName, UsageError


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
        interval = rank_interval(float(stats.spearmanr(a, b)[0]), 15, 0.95)
        inside += interval.low <= truth <= interval.high
    assert 0.92 <= inside / 300 <= 0.99
    assert -1 < rank_interval(1.0, 10, 0.95).low < 1  # a perfect order of ten is not proof of a perfect one
    assert rank_interval(1.0, 10, 0.95).high == 1.0


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
    assert (found.upstream, found.downstream, found.x) == ("val_loss", "finetune_val_loss", "core_hours")
    assert len(found.checkpoints) == 12
    assert found.checkpoints["core_hours"].max() == pytest.approx(1e4)
    assert found.rank_correlation.value == pytest.approx(1.0)
    staged = runs.assign(stage=np.where(runs["parent"].notna(), "finetuning", "pretraining"))
    pd.testing.assert_frame_equal(analysis.transfer(staged).checkpoints, found.checkpoints)
    assert analysis.transfer(runs, downstream="val_top1_error").checkpoints["finetune_val_top1_error"].max() < 1


def test_refusals():
    pretrained = with_links().iloc[:12].assign(stage="pretraining")
    with pytest.raises(TooFewPoints, match="none of the 12 runs was fine-tuned"):
        analysis.transfer(pretrained)
    with pytest.raises(UsageError, match="are both val_loss"):
        analysis.transfer(pretrained.drop(columns=["stage", "parent"]))
    with pytest.raises(UnknownName, match="column 'pretrain_los'"):
        analysis.transfer(finetuned(), downstream="error", upstream="pretrain_los", x="core_hours")


@pytest.mark.parametrize("count", [1, 2, 3, 4, 11])
def test_few_checkpoints_have_an_answer_that_says_what_is_not_identified(count):
    found = analysis.transfer(finetuned(count).assign(params=np.geomspace(1e6, 1e9, 12)[:count]), **COLUMNS)
    assert len(found.checkpoints) == count
    assert not found.shifts[0].identified
    assert "is not identified: " in found.sentence()
    assert ("1 size was" if count == 1 else "2 sizes were" if count == 2 else f"{count} cells were") in found.shifts[0].reason
    json.dumps(analysis.payload(found), allow_nan=False)
    assert (found.law is None) == (count < 3)


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


ALPHA, BETA = 0.34, 0.30
SHIFT = np.log(1.35)


def loss_at(n, x):
    """E + A·N^−α + B·D^−β against log size and log compute, whose best size is n = β/(α + β)·x."""
    return 1 + 0.3 * np.exp(-ALPHA * n) + 0.3 * ALPHA / BETA * np.exp(-BETA * (x - n))


def error_at(n, x, shift=0.0):
    """A fine-tuned error that is least at a size exp(shift) times as large, at every compute; no power of the loss, and no polynomial."""
    return 0.05 + 0.1 * (loss_at(n - shift, x) - 0.7) ** 1.3


def cells(sizes=5, budgets=6):
    """Log size and log compute of sizes a factor of 3 apart, each at budgets that double."""
    n = np.log(3) * (np.arange(sizes) - (sizes - 1) / 2)
    d = np.log(2) * (np.arange(budgets) - budgets // 2 + 1)
    return np.array([(size, size + data) for size in n for data in d]).T


def noisy(shift, tables, *, loss_noise=0.005, error_noise=0.01, rng_seed=0):
    """Return cells, and both log metrics (tables, n, 2), whose noise is half their own and half shared."""
    n, x = cells()
    rng = np.random.default_rng(rng_seed)
    own = np.sqrt(0.5) * (rng.standard_normal((tables, len(n), 2)) + rng.standard_normal((tables, len(n), 1)))
    clean = np.stack([np.log(loss_at(n, x)), np.log(error_at(n, x, shift))], axis=-1)
    return n, x, clean + own * [loss_noise, error_noise]


@pytest.mark.parametrize("shift", [0.0, np.log(1.35)])
def test_intervals_of_a_shift_hold_the_truth_and_alarms_are_five_per_cent(shift):
    """The same with 1,000 tables of many kinds is benchmarks/transfer_shift.py."""
    n, x, both = noisy(shift, 200)
    found = [contrast_of(x, n, one[:, 0], one[:, 1], level=0.95) for one in both]
    assert all(not each.trouble for each in found)
    held = sum(each.shift.low <= shift <= each.shift.high for each in found)
    assert 180 <= held <= 199  # 99.9 % of counts of 200 at 95 % lie between 179 and 199
    alarms = sum(each.shift.excludes(0.0) for each in found)
    assert alarms <= 21 if shift == 0 else alarms > 195
    spread = np.std([each.shift.value for each in found])
    say = np.median([each.would_show for each in found]) / (stats.t.ppf(0.975, 20) + stats.norm.ppf(0.8))
    assert say == pytest.approx(spread, rel=0.15)  # the standard error is that of repeated tables
    sizes = np.linspace(-6, 6, 20001)
    at = found[0].log_x
    best, own = (np.array([f(sizes, one).min() for one in at]) for f in (loss_at, lambda n, x: error_at(n, x, shift)))
    there = np.array([error_at(sizes[loss_at(sizes, one).argmin()], one, shift) for one in at])
    cost = float(np.mean(there - own))
    assert sum(each.cost.low <= cost + 1e-9 <= each.cost.high + 2e-9 for each in found) >= 180
    assert np.all(best > 1)


def test_paired_noise_cancels():
    """Noise that both metrics have in proportion moves both optima alike: the shift is known far better than either optimum."""
    n, x = cells()
    rng = np.random.default_rng(0)
    loss = np.log(loss_at(n, x)) + 0.01 * rng.standard_normal(len(n))
    shared = contrast_of(x, n, loss, 1.5 * loss + 0.0005 * rng.standard_normal(len(n)), level=0.95)
    clean = np.log(loss_at(n, x))
    apart = contrast_of(x, n, loss, 1.5 * (clean + 0.01 * rng.standard_normal(len(n))), level=0.95)
    assert shared.shift.low <= 0 <= shared.shift.high
    assert shared.shift.high - shared.shift.low < 0.2 * (apart.shift.high - apart.shift.low)


def test_an_error_that_the_loss_determines_has_no_shift():
    """Without noise of its own the least misfit of the polynomials would look certain: their form is allowed 1 %."""
    n, x = cells()
    rng = np.random.default_rng(0)
    loss = np.log(loss_at(n, x)) + 0.005 * rng.standard_normal(len(n))
    found = contrast_of(x, n, loss, np.log(0.02 + 0.05 * np.exp(loss) ** 2), level=0.95)
    assert found.shift.low <= 0 <= found.shift.high
    assert found.shift.high - found.shift.low < 0.2


def study(shift=SHIFT, seeds=2, noise=(0.005, 0.01), rng_seed=0, sizes=5):
    """Return runs of a grid, and a fine-tuning of each."""
    n, x = cells(sizes)
    rng, rows = np.random.default_rng(rng_seed), []
    for size, compute in zip(n, x, strict=True):
        for seed in range(seeds):
            own = rng.standard_normal(2) * noise
            loss, error = loss_at(size, compute) * np.exp(own[0]), error_at(size, compute, shift) * np.exp(own[1])
            run = {"family": "nfnet", "model": f"F{size:.2f}", "params": 1e8 * np.exp(size), "seed": seed, "status": "finished"}
            name = f"{size:.2f}-{compute - size:.2f}-{seed}"
            rows.append(
                run
                | {
                    "id": name,
                    "stage": "pretraining",
                    "epochs": round(np.exp(compute - size), 9),
                    "core_hours": 100 * np.exp(compute),
                }
                | {"val_loss": loss, "val_top1": 0.5, "learning_rate": 1.6, "parent": None}
            )
            rows.append(
                run
                | {"id": f"t{name}", "stage": "finetuning", "epochs": 50.0, "core_hours": 1.0, "parent": name}
                | {"val_loss": 3 * error, "val_top1": 1 - error, "learning_rate": 0.1}
            )
    return pd.DataFrame(rows)


def test_a_shift_is_told_with_what_it_costs():
    found = analysis.transfer(study(), downstream="top1_error")
    (shift,) = found.shifts
    assert shift.found == 1
    assert shift.size_ratio.low < 1.35 < shift.size_ratio.high
    assert shift.epochs_ratio.low < 1 / 1.35 < shift.epochs_ratio.high  # compute is size times epochs here
    assert shift.epochs_ratio.value == pytest.approx(1 / shift.size_ratio.value, rel=1e-6)
    assert 0 < shift.cost.low < shift.cost.value < shift.cost.high < 0.005
    assert len(found.checkpoints) == 30  # seeds are pooled
    assert (found.checkpoints["runs"] == 2).all()
    assert found.sentence().startswith("After fine-tuning larger models and fewer epochs are best at equal core_hours: ")
    payload = json.loads(json.dumps(analysis.payload(found), allow_nan=False))
    assert payload["shifts"][0]["size_ratio"]["value"] == pytest.approx(shift.size_ratio.value)
    assert payload["shifts"][0]["data_name"] == "epochs"
    assert payload["regret"] == pytest.approx(found.regret)
    other = analysis.transfer(study(-np.log(1.35)), downstream="top1_error").shifts[0]
    assert other.found == -1
    assert "smaller models and more epochs" in other.sentence()


def test_no_shift_is_told_with_what_would_have_shown():
    found = analysis.transfer(study(0.0), downstream="top1_error").shifts[0]
    assert found.found == 0
    assert 1.05 < found.would_show < 1.4
    assert found.cost.low == 0
    assert "No evidence that fine-tuning moves the best size" in found.sentence()
    assert "would have shown" in found.sentence()


def test_units_and_the_order_of_rows_change_no_shift():
    runs = study()
    found = analysis.transfer(runs, downstream="top1_error").shifts[0]
    moved = runs.assign(core_hours=runs["core_hours"] * 3600, params=runs["params"] / 1e6, val_loss=runs["val_loss"] / np.log(2))
    again = analysis.transfer(moved.sample(frac=1.0, random_state=0), downstream="top1_error").shifts[0]
    for one, other in ((found.size_ratio, again.size_ratio), (found.epochs_ratio, again.epochs_ratio), (found.cost, again.cost)):
        np.testing.assert_allclose((one.value, one.low, one.high), (other.value, other.low, other.high), rtol=1e-5)


def test_a_table_of_ones_own_says_the_same():
    runs = study()
    pretrained, tuned = (runs[runs["stage"] == stage] for stage in ("pretraining", "finetuning"))
    joined = pretrained.merge(tuned[["parent", "val_top1"]], left_on="id", right_on="parent", suffixes=("", "_of_tuned"))
    own = joined.assign(imagenet=1 - joined["val_top1_of_tuned"]).drop(columns=["stage", "parent", "parent_of_tuned", "val_top1"])
    mine = analysis.transfer(own, downstream="imagenet", upstream="val_loss", x="core_hours").shifts[0]
    theirs = analysis.transfer(runs, downstream="top1_error").shifts[0]
    assert mine.size_ratio == theirs.size_ratio
    assert mine.cost == theirs.cost


def test_what_hides_a_shift_is_said():
    runs = study(seeds=1)
    middle = runs[runs["parent"].fillna(runs["id"]).isin(runs.loc[runs["epochs"] == 1, "id"])]
    few = analysis.transfer(middle, downstream="top1_error").shifts[0]
    assert few.reason == "5 cells were fine-tuned, and two surfaces take 12"
    n = np.linspace(-3, 3, 20)
    along = contrast_of(2 * n, n, np.log(loss_at(n, 2 * n)), np.log(error_at(n, 2 * n)), level=0.95)
    assert "`from: all`" in along.trouble
    n, x = cells()
    beyond = contrast_of(x, n, np.log(loss_at(n - 4, x)), np.log(error_at(n - 4, x)), level=0.95)
    assert "the largest that was fine-tuned, or beyond, at" in beyond.trouble
    far = contrast_of(x, n, np.log(loss_at(n, x)), np.log(error_at(n, x, 6.0)), level=0.95)
    assert far.shift.low > 0.5  # larger at least: how much is beyond the sizes tried
    assert far.shift.high == np.inf


def test_each_family_has_its_own_shift():
    both = pd.concat([study(), study(0.0, rng_seed=1).assign(family="vit", id=lambda table: "v" + table["id"])], ignore_index=True)
    both.loc[(both["family"] == "vit") & (both["stage"] == "finetuning"), "parent"] = "v" + both["parent"].astype(str)
    found = analysis.transfer(both, downstream="top1_error")
    assert [(shift.family, shift.found) for shift in found.shifts] == [("nfnet", 1), ("vit", 0)]
    assert found.sentence().startswith("Of nfnet: After fine-tuning larger")


def test_the_published_errors_show_only_a_large_shift():
    """The errors of arXiv 2310.16764, fig. 1, against a loss whose best size is known: it is found again, and the interval is wide."""
    table = pd.read_csv(Path(__file__).parent.parent / "reference" / "laws" / "nfnet_fig1_clean21.csv")
    n = np.log(table["model"].map({"F1": 132.6e6, "F3": 254.9e6, "F3_wide": 425.1e6, "F7": 499.5e6}).to_numpy(float))
    x, error = np.log(table["tpu_v4_core_hours"].to_numpy(float)), np.log(table["imagenet_top1_error_pct"].to_numpy(float))

    def quadratic(n, x):
        u, v = x - x.mean(), n
        return np.stack([np.ones_like(u), u, v, u**2, u * v, v**2], axis=-1)

    centred = n - n.mean()
    theta = np.linalg.lstsq(quadratic(centred, x), error, rcond=None)[0]
    for shift in (0.0, 0.2, 0.3):
        found = contrast_of(x, n, 0.3 * quadratic(centred + shift, x) @ theta, error, level=0.95)
        assert found.shift.value == pytest.approx(shift, abs=0.03)
        assert found.shift.low < shift < found.shift.high
        assert found.would_show > 0.3


def test_the_command_exits_with_zero_and_says_what_few_cells_leave_open(tmp_path):
    file = tmp_path / "runs.csv"
    study(sizes=2).to_csv(file, index=False)
    result = CliRunner().invoke(app, ["transfer", "--data", str(file), "--downstream", "top1_error"])
    assert result.exit_code == 0, result.output
    assert "is not identified: 2 sizes were fine-tuned" in result.stdout
    study().to_csv(file, index=False)
    words = ["transfer", "--data", str(file), "--downstream", "top1_error", "--where", "epochs=0.25,0.5,1,2", "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["shifts"][0]["cells"] == 20  # of the parents' epochs
