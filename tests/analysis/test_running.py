"""Where a run will end: on runs of this product, on made-up curves whose end is known, against statsmodels, and what cannot be told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.regression.linear_model import OLS
from statsmodels.tools.tools import add_constant

import analysis
from analysis.running import _Relation
from scaling.errors import TooFewPoints, UnknownName

CURVES = Path(__file__).parents[2] / "benchmarks" / "running_curves.csv"
STEPS = 1000


def made_up(*, late=0.01, offset=0.1, rng_seed=0):
    """Twelve cells × two seeds on a surface; a seed's deviation shows in the loss at 75 % up to `late`, and not at all at 25 %."""
    rng = np.random.default_rng(rng_seed)
    rows, curves = [], {}
    for size in (1e5, 3e5, 9e5):
        for epochs in (1, 2, 4, 8):
            for seed in (0, 1):
                own, run = offset * rng.standard_normal(), f"{size:g}-{epochs}-{seed}"
                law = np.log(0.3 + 30 * size**-0.4 + 40 * (5e4 * epochs) ** -0.4)
                rows.append(
                    {
                        "id": run,
                        "params": size,
                        "examples_seen": 5e4 * epochs,
                        "epochs": epochs,
                        "seed": seed,
                        "val_loss": np.exp(law + own),
                    }
                )
                curves[run] = [
                    (250, float(np.exp(law + 0.8 + 0.2 * rng.standard_normal()))),
                    (750, float(np.exp(law + own + 0.3 + late * rng.standard_normal()))),
                    (STEPS, float(np.exp(law + own))),
                ]
    runs = pd.DataFrame(rows).assign(status="finished", steps=STEPS, dataset="digits", family="nfnet", core_hours=1.0)
    return runs, curves


def training(runs, run):
    """The table as it is while that run trains."""
    return runs.assign(
        status=runs["status"].where(runs["id"] != run, "running"), val_loss=runs["val_loss"].where(runs["id"] != run)
    )


def test_early_it_is_the_law_and_later_the_curve_counts():
    runs, curves = made_up()
    run = "300000-4-0"
    early, late = (analysis.forecast_end(training(runs, run), run, curves, share=share, bootstrap=100) for share in (0.25, 0.75))
    final = float(runs.set_index("id")["val_loss"][run])
    assert (early.by, late.by) == ("law", "law-and-curve")
    assert (early.share, late.share) == (0.25, 0.75)
    assert early.end == early.by_law == late.by_law
    for found in (early, late):
        assert found.end.low < final < found.end.high
        assert found.alarm is None
    assert np.log(late.end.high / late.end.low) < 0.3 * np.log(early.end.high / early.end.low)
    assert late.end.value == pytest.approx(final, rel=0.04)
    assert "its curve beside theirs" in late.sentence()


def test_the_end_is_below_what_the_curve_itself_goes_to():
    """Under a schedule that decays to zero, which the others had as well."""
    runs, curves = made_up()
    run = "900000-8-1"
    found = analysis.forecast_end(training(runs, run), run, curves, share=0.75, bootstrap=100)
    (first, high), (then, loss) = curves[run][:2]
    continued = loss * (STEPS / then) ** (np.log(loss / high) / np.log(then / first))
    final = float(runs.set_index("id")["val_loss"][run])
    assert abs(np.log(found.end.value / final)) < 0.2 * abs(np.log(continued / final))


def bare(runs):
    """The table without what a law could be of."""
    return runs[["id", "status", "steps", "val_loss", "seed", "epochs"]].assign(model=runs["params"].astype(str))


def test_the_intervals_hold_so_many_ends():
    runs, curves = made_up(late=0.05)
    inside = []
    for run in runs["id"]:
        found = analysis.forecast_end(bare(training(runs, run)), run, curves, share=0.75, level=0.8)
        inside.append(found.end.low < float(runs.set_index("id")["val_loss"][run]) < found.end.high)
    assert 14 <= sum(inside) <= 24


@pytest.mark.parametrize(("factor", "side"), [(3.0, "above"), (0.3, "below")])
def test_it_raises_an_alarm_where_the_curve_leaves_what_such_runs_have(factor, side):
    runs, curves = made_up()
    run = "300000-4-0"
    curves[run] = [(step, factor * loss) for step, loss in curves[run]]
    found = analysis.forecast_end(training(runs, run), run, curves, share=0.75, bootstrap=100)
    assert found.alarm == side
    assert f"now lies {side} what such a run has at this share" in found.sentence()
    json.dumps(found.to_dict(), allow_nan=False)


def test_only_runs_alike_count():
    runs, curves = made_up()
    run = "300000-4-0"
    mine = runs["id"] == run
    for column, value in (("dataset", "other"), ("family", "vit"), ("schedule", "constant")):
        with pytest.raises(TooFewPoints) as said:
            analysis.forecast_end(training(runs.assign(**{column: np.where(mine, value, "digits")}), run), run, curves)
        assert "evaluate_at" in said.value.hint
    with pytest.raises(UnknownName):
        analysis.forecast_end(runs, "nobody", curves)


def test_without_sizes_and_examples_the_curve_alone_tells():
    runs, curves = made_up()
    table = bare(training(runs, "300000-4-0"))
    found = analysis.forecast_end(table, "300000-4-0", curves, share=0.75)
    assert (found.by, found.by_law, found.now, found.band) == ("curve", None, None, ())
    with pytest.raises(TooFewPoints):
        analysis.forecast_end(table, "300000-4-0", {}, share=0.75)


def test_the_band_falls_to_the_end():
    runs, curves = made_up()
    found = analysis.forecast_end(training(runs, "300000-4-0"), "300000-4-0", curves, share=0.25, bootstrap=100)
    assert found.band[0].share == pytest.approx(0.25)
    assert found.band[-1].share == 1.0
    assert [then.loss.value for then in found.band] == sorted((then.loss.value for then in found.band), reverse=True)
    assert found.band[-1].loss.value == pytest.approx(found.end.value, rel=0.1)


def test_the_relation_is_that_of_statsmodels():
    rng = np.random.default_rng(3)
    inputs, at = rng.standard_normal((30, 2)), np.array([0.4, -1.0])
    wanted = 1 + inputs @ [2.0, -0.5] + 0.1 * rng.standard_normal(30)
    ours = _Relation(inputs, wanted, np.arange(30), at)
    theirs = OLS(wanted, add_constant(inputs)).fit()
    told = theirs.get_prediction(np.array([[1.0, *at]])).summary_frame(alpha=0.05)
    assert ours.value == pytest.approx(float(told["mean"].iloc[0]))
    assert ours.error == pytest.approx(np.sqrt(np.mean((theirs.resid / (1 - theirs.get_influence().hat_matrix_diag)) ** 2)))
    half = (float(told["obs_ci_upper"].iloc[0]) - float(told["obs_ci_lower"].iloc[0])) / 2
    assert ours.interval(0.95).high - ours.value == pytest.approx(half * max(1.0, ours.error / np.sqrt(theirs.scale)))


def test_on_runs_of_this_product_it_beats_the_law_alone_and_the_curve_alone():
    rows = pd.read_csv(CURVES)
    runs = rows.drop(columns=["step", "loss"]).drop_duplicates("id").assign(status="finished").reset_index(drop=True)
    curves = {run: list(zip(own["step"], own["loss"], strict=True)) for run, own in rows.groupby("id")}
    errors = []
    for mine in runs[(runs["epochs"] == 32) & (runs["seed"] == 0)].to_dict("records"):
        others = runs[runs["epochs"] < 32]
        table = pd.concat([others, pd.DataFrame([mine]).assign(status="running", val_loss=np.nan)], ignore_index=True)
        found = analysis.forecast_end(table, mine["id"], curves, share=0.75, bootstrap=100)
        taken = np.log([(step, loss) for step, loss in curves[mine["id"]] if step <= np.ceil(0.75 * mine["steps"])])
        alone = np.polyval(np.polyfit(*taken.T, 1), np.log(mine["steps"]))
        errors.append(
            [
                np.log(found.end.value / mine["val_loss"]),
                np.log(found.by_law.value / mine["val_loss"]),
                alone - np.log(mine["val_loss"]),
            ]
        )
        assert found.end.low < mine["val_loss"] < found.end.high
    ours, law, curve = np.sqrt(np.mean(np.square(errors), axis=0))
    assert ours < law < curve
