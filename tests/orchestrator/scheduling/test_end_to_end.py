"""The main job through the real command, real Ray and real SQLite: a file in, finished runs and a law out, whatever happens on the way."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.store import open_readonly, queries
from scaling.cli.app import app
from tests.trainer import exclusions
from tests.trainer.conftest import QUICKLY
from trainer import TrainConfig, data, train

SCALING = str(Path(sys.executable).with_name("scaling"))

GRID = """\
name: {name}
dataset: {{{dataset}}}
models: [{models}]
epochs: {epochs}
batch_size: 64
learning_rate: {learning_rate}
seeds: {seeds}
{extra}
"""

TINY = "{name: tiny, width: [8], depth: [1], group_width: 4, stem: medium}"
"""A network of one block: it compiles sooner than nano-F0, and its steps cost a fraction."""

FAMILIES = '''\
"""Model families that misbehave, as a user's own could."""
import os, signal
from trainer.models import Family, family

nfnet = family("nfnet")

def _family(build):
    return Family(names=lambda: ("any",), build=build, check=lambda name, options: None,
                  params=lambda name, options, **kw: nfnet.params("nano-F0", {}, **kw),
                  macs=lambda name, options, **kw: nfnet.macs("nano-F0", {}, **kw))

def raises():
    def build(name, **kw):
        raise RuntimeError("the user's code has a mistake")
    return _family(build)

def dies():
    def build(name, **kw):
        os.kill(os.getpid(), signal.SIGKILL)
    return _family(build)
'''

SLOW = '''\
"""The digits, read as slowly as SLOW_SECONDS says: a training of few steps then lasts long enough to be struck, and costs no more."""
import os, time
from trainer.data import ArrayExamples, Dataset, digits

class Slowly(ArrayExamples):
    def __init__(self, examples):
        vars(self).update(vars(examples))

    def gather(self, ids):
        time.sleep(float(os.environ.get("SLOW_SECONDS", "0")))
        return super().gather(ids)

def load(options):
    whole = digits.load(options)
    return Dataset(whole.card, Slowly(whole.train), whole.validation)
'''
SLOW_DIGITS = 'source: "slow:load"'
A_STEP = {"SLOW_SECONDS": "0.15"}
"""This is for a command that is struck: 7 steps a second at most, on any machine. A trainer outlives a scheduler that is killed by some seconds, and by
more on a busy machine; it must not come to its end in them."""
A_COST = {"SLOW_SECONDS": "0.05"}
"""This is for a command whose longer runs must have cost more than its shorter ones, also on a busy machine."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A place with a user's own families and data in it; one home, so that each shape compiles once."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "misbehaving.py").write_text(FAMILIES)
    (folder / "slow.py").write_text(SLOW)
    (folder / "trainer").mkdir()  # a folder that would shadow the package, were it first on a worker's path
    (folder / "trainer" / "__init__.py").write_text("raise ImportError('the wrong trainer')")
    return folder


@pytest.fixture
def study(shared, request):
    return Study(shared, request.node.name)


class Study:
    """A folder to run `scaling` in, with a database of its own.

    quickly: its trainings are compiled in a fraction of the time, where their bits are not compared with those of another process.
    """

    def __init__(self, folder, name, *, quickly=False):
        self.folder, self.name = folder, name
        self.db = folder / f"{name}.db"
        self.environment = os.environ | {"SCALING_DB": str(self.db), "SCALING_HOME": str(folder / "runs"), "NO_COLOR": "1"}
        if quickly:
            self.environment["XLA_FLAGS"] = QUICKLY

    def write(self, models=TINY, epochs="[0.25, 0.5]", learning_rate="1.6", seeds="[0]", dataset="name: digits", extra=""):
        path = self.folder / f"{self.name}.yaml"
        fields = {"models": models, "epochs": epochs, "learning_rate": learning_rate, "seeds": seeds, "dataset": dataset}
        path.write_text(GRID.format(name=self.name, **fields, extra=extra))
        return path.name

    def start(self, *arguments, **environment):
        return subprocess.Popen(
            [SCALING, *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments, code=0, **environment):
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=240)
        assert process.returncode == code, f"exit code {process.returncode}\n{out}\n{err}"
        return out, err

    def json(self, *arguments):
        """What a command that only reads says, asked in this process."""
        with contextlib.chdir(self.folder):
            result = CliRunner().invoke(app, [*arguments, "--json"], env=self.environment, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def config_of(self, run_id):
        with open_readonly(str(self.db)).read() as session:
            return TrainConfig.from_dict(queries.run_detail(session, run_id)["config"])

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


@pytest.fixture(scope="module")
def grid(shared):
    """A study of four runs, of which one raises, one is killed each time and one diverges; and what the command said."""
    study = Study(shared, "grid", quickly=True)
    bad = '{name: raising, source: "misbehaving:raises"}, {name: dying, source: "misbehaving:dies"}'
    rates = "{tiny: {grid: [0.05, 1e30]}, raising: 1, dying: 1}"
    file = study.write(models=f"{TINY}, {bad}", epochs="[0.5]", learning_rate=rates, dataset=SLOW_DIGITS, extra=UNCLIPPED)
    return study, study.run("submit", file, code=1, **A_COST)


@pytest.fixture(scope="module")
def longer(grid):
    """The same study after a grid with more budgets and without the model that dies; what its runs were before, and what the command said."""
    study, _ = grid
    before = study.rows()
    rates = "{tiny: {grid: [0.05, 1e30], epochs: [0.5], otherwise: 0.05}, raising: 1}"
    models = f'{TINY}, {{name: raising, source: "misbehaving:raises"}}'
    file = study.write(models=models, epochs="[0.5, 1, 2, 4]", learning_rate=rates, dataset=SLOW_DIGITS, extra=UNCLIPPED)
    return study, before, study.run("submit", file, code=1, **A_COST)


UNCLIPPED = f"optimizer: {{clip: null}}\nresources: {{accelerator: cpu, cores: {len(os.sched_getaffinity(0))}}}"
"""One run at a time, in one process."""


def test_a_grid_with_good_and_bad_runs(grid):
    """One run raises, one is killed each time, one diverges: the rest is finished, each has its reason, the exit code is 1."""
    study, (_, err) = grid
    rows = {key[0] if key[2] != 1e30 else "diverging": row for key, row in study.rows().items()}
    assert len(rows) == 4
    assert rows["tiny"]["status"] == "finished"
    assert rows["diverging"]["status"] == "diverged"
    raised, died = rows["raising"], rows["dying"]
    assert (raised["status"], raised["reason"], raised["attempts"]) == ("failed", "RuntimeError: the user's code has a mistake", 1)
    assert (died["status"], died["attempts"]) == ("failed", 3)
    assert "killed by SIGKILL" in died["reason"]
    assert "RuntimeError: the user's code has a mistake" in err
    assert_ledger_adds_up(study.db)
    with sqlite3.connect(study.db) as connection:
        place = connection.execute(
            "SELECT host, device, devices, threads, code_version, jaxlib_version FROM attempts WHERE outcome = 'finished'"
        ).fetchone()
        assert all(place), place


def test_a_longer_grid_does_the_rest(longer):
    study, before, (_, err) = longer
    assert "2 of 9 runs were done before" in err
    after = {key: row for key, row in study.rows().items() if key[0] == "tiny"}
    done = {key: row for key, row in before.items() if key[0] == "tiny"}
    for key, row in done.items():
        assert after[key] | {"core_hours": None} == row | {"core_hours": None}, "the pace is that of all short runs of the model"
    assert sorted((key[1], row["status"], row["attempts"]) for key, row in after.items() if key not in done) == [
        (epochs, "finished", 1) for epochs in (1, 2, 4)
    ]


def test_the_law_of_a_grid_with_good_and_bad_runs(longer):
    study, _, (out, err) = longer
    assert "Best so far: tiny at" in out
    assert "scaling fit --db" in err
    fits = study.json("fit", "--metric", "val_loss", "--law", "power", "--on", "all")["fits"]
    assert fits[0]["runs_used"] == 4
    assert fits[0]["coefficients"]["a"]["low"] < fits[0]["coefficients"]["a"]["value"] < fits[0]["coefficients"]["a"]["high"]
    reasons = " ".join(entry["reason"] for entry in fits[0]["excluded"])
    assert "diverged" in reasons
    assert "failed" in reasons
    status = study.json("status")["experiments"][0]
    assert status["runs"] == {"finished": 4, "diverged": 1, "failed": 4}
    assert out.splitlines()[1] == study.json("fit")["answer"]["sentence"]


def test_interrupted_twice_and_killed_nothing_is_lost_and_the_bits_are_the_same(study, tmp_path, monkeypatch):
    """SIGINT and SIGTERM pause what trains, kill -9 leaves it to the next command; each time the same command goes on."""
    file = study.write(epochs="[8]", seeds="[0, 1]", dataset=SLOW_DIGITS)  # 169 steps
    for number, step in ((signal.SIGINT, 5), (signal.SIGTERM, 20)):
        process = study.start("submit", file, **A_STEP)
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

    # The newest two checkpoints are kept: a trainer that goes on for seconds must not remove the one that the next attempt starts from.
    process = study.start("submit", file, "--checkpoint-seconds", "3", **A_STEP)
    study.wait_for(
        "SELECT count(*) FROM runs JOIN attempts a ON a.run_id = runs.id AND a.ended_at IS NULL WHERE resume_step > first_step"
    )
    process.kill()
    process.communicate()
    with sqlite3.connect(study.db) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    study.run("submit", file)
    rows = study.rows()
    assert {row["status"] for row in rows.values()} == {"finished"}
    assert_ledger_adds_up(study.db)
    run = max(rows.values(), key=lambda row: row["attempts"])
    assert run["attempts"] == 4
    with sqlite3.connect(study.db) as connection:
        starts = connection.execute("SELECT first_step FROM attempts WHERE run_id = ? ORDER BY number", (run["id"],)).fetchall()
    assert starts == sorted(starts), "each attempt goes on where the one before had saved"
    assert 0 < starts[-1][0] < 169
    monkeypatch.setattr(sys, "path", [*sys.path, str(study.folder)])
    assert train(study.config_of(run["id"]), directory=tmp_path).val_loss == run["val_loss"]


@pytest.fixture(scope="module")
def two_at_once(shared):
    """A study that first asked for more cores than there are, and then for one, by two commands at once; and what the first said.

    Of its data, 147 training images are left out by a list.
    """
    study = Study(shared, "two-at-once", quickly=True)
    exclusions.write(shared / "list.parquet", data.load("digits", {}), {}, range(1000, 1147))
    grid = {"epochs": "[0.25, 0.5, 1]", "seeds": "[0, 1]", "dataset": "name: digits, exclude: list.parquet"}
    _, refused = study.run("submit", study.write(**grid, extra="resources: {accelerator: cpu, cores: 4096}"), code=1)
    file = study.write(**grid)
    processes = [study.start("submit", file) for _ in range(2)]
    for process in processes:
        _, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
    return study, file, refused


def test_two_submitters_share_one_store_and_each_run_is_done_once(two_at_once):
    study, _, _ = two_at_once
    rows = study.rows()
    assert [(row["status"], row["attempts"]) for row in rows.values()] == [("finished", 1)] * 6
    assert_ledger_adds_up(study.db)


def test_submitting_twice_does_nothing_twice(two_at_once):
    study, file, _ = two_at_once
    before = study.rows()
    _, err = study.run("submit", file)
    assert "147 of 1,347 training images of digits are left out, as list.parquet says" in err
    assert "6 of 6 runs were done before" in err
    assert "nothing left to do" in err
    assert study.rows() == before


def test_images_that_a_list_leaves_out_are_not_trained_on_and_the_others_once_an_epoch(two_at_once):
    study, _, _ = two_at_once
    (run,) = [row for key, row in study.rows().items() if key[1:] == (1, 1.6, 0)]
    assert run["examples_seen"] == 1200
    audit = study.json("audit", run["id"])["audit"]
    assert (audit["clean"], audit["complete"], audit["total"]) == (True, True, 1200)
    with contextlib.chdir(study.folder):
        out = CliRunner().invoke(app, ["audit", run["id"]], env=study.environment, catch_exceptions=False).stdout
    assert "of 1,347 training images 147 were left out by a list" in out


def test_more_cores_than_there_are(two_at_once):
    study, _, refused = two_at_once
    assert "a run needs 4096 cpu cores on one node; the largest of the 1 at local has" in refused
    assert {row["status"] for row in study.rows().values()} == {"finished"}


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


def test_asking_before_spending(study):
    file = study.write(extra="confirm_above: {core_hours: 1e-9}")
    _, err = study.run("submit", file, code=2)
    assert "above confirm_above" in err
    assert "--yes goes on" in err
