"""`reuse_trunk: true` through the real command, real Ray and real SQLite: the same results for less, and every step paid for once."""

import sqlite3

import pytest

from tests.orchestrator.scheduling.test_end_to_end import A_STEP, SLOW, SLOW_DIGITS, Study, assert_ledger_adds_up
from trainer import train

TRUNK = "schedule: {name: warmup-stable-decay, warmup_epochs: 0.1, reuse_trunk: true}"


@pytest.fixture
def study(tmp_path, request):
    return Study(tmp_path, request.node.name)


def test_a_scheduler_killed_between_trunk_and_branches(study, tmp_path, monkeypatch):
    """The trunk goes on from its checkpoint, the branch from the trunk's; both are what they would be alone, bit for bit."""
    (tmp_path / "slow.py").write_text(SLOW)
    file = study.write(epochs="[1, 6]", dataset=SLOW_DIGITS, extra=TRUNK)  # long enough to be at it when the kill comes
    process = study.start("submit", file, "--checkpoint-seconds", "1", **A_STEP)
    study.wait_for("SELECT count(*) FROM branch_points")
    process.kill()
    process.communicate()
    study.run("submit", file)
    rows = study.rows()
    short, long = rows["tiny", 1, 1.6, 0], rows["tiny", 6, 1.6, 0]
    assert (short["status"], long["status"], short["parent"]) == ("finished", "finished", long["id"])
    assert long["attempts"] == 2
    assert_ledger_adds_up(study.db)
    monkeypatch.syspath_prepend(tmp_path)
    assert train(study.config_of(short["id"]), directory=tmp_path / "alone").val_loss == short["val_loss"]

    proof = study.json("audit", short["id"])
    assert proof["audit"]["complete"]
    trunk, *own = [(part["run"], part["first_step"], part["stop_step"]) for part in proof["attempts"]]
    assert trunk == (long["id"], 0, 18)
    assert {run for run, _, _ in own} == {short["id"]}, "one share, or two when the branch had saved something by the kill"
    assert [first for _, first, _ in own] == [18, *(stop for _, _, stop in own[:-1])]
    assert own[-1][2] == 22
    with sqlite3.connect(study.db) as connection:
        paid = connection.execute(
            "SELECT sum(cores * useful_seconds) / 3600 FROM attempts WHERE run_id = ?", (short["id"],)
        ).fetchone()[0]
    assert short["core_hours"] == pytest.approx(paid + short["inherited_core_hours"])
    (row,) = study.json("status")["experiments"]
    assert row["spent_core_hours"] == pytest.approx(long["core_hours"] + paid)


def test_a_rehearsed_grid_costs_what_its_plan_says(study):
    """Simulated seconds are exact: Σ attempts is the estimate less what the trunks save, each run costs what it would alone."""
    extra = f"{TRUNK}\nsimulate: {{speed: 100000, chips: 2, loss: {{noise: 0}}}}"
    file = study.write(models="nano-F0, nano-F1", epochs="[0.5, 1, 2, 4]", learning_rate="{grid: [0.1, 0.2]}", extra=extra)
    plan = study.json("submit", file, "--dry-run")
    study.run("submit", file)
    rows = study.rows()
    assert len(rows) == 16
    assert {row["status"] for row in rows.values()} == {"finished"}
    assert_ledger_adds_up(study.db)
    for cell in plan["cells"]:
        for rate in (0.1, 0.2):
            row = rows[cell["model"], cell["epochs"], rate, 0]
            assert (row["parent"] is None) == (cell["epochs"] == 4)
            # A step's estimate differs a little between budgets: that of the last batch, which is not full, is spread over all.
            assert row["core_hours"] == pytest.approx(cell["estimated_core_hours"], rel=0.05)
            assert (row["inherited_core_hours"] or 0) == pytest.approx(cell["inherited_core_hours"], rel=0.05)
    (row,) = study.json("status")["experiments"]
    assert row["spent_core_hours"] == pytest.approx(row["allocated_core_hours"])
    assert row["spent_core_hours"] == pytest.approx(plan["estimated_core_hours"] - plan["inherited_core_hours"], rel=0.01)
