"""`scaling probe` through the real command: real steps on the real device, remembered, and the plan goes by them."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from orchestrator.experiments_file import read_spec
from orchestrator.planning.plan import make_plan
from orchestrator.planning.probe import shapes
from orchestrator.store import Store
from scaling.cli.app import app

SCALING = str(Path(sys.executable).with_name("scaling"))
STUDY = """\
name: probed
dataset: {name: digits}
models: [nano-F0]
epochs: [1, 4]
batch_size: 64
learning_rate: 0.8
"""


def test_a_probe_replaces_the_stated_utilisation(tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY)
    environment = os.environ | {"SCALING_DB": "s.db", "SCALING_HOME": "runs", "NO_COLOR": "1"}

    def dry_run():
        with contextlib.chdir(tmp_path):
            done = CliRunner().invoke(app, ["submit", "study.yaml", "--dry-run", "--json"], env=environment, catch_exceptions=False)
        return json.loads(done.stdout)

    def probe():
        command = [SCALING, "probe", "study.yaml", "--json"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    stated = dry_run()
    assert stated["runs_estimated_by_measurement"] == 0
    [probed] = probe()["probes"]
    assert (probed["outcome"], probed["model"], probed["accelerator"], probed["cores"]) == ("finished", "nano-F0", "cpu", 1)
    assert abs(probed["examples_per_second"] * probed["step_seconds"] / 64 - 1) < 1e-6
    assert probed["memory_bytes"] > 1e7
    assert 0 < probed["mfu"] < 1
    measured = dry_run()
    assert measured["runs_estimated_by_measurement"] == 2
    for cell in measured["cells"]:
        hours = probed["step_seconds"] / 3600 * cell["examples_seen"] / 64
        assert abs(cell["estimated_core_hours"] / hours - 1) < 1e-6
    assert list((tmp_path / "runs" / "probe").iterdir()) == []
    with Store.open_readonly(str(tmp_path / "s.db")) as store:
        assert store.runs().empty  # a probe is no run


def test_models_whose_learning_rates_are_searched_for_are_probed_too(tmp_path):
    study = STUDY.replace("[nano-F0]", "[nano-F0, nano-F1]").replace("0.8", "{policy: two-trial, start: 0.8}")
    (tmp_path / "study.yaml").write_text(study)
    plan = make_plan(*read_spec(tmp_path / "study.yaml"))
    assert not plan.runs
    assert [(run.config.model.name, run.config.learning_rate) for run in shapes(plan)] == [("nano-F0", 0.8), ("nano-F1", 0.8)]
