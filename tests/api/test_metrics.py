"""What Prometheus reads, as its own reader understands it."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from api import create_app
from orchestrator.store import open_readonly, queries


def read(client):
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["cache-control"] == "no-store"
    found = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation
        for sample in family.samples:
            key = (sample.name, *sorted(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def test_the_store_in_numbers(filled_store):
    found = read(TestClient(create_app(str(filled_store))))
    with open_readonly(str(filled_store)).read() as session:
        counts = queries.status_counts(session)
        rows = queries.runs(session)
    for status, count in counts.items():
        assert found["scaling_runs", ("status", status)] == count
    assert found["scaling_runs", ("status", "paused")] == 0
    assert found[("scaling_queue_runs",)] == counts["pending"]
    assert found["scaling_experiment_runs", ("experiment", "digits"), ("status", "failed")] == 1
    assert found["scaling_core_hours", ("kind", "allocated")] == pytest.approx(
        sum(row["allocated_core_hours"] or 0 for row in rows)
    )
    assert found["scaling_core_hours", ("kind", "useful")] == pytest.approx(sum(row["core_hours"] or 0 for row in rows))
    assert found[("scaling_scheduler_up",)] == 0
    assert found[("scaling_best_val_loss",)] == min(row["val_loss"] for row in rows if row["val_loss"] is not None)


def test_requests_are_counted_in_buckets_that_add_up(filled_store):
    client = TestClient(create_app(str(filled_store)))
    for path in ("/runs", "/runs?limit=2", "/runs/zzzz", "/nowhere/{x}", "/runs.csv"):
        client.get(path)
    found = read(client)
    name = "scaling_http_request_seconds"
    assert found[f"{name}_count", ("part", "runs"), ("status", "2xx")] == 3
    assert found[f"{name}_count", ("part", "runs"), ("status", "4xx")] == 1
    assert found[f"{name}_count", ("part", "other"), ("status", "4xx")] == 1
    buckets = [
        value for key, value in found.items() if key[0] == f"{name}_bucket" and ("part", "runs") in key and ("status", "2xx") in key
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 3
    assert 0 < found[f"{name}_sum", ("part", "runs"), ("status", "2xx")] < 600


def test_without_a_store_it_says_so(client_of):
    found = read(client_of())
    assert found[("scaling_store_up",)] == 0
    assert ("scaling_queue_runs",) not in found
