"""A grid of thousands of runs costs a handful of statements, however many runs there are."""

import json
import subprocess
import sys

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from orchestrator.experiments_file import read_spec
from orchestrator.planning.accept import accept_plan, plan_status
from orchestrator.planning.plan import make_plan
from orchestrator.scheduling.queue import Queue
from orchestrator.store import queries
from orchestrator.store.models import Run
from tests.orchestrator.rows import a_run, accepted
from trainer import TrainConfig

GRID = """\
name: large
dataset: {{name: declared, title: large, train_examples: 1e6, validation_examples: 1e3, num_classes: 10, image_shape: [32, 32, 3]}}
models: [F0, F1]
epochs: [0.25, 1]
batch_size: 128
learning_rate: {{grid: [0.1, 0.2]}}
seeds: {seeds}
"""


@pytest.fixture
def count():
    """Statements that were sent to any database since the last call."""
    sent = []

    def one_more(*arguments):
        sent.append(arguments[2])

    def since():
        told = len(sent)
        sent.clear()
        return told

    event.listen(sa.Engine, "before_cursor_execute", one_more)
    yield since
    event.remove(sa.Engine, "before_cursor_execute", one_more)


def plan_of(folder, seeds):
    file = folder / f"{seeds}.yaml"
    file.write_text(GRID.format(seeds=list(range(seeds))))
    return make_plan(*read_spec(file, simulate=True))


def test_statements_do_not_grow_with_the_grid(store, tmp_path, count):
    def statements(seeds):
        plan, queue, told = plan_of(tmp_path, seeds), Queue(), []
        for do in (
            lambda: accept_plan(store, plan),
            lambda: plan_status(store, plan),
            lambda: accept_plan(store, plan),
        ):
            count()
            do()
            told.append(count())
        with store.read() as session:
            count()
            assert len(queries.runs(session, experiment=plan.spec.name)) == len(plan.runs)
            told.append(count())
            queue.refresh(session, lambda run: None)
            told.append(count())
            assert not queue.refresh(session, lambda run: None)
            told.append(count())
        return told

    statements(1)  # so that each of the two finds the experiment, and a run of it that waits
    few, many = statements(2), statements(700)
    assert few == many
    assert max(many) <= 14


def test_a_run_is_stored_as_it_was_planned_in_the_order_of_the_file(store, tmp_path):
    plan = plan_of(tmp_path, 3)
    accept_plan(store, plan)
    with store.read() as session:
        stored = {run.id: run for run in session.scalars(sa.select(Run))}
        assert [row["id"] for row in queries.runs(session)] == [run.id for run in plan.runs]
        for run in plan.runs:
            found = stored[run.id]
            assert found.config == run.config.to_dict() == json.loads(json.dumps(found.config))
            assert TrainConfig.from_dict(found.config).run_id() == run.config.run_id() == run.id
            assert (found.shape, found.status, found.reason, found.failures) == (run.config.shape_id(), "pending", "", 0)
            assert found.options.execution["step_seconds"] == pytest.approx(run.estimated_seconds / run.steps)


def test_an_id_that_a_file_names_twice_is_one_run(store):
    told = accepted(store, a_run(), a_run())
    assert told.new == ["a" * 16]
    with store.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Run)) == 1


def test_a_config_s_plain_form_is_its_own(tmp_path):
    plan = plan_of(tmp_path, 1)
    first, second = plan.runs[0].config, plan.runs[1].config
    first.to_dict()["data"]["card"]["name"] = "changed"
    assert first.to_dict()["data"] == second.to_dict()["data"]
    assert first.to_dict()["data"]["card"]["name"] == "large"


def test_planning_and_scheduling_load_no_jax(tmp_path):
    """It takes a second to load and 130 MB to keep, in every command that submits."""
    (tmp_path / "grid.yaml").write_text(GRID.format(seeds=[0]))
    script = (
        "import sys; from pathlib import Path; import orchestrator.scheduling.scheduler, orchestrator.scheduling.see_through\n"
        "from orchestrator.planning.plan import make_plan; from orchestrator.experiments_file import read_spec\n"
        "make_plan(*read_spec(Path('grid.yaml'))); print(sorted({'jax', 'flax', 'optax'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_price_of_a_run_counts_the_way_up_of_sam_and_its_flops_do_not(tmp_path):
    study = {
        "name": "s",
        "dataset": {"name": "digits"},
        "models": ["nano-F0"],
        "epochs": [1],
        "batch_size": 64,
        "learning_rate": 1.6,
    }
    [plain], [sam] = (make_plan(*read_spec(study | more)).runs for more in ({}, {"sam": {"share": 0.25}}))
    assert sam.train_flops == plain.train_flops
    assert sam.estimated_core_hours == pytest.approx(1.25 * plain.estimated_core_hours)
