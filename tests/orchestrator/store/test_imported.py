"""Imported runs beside those of the store: nobody trains, prices or steers by them."""

from __future__ import annotations

import pytest

from orchestrator.store import queries
from orchestrator.store.estimates import measured_rates
from orchestrator.store.grid import waiting_runs
from orchestrator.store.imported import compare, imported_run, sources, write
from orchestrator.store.steering import Steer, ask, result_of
from scaling.errors import UsageError
from tests.orchestrator.rows import a_run, accepted


def run(name, **said):
    return imported_run(
        "theirs", name, {"id": name, "status": "finished", "val_loss": 1.0, "core_hours": 2.0} | said, file="runs.csv"
    )


@pytest.fixture
def imported(store):
    """A store of each kind with a pending run of its own and four imported ones."""
    accepted(store, a_run())
    runs = [
        run("a", model="F1", seed=3, accelerator="cpu", train_flops=1e9, family="nfnet"),
        run("b", status="failed", reason="crashed"),
        run("c", status="cancelled"),
        run("d", status="stopped", augment="mixup", odd=[1, None]),
    ]
    with store.write() as session:
        write(
            session, "theirs", new=runs, file="runs.csv", text="how", source={"file": "runs.csv", "mapping": {"val_loss": "loss"}}
        )
    return store, runs


def test_they_are_runs_of_their_own_experiment(imported):
    store, runs = imported
    with store.read() as session:
        rows = {row["imported_id"]: row for row in queries.runs(session, experiment="theirs")}
        assert set(rows) == {"a", "b", "c", "d"}
        assert (rows["a"]["seed"], rows["a"]["epochs"], rows["d"]["augment"], rows["d"]["odd"]) == (3, None, "mixup", [1, None])
        assert queries.count_runs(session, experiment="theirs", status=["finished"]) == 1
        detail = queries.run_detail(session, runs[3].id)
        assert (detail["attempt_rows"], detail["evaluations"], detail["config"]["columns"]["augment"]) == ([], [], "mixup")
        assert queries.metrics(session, runs[3].id) == {}
        (theirs, ours) = queries.experiments(session)
        assert (theirs["imported_from"], ours["imported_from"]) == ("runs.csv", None)
        assert sources(session) == [{"file": "runs.csv", "mapping": {"val_loss": "loss"}}]
        assert sources(session, "study") == []


def test_nobody_trains_or_steers_them(imported):
    store, runs = imported
    with store.write() as session:
        for steer in Steer:
            ask(session, steer, priority=3)  # of all runs
        assert {row["status"] for row in queries.runs(session, experiment="theirs")} == {
            "finished",
            "failed",
            "cancelled",
            "stopped",
        }
        assert {waiting.id for waiting in waiting_runs(session)} <= {"a" * 16}
        with pytest.raises(UsageError, match=r"was imported from runs\.csv: there is nothing to retry"):
            ask(session, Steer.RETRY, runs=[runs[1].id])
        with pytest.raises(UsageError, match="'theirs' was imported: there is nothing to cancel"):
            ask(session, Steer.CANCEL, experiment="theirs")
        assert result_of(session, ask(session, Steer.RETRY)) == "1 pending again"


def test_their_pace_prices_nothing(imported):
    store, _ = imported
    with store.read() as session:
        assert measured_rates(session).by_family == {}


def test_a_file_cannot_take_their_name(imported):
    store, _ = imported
    for revise in (False, True):
        with pytest.raises(UsageError, match=r"'theirs' holds runs that were imported from runs\.csv"):
            accepted(store, a_run(), name="theirs", revise=revise)


def test_runs_that_were_fine_tuned_keep_their_parent(store):
    parent = run("p", stage="pretraining")
    child = imported_run(
        "theirs",
        "c",
        {"id": "c", "status": "finished", "stage": "finetuning", "val_loss": 0.5, "parent": "p"},
        file="r.csv",
        parent=parent.id,
    )
    with store.write() as session:
        write(session, "theirs", new=[child, parent], file="r.csv", text="", source={"file": "r.csv"})
    with store.read() as session:
        rows = {row["imported_id"]: row for row in queries.runs(session)}
        assert (rows["c"]["stage"], rows["c"]["parent"], rows["p"]["parent"]) == ("finetuning", parent.id, None)
        assert queries.experiments(session)[0]["best_val_loss"] == 1.0
    with store.write() as session:
        found = compare(session, "theirs", [child])
        write(session, "theirs", new=[], gone=[run for run, _ in found.gone], file="r.csv", text="", source={"file": "r.csv"})
        assert [row["imported_id"] for row in queries.runs(session)] == ["c"]
