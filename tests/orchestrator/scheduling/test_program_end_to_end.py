"""A study of a user's program through the real command, real Ray and real SQLite: rates that are found, a law of a metric of its own, logs."""

import os
import shutil

import pytest

from tests.orchestrator import a_program
from tests.orchestrator.scheduling.test_end_to_end import Study, assert_ledger_adds_up

FILE = """\
name: mlp
trainer: {command: [python, train.py, --width, "{width}", --epochs, "{epochs}", --lr, "{learning_rate}", --seed, "{seed}"]}
models:
- {name: w4, width: 4, params: 20, macs: 20}
- {name: w8, width: 8, params: 40, macs: 40}
epochs: [2, 4, 8]
learning_rate: {policy: two-trial, start: 0.1, factor: 2}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    study = Study(tmp_path_factory.mktemp("programs"), "mlp")
    shutil.copy(a_program.__file__, study.folder / "train.py")
    (study.folder / "mlp.yaml").write_text(FILE)
    study.said = study.run("submit", "mlp.yaml", "--yes")[0]
    return study


def test_rates_are_found_and_the_ledger_adds_up(study):
    rows = study.rows().values()
    assert {row["status"] for row in rows} == {"finished"}
    assert {(row["model"], row["epochs"]) for row in rows} == {
        (model, epochs) for model in ("w4", "w8") for epochs in (2.0, 4.0, 8.0)
    }
    assert len(rows) > 6
    assert_ledger_adds_up(study.db)
    assert "val_loss" in study.said


def test_a_law_is_of_its_metrics_against_its_flops(study):
    frontier = study.json("frontier", "--metric", "rmse", "--x", "train_flops")
    assert {point["model"] for point in frontier["points"]} == {"w4", "w8"}
    runs = study.json("runs")["runs"]
    assert all(run["train_flops"] == 6 * run["params"] * run["examples_seen"] for run in runs)


def test_what_a_program_prints_is_kept_and_what_it_saw_is_not_known(study):
    run = study.json("runs")["runs"][0]["id"]
    assert "it began at step 0" in study.run("logs", run)[0]
    assert "which examples it saw is not recorded" in study.run("audit", run, code=2)[1]
    assert "a program is not probed" in study.run("probe", "mlp.yaml", code=2)[1]


def test_the_disk_of_its_earlier_checkpoints_is_freed(study):
    """The program leaves checkpoints of two of eight epochs, each under its own name; a file that it did not report is another one's business."""
    own = [path for path in (study.folder / "runs").glob("*/*/kept") if (path / "80.npz").exists()]
    assert own
    (own[0] / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in (study.folder / "runs").glob("*/*/kept/*")}
    assert "can be freed" in study.run("gc")[0]
    assert "MB freed" in study.run("gc", "--yes")[0]
    after = {path: path.read_bytes() for path in (study.folder / "runs").glob("*/*/kept/*")}
    lost = set(before) - set(after)
    assert lost == {path / "40.npz" for path in own}
    assert after == {path: content for path, content in before.items() if path not in lost}
    assert "0.0 MB can be freed" in study.run("gc")[0]


def test_a_folder_with_data_is_no_fault_here_and_one_on_a_cluster(study):
    """The file is of 60 GB, which are zeros that take no space."""
    (study.folder / "data").mkdir()
    (study.folder / "data" / "train.bin").touch()
    os.truncate(study.folder / "data" / "train.bin", 60 * 10**9)
    said = " ".join(study.run("submit", "mlp.yaml", "--dry-run")[0].split())
    assert "more than 100 MB to copy for other nodes: among them data/train.bin (60.0 GB)" in said
    assert study.json("submit", "mlp.yaml", "--dry-run")["remarks"]
    assert "data/train.bin (60.0 GB)" in " ".join(study.run("submit", "mlp.yaml", "--yes")[1].split())
    refused = " ".join(study.run("submit", "mlp.yaml", "--dry-run", "--address", "127.0.0.1:1", code=2)[1].split())
    assert "data/train.bin (60.0 GB)" in refused
    assert "into a file .rayignore in that folder" in refused
    (study.folder / ".rayignore").write_text("data/\n")
    assert not study.json("submit", "mlp.yaml", "--dry-run")["remarks"]


def test_submitting_again_does_nothing_and_an_edited_program_is_another_study(study):
    assert "nothing left to do" in study.run("submit", "mlp.yaml", "--yes")[1]
    (study.folder / "train.py").write_text((study.folder / "train.py").read_text() + "# edited\n")
    assert "--revise" in study.run("submit", "mlp.yaml", "--yes", code=2)[1]
