"""Several commands at once against one PostgreSQL server: three files that share runs, and the command that schedules is killed."""

import os
import signal
import subprocess
import time
from contextlib import suppress

import pytest
import sqlalchemy as sa

from tests.orchestrator.conftest import new_database
from tests.orchestrator.scheduling.test_end_to_end import SCALING, assert_sums

FILE = """\
name: {name}
dataset: {{name: declared, title: rehearsal, train_examples: 200000, validation_examples: 100, num_classes: 10, image_shape: [32, 32, 3]}}
models: [F0]
epochs: {epochs}
batch_size: 100
learning_rate: 0.1
resources: {{accelerator: TPU-v4, topology: 1x1x1}}
simulate: {{chips: 2, speed: 4}}
"""
BUDGETS = {"short": [0.5, 1, 1.5], "middle": [1, 1.5, 2, 2.5], "long": [1.5, 2, 3]}


@pytest.fixture
def url(postgres):
    return new_database(postgres)


@pytest.fixture
def execute(url):
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection.exec_driver_sql
    engine.dispose()


def test_three_commands_share_runs_and_the_one_that_schedules_is_killed(tmp_path, url, execute):
    environment = os.environ | {"SCALING_DB": url, "SCALING_HOME": str(tmp_path / "runs"), "NO_COLOR": "1"}

    def submit(name):
        (tmp_path / f"{name}.yaml").write_text(FILE.format(name=name, epochs=BUDGETS[name]))
        command = [SCALING, "submit", f"{name}.yaml", "--simulate", "--yes"]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    processes = {name: submit(name) for name in BUDGETS}
    try:
        scheduler = None
        deadline = time.monotonic() + 120
        while scheduler is None:
            assert time.monotonic() < deadline
            assert all(process.poll() is None for process in processes.values())
            time.sleep(0.1)
            if at_work(execute):
                scheduler = execute("SELECT pid FROM leases").scalar()
        killed = next(name for name, process in processes.items() if process.pid == scheduler)
        processes[killed].send_signal(signal.SIGKILL)
        processes[killed].communicate()
        assert processes[killed].returncode == -signal.SIGKILL
        processes[killed] = submit(killed)
        for process in processes.values():
            _, err = process.communicate(timeout=240)
            assert process.returncode == 0, err
    finally:
        for process in processes.values():
            process.kill()

    runs = execute("SELECT epochs, status FROM runs ORDER BY epochs").fetchall()
    assert runs == [(epochs, "finished") for epochs in sorted({epochs for budgets in BUDGETS.values() for epochs in budgets})]
    shown = "SELECT e.name, count(*) FROM experiments e JOIN experiment_runs m ON m.experiment_id = e.id GROUP BY e.name"
    assert dict(execute(shown).fetchall()) == {f"{name}-simulated": len(budgets) for name, budgets in BUDGETS.items()}
    assert_sums(execute)
    finishes = execute("SELECT count(*) FROM attempts WHERE outcome = 'finished' GROUP BY run_id").scalars().all()
    assert finishes == [1] * len(runs)


def at_work(execute):
    with suppress(sa.exc.ProgrammingError):  # the tables are being made
        return execute("SELECT count(*) FROM attempts WHERE ended_at IS NULL").scalar()
