"""Pages over a store with fine-tuned runs: their metrics are offered, and answer for the runs they started from."""

from __future__ import annotations

import numpy as np
import pytest

from scaling.outcomes import RunStatus
from tests.api.small_grid import MODELS, run_row, val_loss

FINISHED = {"status": RunStatus.FINISHED, "accelerator": "cpu", "reason": ""}


def rows(*, rates=(0.05, 0.1, 0.2)):
    """Return pre-trained runs of every model at four budgets, and after them fine-tunings of each at these rates."""
    pretrained, tuned = [], []
    for number, (model, epochs) in enumerate((model, epochs) for model in MODELS for epochs in (1, 2, 4, 8)):
        run, loss = run_row(model, epochs, 0), val_loss(model, epochs, 0)
        hours = MODELS[model] * epochs / 1e4
        pretrained.append(run | FINISHED | {"step": run["steps"], "val_loss": loss, "val_top1": 0.5, "core_hours": hours})
        for rate in rates:
            own = run_row(model, 50, 0, learning_rate=rate, number=100 + number) | {"parent_id": run["id"], "dataset": "flowers"}
            error = 0.05 + 0.1 * loss * (1 + 0.2 * np.log(rate / 0.1) ** 2)
            tuned.append(own | FINISHED | {"step": own["steps"], "val_loss": 3 * error, "val_top1": 1 - error, "core_hours": 9.0})
    return [*pretrained, *tuned]


@pytest.fixture
def tuned(client_of):
    return client_of(rows())


def test_metrics_of_finetuning_are_offered_where_there_are_such_runs(tuned, client):
    for page in ("/compare", "/learning-rate"):
        assert '"finetune_top1_error"' in tuned.get(page).text
    assert "finetune_top1_error" not in client.get("/learning-rate").text
    assert "finetune_top1_error" not in tuned.get("/plan", params={"law": "power"}).text


def test_a_frontier_of_finetuned_runs_is_at_the_compute_of_pretraining(tuned):
    found = tuned.get("/api/v1/frontier", params={"metric": "finetune_top1_error"}).json()
    assert len(found["points"]) == 12
    assert {point["learning_rate"] for point in found["points"]} == {0.1}
    assert sorted(point["core_hours"] for point in found["points"]) == pytest.approx(
        sorted(size * epochs / 1e4 for size in MODELS.values() for epochs in (1, 2, 4, 8))
    )
    plain = tuned.get("/api/v1/frontier").json()
    assert plain["runs_used"] == 12
    assert plain["excluded"] == []
    page = tuned.get("/frontier", params={"metric": "finetune_top1_error"})
    assert page.status_code == 200
    assert "36 fine-tuned runs were taken with the compute, size and epochs of the 12 that they started from" in page.text
    assert "36 fine-tuned runs were set aside" in tuned.get("/frontier").text


def test_finetuned_families_compare_and_rates_have_a_trend(tuned):
    found = tuned.get("/api/v1/compare", params={"metric": "finetune_top1_error", "by": "model", "a": "nano-F0", "b": "nano-F1"})
    assert found.status_code == 200, found.text
    assert found.json()["runs_used"] == 8
    assert tuned.get("/compare", params={"metric": "finetune_val_loss"}).status_code == 200
    trend = tuned.get("/api/v1/learning-rate", params={"metric": "finetune_val_loss"}).json()
    assert trend["runs_used"] == 36
    chosen = tuned.get("/api/v1/frontier", params={"metric": "finetune_top1_error", "where": "finetune_learning_rate=0.2"}).json()
    assert {point["learning_rate"] for point in chosen["points"]} == {0.2}


def test_a_store_without_finetuned_runs_says_so(client):
    for page in ("/frontier", "/compare", "/learning-rate"):
        answer = client.get(page, params={"metric": "finetune_top1_error"})
        assert answer.status_code == 200, page
        assert "was fine-tuned, so that there is no finetune_top1_error" in answer.text
    problem = client.get("/api/v1/frontier", params={"metric": "finetune_top1_error"})
    assert problem.status_code == 422
    assert problem.headers["content-type"] == "application/problem+json"
