"""Metrics that are better when higher are refused by name, and not called better when lower where only the numbers tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.direction import better_when_higher
from analysis.report.study import study_of
from scaling.errors import DataError, UnknownName, UsageError

HIGHER = """accuracy acc val_acc val/acc Val-Acc eval_accuracy top-1 top5 TOP1 valAcc testF1 F1 f1_score BLEU-4 sacrebleu rougeL
    rouge_lsum mAP mAP@0.5 mAP50-95 auc AUROC roc_auc reward ep_rew_mean episode_return score psnr r2 R² r_squared mIoU mrr ndcg@10 recall@5
    precision winrate win-rate accuracies eval/acc1 acc@1 exact_match pass@1 valacc testaccuracy success_rate acc_norm,none parent_val_acc"""
LOWER = """val_loss loss eval_loss perplexity ppl acc_error val_top1_error 1-acc top1_err reward_loss reward_model_loss brier_score nll mse wer
    fid_score bpb regret neg_reward one_minus_acc error_rate test_err entropy y value crps acc_gap loss_at_top stop laptop_loss map_loss
    inaccuracy score_error 100-acc"""


def test_names():
    assert not [name for name in [*HIGHER.split(), "Top 1 accuracy", "win rate", "mean IoU"] if not better_when_higher(name)]
    assert not [name for name in [*LOWER.split(), "1 - acc", "1 − accuracy", "test error"] if better_when_higher(name)]


def two_sides(name="val_acc", scale=1.0):
    """`b` is better: its error is 20 % lower at every budget."""
    rows = [
        {
            "family": side,
            "model": side,
            "epochs": 1 + place,
            "core_hours": compute,
            name: scale * (1 - worse * 0.5 * compute**-0.2),
            "val_loss": worse * compute**-0.1,
            "learning_rate": rate,
        }
        for side, worse in (("a", 1.0), ("b", 0.8))
        for place, compute in enumerate(np.geomspace(1, 64, 7))
        for rate in (0.1,)
    ]
    return pd.DataFrame(rows)


ENTRIES = {
    "fit": lambda runs, metric: analysis.fit(runs, metric=metric, law="power"),
    "choose_law": lambda runs, metric: analysis.choose_law(runs, metric=metric),
    "predict": lambda runs, metric: analysis.predict(runs, [1000.0], metric=metric),
    "frontier": lambda runs, metric: analysis.frontier(runs, metric=metric),
    "optimum": lambda runs, metric: analysis.compute_optimal(runs, metric=metric),
    "compare": lambda runs, metric: analysis.compare(runs, metric=metric),
    "plan": lambda runs, metric: analysis.plan(runs, runs, budget_core_hours=9, target=99.0, metric=metric),
    "report": lambda runs, metric: study_of(runs, metric=metric),
    "lr": lambda runs, metric: analysis.learning_rate_trend(runs, metric=metric),
    "downstream": lambda runs, metric: analysis.transfer(runs, downstream=metric, upstream="val_loss", x="core_hours"),
    "upstream": lambda runs, metric: analysis.transfer(runs, downstream="val_loss", upstream=metric, x="core_hours"),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_refuses_it_and_names_the_error(entry):
    with pytest.raises(UsageError, match="val_acc is better when higher") as refused:
        ENTRIES[entry](two_sides(), "val_acc")
    assert "val_acc_error" in refused.value.hint


def test_the_error_of_a_share_is_a_metric_and_names_the_winner():
    assert analysis.compare(two_sides(), metric="val_acc_error").better == "b"
    assert analysis.compare(two_sides("quality"), metric="quality_error").better == "b"
    moved = analysis.transfer(two_sides(), downstream="val_acc_error", upstream="val_loss", x="core_hours")
    assert moved.best_downstream["val_acc_error"] == pytest.approx(0.4 * 64**-0.2)
    with pytest.raises(DataError, match=r"holds 50, which is no share") as refused:
        analysis.fit(two_sides(scale=100.0), metric="val_acc_error")
    assert "--unit val_acc=%" in refused.value.hint
    with pytest.raises(UnknownName):
        analysis.fit(two_sides(), metric="val_loss_error")


def test_what_rises_on_both_sides_is_not_better_when_lower():
    for scale in (1.0, 100.0, 1e-3, 1e4):
        with pytest.raises(DataError, match="quality rises with core_hours on both sides"):
            analysis.compare(two_sides("quality", scale), metric="quality")
    rising = two_sides("quality")
    found = analysis.frontier(rising, metric="quality")
    assert [note for note in found.notes if "quality rises with core_hours" in note]
    assert not analysis.frontier(rising).notes
    one = rising.assign(quality=np.where(rising["family"] == "a", 1 / rising["quality"], rising["quality"]))
    assert analysis.compare(one, metric="quality").better == "b"  # one side that rises is no reason to refuse
