"""A batch split over two devices trains to the same loss as on one, to rounding."""

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import json, sys, jax
from jax.sharding import Mesh
from trainer import DataConfig, ModelConfig, ScheduleConfig, TrainConfig, data, train
card = data.card("digits", {})
config = TrainConfig(DataConfig("digits", card), ModelConfig("nfnet", "nano-F0"), ScheduleConfig(0.5), 64, 0.4)
devices = jax.devices()
assert len(devices) == 2
losses = [train(config, directory=f"{sys.argv[1]}/{n}", mesh=mesh).val_loss for n, mesh in enumerate((None, Mesh(devices, ("batch",))))]
try:
    train(TrainConfig(**{**config.__dict__, "batch_size": 33}), directory=sys.argv[1] + "/odd", mesh=Mesh(devices, ("batch",)))
except Exception as error:
    print(json.dumps({"losses": losses, "odd": str(error)}))
"""


def test_two_devices_train_as_one(tmp_path):
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, env=environment, timeout=200
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["losses"][0] == pytest.approx(answer["losses"][1], rel=1e-3)
    assert "a batch of 33 does not split over 2 devices" in answer["odd"]
