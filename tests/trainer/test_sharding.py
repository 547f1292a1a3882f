"""Eight simulated devices, in two processes one after the other: the state split over devices trains as if it were copied to each,
takes less memory, and the second process compiles nothing."""

import json
import os
import subprocess
import sys

import pytest

from tests.trainer.conftest import QUICKLY

SCRIPT = """
import json, sys, jax, numpy as np
jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
from jax.sharding import Mesh
from trainer import DataConfig, Execution, ModelConfig, ParentConfig, ScheduleConfig, TrainConfig, data
from trainer.compilation import counted_compilation
from trainer.program import program_for

options = {"width": [32], "depth": [1], "group_width": 16, "stem": "small", "dropout": 0.3}
config = TrainConfig(
    DataConfig("digits", data.card("digits", {})), ModelConfig("nfnet", "one-block", options), ScheduleConfig(1.0), 48, 0.4, ema=0.9,
    parent=ParentConfig("0" * 16, layer_decay=0.8),
)
mesh = Mesh(np.array(jax.devices()).reshape(2, 4), ("host", "device"))
images, labels, _ = data.load("digits", {}).train.gather(np.arange(48))
weights = (np.arange(48) < 29).astype(np.float32)
answer = {}
with counted_compilation() as count:
    for name, execution in (("copied", Execution()), ("split", Execution(fsdp=True, micro_batch=16))):
        program = program_for(config, execution, mesh)
        with counted_compilation() as initial:
            state = program.initial_state(config)
        answer[name] = {
            "initial": initial.compiled + initial.loaded,
            "held": sum(leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(state)),
            "stated": program.placement.bytes_per_device(state),
            "at_peak": program.memory_bytes,
        }
        for step in range(3):
            arrays = program.place_batch(images, labels, weights)
            state, metrics = program.train_step(state, *arrays, np.float32(0.4), np.uint32(0), np.uint32(step))
        answer[name] |= {"loss": float(metrics.loss), "micro_batches": program.micro_batches}
        answer[name]["leaves"] = [np.asarray(leaf).ravel().tolist() for leaf in jax.tree.leaves(state)]
print(json.dumps(answer | {"compiled": count.compiled, "loaded": count.loaded}))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count=8 {QUICKLY}"}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path_factory.mktemp("cache"))]
    done = [subprocess.run(command, capture_output=True, text=True, env=environment, timeout=400) for _ in range(2)]
    assert [process.returncode for process in done] == [0, 0], done[0].stderr[-2000:] + done[1].stderr[-2000:]
    return [json.loads(process.stdout.splitlines()[-1]) for process in done]


def test_a_split_state_trains_as_a_copied_one(answers):
    """With accumulation on top: to 1e-6 of the state's norm after three steps."""
    copied, split = answers[0]["copied"], answers[0]["split"]
    assert split["micro_batches"] == 3
    assert split["loss"] == pytest.approx(copied["loss"], rel=1e-6)
    pairs = [pair for leaves in zip(copied["leaves"], split["leaves"], strict=True) for pair in zip(*leaves, strict=True)]
    assert sum((a - b) ** 2 for a, b in pairs) ** 0.5 < 1e-6 * sum(a**2 for a, _ in pairs) ** 0.5


def test_a_split_state_takes_less_memory_on_each_device(answers):
    """An eighth, but for what no axis divides: here a quarter of the whole."""
    copied, split = answers[0]["copied"], answers[0]["split"]
    assert (copied["held"], split["held"]) == (copied["stated"], split["stated"])
    assert split["held"] < 0.3 * copied["held"]
    assert split["at_peak"] < copied["at_peak"]


def test_a_second_process_of_the_same_shapes_compiles_nothing(answers):
    first, second = answers
    assert first["compiled"] >= 6  # a step and an evaluation; zeros, accumulate, apply and an evaluation
    assert second["compiled"] == 0
    assert second["loaded"] == first["compiled"] + first["loaded"]
    assert [second[name]["leaves"] == first[name]["leaves"] for name in ("copied", "split")] == [True, True]


def test_initialisation_compiles_nothing_even_in_a_fresh_process(answers):
    assert [answer[name]["initial"] for answer in answers for name in ("copied", "split")] == [0] * 4
