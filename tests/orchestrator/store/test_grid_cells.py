"""The grid of an experiment is what its rows add up to."""

from __future__ import annotations

import sqlalchemy as sa

from orchestrator.store import queries
from orchestrator.store.grid import accept
from orchestrator.store.grid_cells import grid_cells, troubled
from orchestrator.store.models import Run
from scaling.outcomes import RunStatus
from tests.orchestrator.rows import a_run


def test_cells_and_troubles_are_those_of_the_rows(store):
    runs = [
        a_run(f"{number:016x}", model=f"nano-F{number % 3}", shape=f"s{number % 3}", epochs=float(2 ** (number % 2)), seed=number)
        for number in range(24)
    ]
    resolved = {"resources": {"accelerator": "cpu"}}
    with store.write() as session:
        accept(session, name="study", file="f", text="", resolved=resolved, shared={}, runs=runs)
        accept(session, name="other", file="g", text="", resolved=resolved, shared={}, runs=[a_run("f" * 16, model="nano-F7")])
        for number, run in enumerate(runs):
            ending = (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.FINISHED, RunStatus.PENDING)[number % 4]
            loss = (None if number == 2 else 1.0 + number % 5) if ending == RunStatus.FINISHED else None
            session.execute(sa.update(Run).where(Run.id == run["id"]).values(status=ending, val_loss=loss, reason=f"r{number}"))
    with store.read() as session:
        rows = queries.runs(session, experiment="study")
        found = {(cell.model, cell.epochs): cell for cell in grid_cells(session, "study")}
        assert set(found) == {(row["model"], row["epochs"]) for row in rows}
        for (model, epochs), cell in found.items():
            own = [row for row in rows if (row["model"], row["epochs"]) == (model, epochs)]
            done = [row for row in own if row["status"] == "finished"]
            best = min((row for row in done if row["val_loss"] is not None), key=lambda row: row["val_loss"], default=None)
            assert (cell.runs, cell.finished) == (len(own), len(done))
            assert (cell.best, cell.best_run) == ((best["val_loss"], best["id"]) if best else (None, None))
        wrong = troubled(session, "study", [RunStatus.FAILED, RunStatus.DIVERGED])
        assert [run["id"] for run in wrong] == [row["id"] for row in rows if row["status"] == "failed"]
        assert {run["reason"] for run in wrong} == {row["reason"] for row in rows if row["status"] == "failed"}
