"""Eight simulated devices train as one: the same global batches, the same result to rounding, whatever the mesh, whether the state is split and blocks
are looped over."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.trainer import small_run
from tests.trainer.conftest import QUICKLY
from tests.trainer.small_run import STEPS
from trainer import audit, checkpoint, data

SCRIPT = """
import json, sys, jax, numpy as np
from jax.sharding import Mesh
from scaling.errors import UsageError
from tests.trainer import small_run
from trainer import Execution, ModelConfig, train
from trainer.distributed import mesh_over

home, devices = sys.argv[1], jax.devices()
assert len(devices) == 8
flat, square = mesh_over(devices), Mesh(np.array(devices).reshape(2, 4), ("data", "model"))
config, events, polls = small_run.config(depth=3), [], iter(range(100))
masked = small_run.config(model=ModelConfig("tests.trainer.strangers_models:masked", "one"), learning_rate=0.01)
split = {"mesh": square, "execution": Execution(fsdp=True, scan=True)}
results = {
    "one": train(config, directory=f"{home}/one"),
    "eight": train(config, directory=f"{home}/eight", mesh=flat),
    "split": train(config, directory=f"{home}/split", **split),
    "begun": train(config, directory=f"{home}/begun", **split, should_stop=lambda: next(polls) == 10),
    "state": train(masked, directory=f"{home}/state"),
    "state over eight": train(masked, directory=f"{home}/state over eight", mesh=flat, execution=Execution(fsdp=True)),
    "moved": train(config, directory=f"{home}/moved", resume_from={"directory": f"{home}/begun", "step": 10}, on_event=events.append),
}
try:
    train(small_run.config(depth=3, batch_size=12), directory=f"{home}/odd", mesh=flat)
except UsageError as error:
    odd = str(error)
changed = next(event["changed"] for event in events if event["kind"] == "started")
print(json.dumps({"results": {name: result.to_dict() for name, result in results.items()}, "changed": changed, "odd": odd}))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    home = tmp_path_factory.mktemp("mesh")
    environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count=8 {QUICKLY}"}
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(home)], capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return home, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("single", "name"), [("one", "eight"), ("one", "split"), ("one", "moved"), ("state", "state over eight")])
def test_eight_devices_train_as_one(trained, single, name):
    """Sums over devices are added in another order: parameters agree to 1e-4 of their size, the loss to 1e-4.

    Statistics of BatchNorm are of the whole batch: those of a device's two examples would be others.
    """
    home, answer = trained
    one, other = answer["results"][single], answer["results"][name]
    assert other["outcome"] == "finished"
    assert other["val_loss"] == pytest.approx(one["val_loss"], rel=1e-4)
    ours, theirs = (checkpoint.restore(home / part)[0].arrays for part in (single, name))
    assert ours.keys() == theirs.keys()
    for array in ours:
        np.testing.assert_allclose(theirs[array], ours[array], rtol=1e-3, atol=1e-4 * max(1e-3, np.abs(ours[array]).max()))


def test_their_batches_are_the_same(trained):
    home, _ = trained
    order = data.Order.of(small_run.config(depth=3))
    for stretches in (
        [audit.Stretch(home / "eight", 0, STEPS)],
        [audit.Stretch(home / "split", 0, STEPS)],
        [audit.Stretch(home / "begun", 0, 10), audit.Stretch(home / "moved", 10, STEPS)],
    ):
        report = audit.check(stretches, order)
        assert (report.clean, report.complete) == (True, True), report.faults
    assert (home / "eight" / "audit.jsonl").read_text() == (home / "one" / "audit.jsonl").read_text()


def test_a_run_that_moves_says_so(trained):
    _, answer = trained
    assert answer["changed"] == {"devices": [8, 1], "fsdp": [True, False], "scan": [True, None]}
    assert answer["results"]["moved"]["first_step"] == 10


def test_a_batch_that_does_not_split_is_refused(trained):
    assert "a batch of 12 does not split over 8 devices" in trained[1]["odd"]
