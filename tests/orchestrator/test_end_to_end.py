"""The main job through the real command, real Ray and real SQLite: a file in, finished runs and a law out, whatever happens on the way."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.store import open_readonly
from trainer import TrainConfig, train

SCALING = str(Path(sys.executable).with_name("scaling"))

GRID = """\
name: {name}
dataset: {{name: digits}}
models: [{models}]
epochs: {epochs}
batch_size: 64
learning_rate: {learning_rate}
seeds: {seeds}
{extra}
"""

FAMILIES = '''\
"""Model families that misbehave, as a user's own could."""
import os, signal
from trainer.models import Family, family

nfnet = family("nfnet")

def _family(build):
    return Family(lambda: ("any",), lambda name, options, **kw: nfnet.params("nano-F0", {}, **kw),
                  lambda name, options, **kw: nfnet.macs("nano-F0", {}, **kw), build, lambda name, options: None)

def raises():
    def build(name, **kw):
        raise RuntimeError("the user's code has a mistake")
    return _family(build)

def dies():
    def build(name, **kw):
        os.kill(os.getpid(), signal.SIGKILL)
    return _family(build)
'''


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A place with a user's own families in it; one home, so that each shape compiles once."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "misbehaving.py").write_text(FAMILIES)
    (folder / "trainer").mkdir()  # a folder that would shadow the package, were it first on a worker's path
    (folder / "trainer" / "__init__.py").write_text("raise ImportError('the wrong trainer')")
    return folder


@pytest.fixture
def study(shared, request):
    return Study(shared, request.node.name)


class Study:
    """A folder to run `scaling` in, with a database of its own."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.db = folder / f"{name}.db"
        self.environment = os.environ | {"SCALING_DB": str(self.db), "SCALING_HOME": str(folder / "runs"), "NO_COLOR": "1"}

    def write(self, models="nano-F0", epochs="[0.25, 0.5]", learning_rate="1.6", seeds="[0]", extra=""):
        path = self.folder / f"{self.name}.yaml"
        path.write_text(
            GRID.format(name=self.name, models=models, epochs=epochs, learning_rate=learning_rate, seeds=seeds, extra=extra)
        )
        return path.name

    def start(self, *arguments):
        return subprocess.Popen(
            [SCALING, *arguments], cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *arguments, code=0):
        process = self.start(*arguments)
        out, err = process.communicate(timeout=240)
        assert process.returncode == code, f"exit code {process.returncode}\n{out}\n{err}"
        return out, err

    def json(self, *arguments):
        return json.loads(self.run(*arguments, "--json")[0])

    def rows(self):
        return {(row["model"], row["epochs"], row["learning_rate"], row["seed"]): row for row in self.json("runs")["runs"]}

    def wait_for(self, condition, seconds=120):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.db.exists():
                with sqlite3.connect(f"file:{self.db}?mode=ro", uri=True) as connection:
                    try:
                        if connection.execute(condition).fetchone()[0]:
                            return
                    except sqlite3.OperationalError:
                        pass  # the tables are being made
            time.sleep(0.1)
        raise AssertionError(f"never happened: {condition}")


def assert_ledger_adds_up(db):
    """The file is sound, and so are its sums."""
    with sqlite3.connect(db) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert_sums(connection.execute)


def assert_sums(execute):
    """Σ allocations = Σ attempts + idle, with no idle time below nothing; and what a run did not inherit are its attempts' useful seconds."""
    charged = "useful_seconds + redone_seconds + startup_seconds + evaluation_seconds + checkpoint_seconds"
    assert execute("SELECT count(*) FROM attempts WHERE ended_at IS NULL").fetchone() == (0,)
    for held, used in execute(
        f"SELECT held_seconds, (SELECT sum({charged}) FROM attempts WHERE allocation_id = allocations.id) FROM allocations"
    ):
        assert held is not None
        assert held >= (used or 0) - 0.05
    of_runs = execute(
        "SELECT r.id, r.core_hours - r.inherited_core_hours, r.allocated_core_hours, sum(a.cores * a.useful_seconds) / 3600,"
        f" sum(a.cores * ({charged.replace('useful', 'a.useful', 1)})) / 3600 FROM runs r JOIN attempts a ON a.run_id = r.id GROUP BY r.id"
    )
    for _, core_hours, allocated, useful, total in of_runs:
        assert core_hours == pytest.approx(useful)
        assert allocated == pytest.approx(total)


def test_a_grid_with_good_and_bad_runs(study):
    """One run raises, one is killed each time, one diverges: the rest is finished, each has its reason, the exit code is 1."""
    bad = '{name: raising, source: "misbehaving:raises"}, {name: dying, source: "misbehaving:dies"}'
    file = study.write(
        models=f"nano-F0, {bad}",
        epochs="[0.25, 0.5, 1, 2]",
        learning_rate="{nano-F0: {grid: [0.05, 1e30]}, raising: 1, dying: 1}",
        extra="optimizer: {clip: null}",
    )
    out, err = study.run("submit", file, code=1)
    rows = study.rows()
    assert {row["status"] for key, row in rows.items() if key[0] == "nano-F0" and key[2] == 0.05} == {"finished"}
    assert {row["status"] for key, row in rows.items() if key[2] == 1e30} == {"diverged"}
    raised = [row for key, row in rows.items() if key[0] == "raising"]
    assert {(row["status"], row["reason"], row["attempts"]) for row in raised} == {
        ("failed", "RuntimeError: the user's code has a mistake", 1)
    }
    died = [row for key, row in rows.items() if key[0] == "dying"]
    assert {(row["status"], row["attempts"]) for row in died} == {("failed", 3)}
    assert all("killed by SIGKILL" in row["reason"] for row in died)
    assert "Best so far: nano-F0 at" in out
    assert "scaling fit --db" in err
    assert "RuntimeError: the user's code has a mistake" in err
    assert_ledger_adds_up(study.db)

    fits = study.json("fit", "--metric", "val_loss", "--law", "power", "--on", "all")["fits"]
    assert fits[0]["runs_used"] == 4
    assert fits[0]["coefficients"]["a"]["low"] < fits[0]["coefficients"]["a"]["value"] < fits[0]["coefficients"]["a"]["high"]
    reasons = " ".join(entry["reason"] for entry in fits[0]["excluded"])
    assert "diverged" in reasons
    assert "failed" in reasons
    status = study.json("status")["experiments"][0]
    assert status["runs"] == {"finished": 4, "diverged": 4, "failed": 8}
    with sqlite3.connect(study.db) as connection:
        place = connection.execute(
            "SELECT host, device, devices, threads, code_version, jaxlib_version FROM attempts WHERE outcome = 'finished'"
        ).fetchone()
        assert all(place), place
        stored = connection.execute("SELECT law, fitted_on FROM laws").fetchall()
    payload = study.json("fit")
    assert stored[0] == (payload["the_law"]["law"], payload["the_law"]["on"])  # what the sentence is of
    assert out.splitlines()[1] == payload["answer"]["sentence"]


def test_submitting_twice_does_nothing_twice_and_a_longer_grid_does_the_rest(study):
    study.run("submit", study.write())
    before = study.rows()
    _, err = study.run("submit", study.write())
    assert "2 of 2 runs were done before" in err
    assert "nothing left to do" in err
    assert study.rows() == before
    _, err = study.run("submit", study.write(epochs="[0.25, 0.5, 1]"))
    assert "2 of 3 runs were done before" in err
    after = study.rows()
    assert {key: row for key, row in after.items() if key in before} == before
    assert [row["attempts"] for row in after.values()] == [1, 1, 1]


def test_ctrl_c_pauses_and_the_same_command_goes_on_to_the_same_bits(study, tmp_path):
    file = study.write(epochs="[60]", seeds="[0, 1]")
    for number, step in ((signal.SIGINT, 40), (signal.SIGTERM, 200)):
        process = study.start("submit", file)
        study.wait_for(f"SELECT count(*) FROM runs WHERE status = 'running' AND step > {step}")
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert "paused: 0 of 2 runs have finished, 2 are paused; `scaling submit" in err
        assert "goes on from here" in err
        rows = study.rows()
        assert {row["status"] for row in rows.values()} == {"paused"}
        assert max(row["step"] for row in rows.values()) >= step
        assert_ledger_adds_up(study.db)

    study.run("submit", file)
    rows = study.rows()
    assert {row["status"] for row in rows.values()} == {"finished"}
    assert_ledger_adds_up(study.db)
    interrupted = max(rows.values(), key=lambda row: row["attempts"])
    assert interrupted["attempts"] == 3
    with open_readonly(str(study.db)).read() as session:
        from orchestrator.store import queries

        config = TrainConfig.from_dict(queries.run_detail(session, interrupted["id"])["config"])
    assert train(config, directory=tmp_path).val_loss == interrupted["val_loss"]


def test_after_kill_9_nothing_is_lost_and_nothing_counted_twice(study):
    file = study.write(epochs="[0.25, 80]", seeds="[0]")
    process = study.start("submit", file, "--checkpoint-seconds", "1")
    study.wait_for("SELECT count(*) FROM runs WHERE status = 'running' AND resume_step > 0 AND epochs = 80")
    process.kill()
    process.communicate()
    with sqlite3.connect(study.db) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        finished_before = {row[0] for row in connection.execute("SELECT id FROM runs WHERE status = 'finished'")}
    study.run("submit", file)
    rows = study.rows()
    assert {row["status"] for row in rows.values()} == {"finished"}
    assert all(row["attempts"] == 1 for row in rows.values() if row["id"] in finished_before)
    assert_ledger_adds_up(study.db)
    with sqlite3.connect(study.db) as connection:
        resumed = connection.execute(
            "SELECT a.first_step FROM attempts a JOIN runs r ON r.id = a.run_id WHERE a.number = 2 AND r.epochs = 80"
        ).fetchall()
    assert resumed
    assert resumed[0][0] > 0


def test_two_submitters_share_one_store_and_each_run_is_done_once(study):
    file = study.write(epochs="[0.25, 0.5, 1]", seeds="[0, 1]")
    processes = [study.start("submit", file) for _ in range(2)]
    for process in processes:
        _, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
    rows = study.rows()
    assert [(row["status"], row["attempts"]) for row in rows.values()] == [("finished", 1)] * 6
    assert_ledger_adds_up(study.db)


def test_a_file_with_faults_starts_nothing(study):
    file = study.write(models="nano-F00")
    _, err = study.run("submit", file, code=2)
    assert f"{file}:3: models[0]: unknown model 'nano-F00'; did you mean \"nano-F0\"?" in err
    assert err.count("\n") == 2
    assert not study.db.exists()


def test_an_address_that_nobody_answers(study):
    _, err = study.run("submit", study.write(), "--address", "127.0.0.1:1", code=1)
    assert "nobody answers at 127.0.0.1:1" in err
    assert "Traceback" not in err
    assert [row["status"] for row in study.rows().values()] == ["pending", "pending"]


def test_more_cores_than_there_are(study):
    file = study.write(extra="resources: {accelerator: cpu, cores: 4096}")
    _, err = study.run("submit", file, code=1)
    assert "a run needs 4096 cpu cores on one node; the largest of the 1 at local has" in err
    study.run("submit", study.write())
    assert {row["status"] for row in study.rows().values()} == {"finished"}


def test_asking_before_spending(study):
    file = study.write(extra="confirm_above: {core_hours: 1e-9}")
    _, err = study.run("submit", file, code=2)
    assert "above confirm_above" in err
    assert "--yes goes on" in err
