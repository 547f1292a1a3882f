"""Runs that were trained elsewhere, in the store: what each row says, which of them are new, and that they say there what the file says."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from analysis import answer, read_runs
from orchestrator.imports import compared, name_of, read_import, write_import
from orchestrator.store import Store, open_readonly, queries
from orchestrator.store.models import Metric
from scaling.columns import check_mapping
from scaling.errors import DataError, UsageError

ROOT = Path(__file__).parents[2]
EXPORTS = ROOT / "tests" / "reference" / "exports"
STUDY = ROOT / "docs" / "example_study.csv"
ROWS = [
    {"name": f"run {i}", "flops": 10.0**i, "val_loss": 5.0 - 0.3 * i, "lr": 0.1, "state": "finished", "note": "ä"}
    for i in range(18, 24)
]


@pytest.fixture
def db(tmp_path):
    return str(tmp_path / "scaling.db")


def table(folder, rows, name="theirs.csv"):
    with (folder / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
    return folder / name


def stored(db, experiment=None):
    with open_readonly(db) as store, store.read() as session:
        return queries.runs(session, experiment=experiment)


def test_what_a_row_says_is_in_the_store_and_what_it_does_not_say_is_unknown(tmp_path, db):
    write_import(read_import(table(tmp_path, ROWS), {"id": "name", "train_flops": "flops"}), db)
    rows = stored(db)
    assert [row["imported_id"] for row in rows] == [row["name"] for row in ROWS]
    first = rows[0]
    assert (first["train_flops"], first["val_loss"], first["learning_rate"]) == (1e18, 5.0 - 0.3 * 18, 0.1)
    assert (first["note"], first["status"], first["imported_from"], first["experiments"]) == (
        "ä",
        "finished",
        "theirs.csv",
        ["theirs"],
    )
    for name in ("epochs", "seed", "params", "batch_size", "core_hours", "family", "dataset", "attempts", "stage", "steps"):
        assert first[name] is None, name


def test_exports_of_trackers_keep_their_ids_and_are_imported_once(db):
    for source in ("mlflow_search_runs.csv", "mlruns", "wandb", "wandb_api.csv", "wandb_runs_table.csv"):
        incoming, theirs = read_import(EXPORTS / source), read_runs(EXPORTS / source)
        assert len(write_import(incoming, db).new) == len(theirs)
        rows = stored(db, incoming.experiment)
        assert [row["imported_id"] for row in rows] == list(theirs["name" if source == "wandb_api.csv" else "id"])
        again = write_import(read_import(EXPORTS / source), db)
        assert (again.new, again.same, again.changed, again.gone) == ([], len(theirs), [], [])
        assert [row["id"] for row in stored(db, incoming.experiment)] == [row["id"] for row in rows]


def test_the_store_says_of_imported_runs_what_the_file_says(db):
    incoming = read_import(STUDY)
    write_import(incoming, db)
    of_file = read_runs(STUDY, incoming.mapping, incoming.units)
    with open_readonly(db) as store:
        of_store = store.runs("example_study")
    asked = {"bootstrap": 100}
    said = answer(of_store, **asked)
    assert said.sentence == answer(of_file, **asked).sentence
    assert said.law.coefficients == answer(of_file, **asked).law.coefficients
    assert len(said.law.excluded) == len(answer(of_file, **asked).law.excluded)


def test_settings_of_an_export_tell_cells_apart_in_the_store_too(tmp_path, db):
    rows = [
        {
            "run_id": f"r{i}{a}",
            "params.augment": a,
            "metrics.val_loss": str(4.0 - i / 5 - (a == "mixup")),
            "metrics.gpu_hours": str(2.0**i),
        }
        for i in range(6)
        for a in ("none", "mixup")
    ]
    incoming = read_import(table(tmp_path, rows))
    write_import(incoming, db)
    with open_readonly(db) as store:
        runs = store.runs()
    from analysis.design_columns import design_columns

    assert "augment" in design_columns(runs, x=("core_hours",), metric="val_loss")


def test_rows_without_names_are_told_by_what_they_say(tmp_path, db):
    rows = [{"gpu_hours": 2.0**i, "loss": 3 - 0.2 * i} for i in range(6)]
    write_import(read_import(table(tmp_path, [*rows, rows[0]])), db)  # two equal rows are two runs
    assert len(stored(db)) == 7
    grown = table(tmp_path, [{"gpu_hours": 99.0, "loss": 1.0}, *reversed(rows), rows[0]])
    found = write_import(read_import(grown), db)
    assert (len(found.new), found.same, found.changed, found.gone) == (1, 7, [], [])
    assert len(stored(db)) == 8
    otherwise = read_import(grown, units={"core_hours": "minutes"})
    assert (len(compared(otherwise, db).new), len(compared(otherwise, db).changed)) == (0, 8)


def test_of_rows_with_one_id_the_first_is_the_run(tmp_path):
    incoming = read_import(
        table(tmp_path, [{**row, "name": "a"} for row in ROWS[:3]] + ROWS[3:]), {"id": "name", "train_flops": "flops"}
    )
    assert [run.name for run in incoming.runs] == ["a", "run 21", "run 22", "run 23"]
    assert incoming.runs[0].columns["val_loss"] == ROWS[0]["val_loss"]
    assert incoming.notes[-1] == "2 rows have the id of another: the first row of each id is imported"


def test_what_changed_is_said_and_taken_over_only_when_asked(tmp_path, db):
    file, mapping = table(tmp_path, ROWS), {"id": "name", "train_flops": "flops"}
    write_import(read_import(file, mapping), db)
    ids = {row["imported_id"]: row["id"] for row in stored(db)}
    with Store.open(db) as store, store.write() as session:
        from orchestrator.store.steering import exclude

        exclude(session, ids["run 19"], "by hand")
    changed = [{**ROWS[1], "val_loss": 0.125, "note": "new"}, *ROWS[2:], {**ROWS[0], "name": "run 99", "val_loss": 1.0}]
    incoming = read_import(table(tmp_path, changed), mapping)
    found = write_import(incoming, db)
    assert [run.name for run in found.new] == ["run 99"]
    assert found.gone == [(ids["run 18"], "run 18")]
    assert [entry.values for entry in found.changed] == [{"val_loss": (5.0 - 0.3 * 19, 0.125), "note": ("ä", "new")}]
    assert {row["imported_id"]: row["val_loss"] for row in stored(db)}["run 19"] == 5.0 - 0.3 * 19
    write_import(incoming, db, update=True)
    rows = {row["imported_id"]: row for row in stored(db)}
    assert (rows["run 19"]["val_loss"], rows["run 19"]["id"], rows["run 19"]["excluded"]) == (0.125, ids["run 19"], "by hand")
    assert "run 18" not in rows
    assert write_import(incoming, db, update=True).same == len(rows)


def test_runs_that_are_not_over_wait_for_the_next_import(tmp_path, db):
    rows = [
        {**row, "state": state}
        for row, state in zip(ROWS, ("running", "crashed", "pending", "done", "strange", "killed"), strict=True)
    ]
    incoming = read_import(table(tmp_path, rows), {"id": "name", "train_flops": "flops"})
    assert incoming.left_out == {"running": 1, "pending": 1, "strange": 1}
    assert [run.columns["status"] for run in incoming.runs] == ["failed", "finished", "stopped"]
    with pytest.raises(DataError, match="no run in it is over: 6 running"):
        read_import(table(tmp_path, [{**row, "state": "running"} for row in ROWS]), {"id": "name", "train_flops": "flops"})


def test_a_row_without_a_name_is_the_same_run_once_those_before_it_are_over(tmp_path, db):
    rows = [{"gpu_hours": 2.0**i, "loss": 3 - 0.2 * i, "state": "running" if i < 3 else "finished"} for i in range(8)]
    write_import(read_import(table(tmp_path, rows)), db)
    found = write_import(read_import(table(tmp_path, [{**row, "state": "finished"} for row in rows])), db)
    assert (len(found.new), found.same, found.gone) == (3, 5, [])


def test_of_checkpoints_the_last_is_imported(tmp_path):
    rows = [
        {"run": f"r{r}", "step": s, "val_loss": 4 - r / 10 - s / 100, "gpu_hours": (r + 1) * s}
        for r in range(5)
        for s in (10, 20, 30)
    ]
    incoming = read_import(table(tmp_path, rows))
    assert [run.name for run in incoming.runs] == [f"r{r}" for r in range(5)]
    assert [run.columns["core_hours"] for run in incoming.runs] == [30.0 * (r + 1) for r in range(5)]
    assert "15 rows are checkpoints of 5 runs" in incoming.notes[-1]


def test_values_that_no_database_holds_are_kept_as_near_as_can_be(tmp_path, db):
    hostile = {
        "run_id": "[red]x\x1b[2J\u0000", "core_hours": 1e400, "val_loss": float("nan"), "params": 2**70, "seed": 1.5, "model": "m" * 500,
        "batch_size": 2**40, "list": [1, {"a": float("inf")}], "\u0000": 1, "epochs": -1, "status": "finished",
    }  # fmt: skip
    file = tmp_path / "hostile.json"
    file.write_text(json.dumps([hostile, {"run_id": "y", "core_hours": 1.0, "val_loss": 1.0}]))
    write_import(read_import(file, check_mapping(["id=run_id"])), db)
    row = stored(db)[0]
    assert row["imported_id"].startswith("[red]x\x1b[2J")
    assert (row["val_loss"], row["seed"], row["model"]) == (None, 1.5, "m" * 500)
    assert (row["params"], row["batch_size"]) == (float(2**70), 2**40)
    assert math.isinf(row["core_hours"]) or row["core_hours"] > 1e308
    assert write_import(read_import(file, check_mapping(["id=run_id"])), db).same == 2


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("runs.csv", "runs"),
        ("a.b.csv.gz", "a.b"),
        ("mlruns", "mlruns"),
        ("../../x y.csv", "x y"),
        ("[red]\x1b#?%.csv", "red"),
        (".csv", "csv"),
        ("é.json", "é"),
    ],
)
def test_the_experiment_is_called_as_the_file_is_as_far_as_a_link_can_hold_that(file, name):
    assert name_of(Path(file)) == name


def test_a_name_that_no_link_holds_or_that_an_experiments_file_has_is_refused(tmp_path, db):
    from tests.orchestrator.rows import a_run, accepted

    file = table(tmp_path, ROWS)
    for name in ("a/b", "", " ", "a\x1b", "n" * 500):
        with pytest.raises(UsageError, match="no name that a link can hold"):
            read_import(file, {"id": "name", "train_flops": "flops"}, experiment=name)
    with Store.open(db) as store:
        accepted(store, a_run(), name="theirs")
    with pytest.raises(UsageError, match=r"'theirs' is that of the file f\.yaml"):
        compared(read_import(file, {"id": "name", "train_flops": "flops"}), db)


def test_rows_of_a_run_are_its_curves_and_follow_the_file(tmp_path, db):
    def rows(runs, last=0.0):
        return [
            {"run": f"r{r}", "tokens": s * 10**9, "val_loss": 4 - r / 10 - s / 100 - last * (s == 30)}
            for r in runs
            for s in (10, 20, 30)
        ]

    write_import(read_import(table(tmp_path, rows(range(5)))), db)
    found = write_import(read_import(table(tmp_path, rows(range(1, 5), last=0.5))), db, update=True)
    assert (len(found.new), len(found.changed), len(found.gone)) == (0, 4, 1)
    with Store.open(db) as store, store.read() as session:
        run = next(row for row in queries.runs(session) if row["imported_id"] == "r2")
        curves = queries.metrics(session, run["id"])
        assert session.query(Metric).count() == 12
        assert (
            queries.run_detail(session, run["id"])["config"]["imported"]["curves_over"] == "examples_seen"
        )  # as tokens are called here
    assert curves == {
        "val_loss": [(10**10, pytest.approx(3.7)), (2 * 10**10, pytest.approx(3.6)), (3 * 10**10, pytest.approx(3.0))]
    }
