"""Who trains a run: its config says so, and whatever keeps to the protocol will do."""

import io
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from orchestrator.cluster import host
from orchestrator.cluster.trainers import JaxTrainer, RehearsedTrainer, trainer_of
from orchestrator.messages import Placed
from orchestrator.resources import Resources, RunOptions
from scaling.accelerators import Accelerator, how_to_add
from scaling.outcomes import AttemptOutcome
from tests.orchestrator.rows import an_assignment
from tests.trainer import small_run, test_rehearsal
from trainer import Seconds, TrainResult
from trainer.clock import peak_flops
from trainer.events import Ended, Progress


@pytest.fixture
def served(tmp_path, monkeypatch):
    """What an attempt says that the hosting process goes through, here without another process; and what its folder has of it."""
    monkeypatch.setattr(host.os, "dup2", lambda *_: None)

    def serve(config, *, stop=False, **changes):
        directory, pipe, asked = tmp_path / "attempt", io.StringIO(), host._Stop()
        asked.all = stop
        host._serve(
            an_assignment(directory=str(directory), working_directory=str(tmp_path), config=config.to_dict(), **changes),
            asked,
            pipe,
        )
        lines = [json.loads(line) for line in pipe.getvalue().splitlines()]
        assert lines == [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]
        return lines

    return serve


def test_the_config_chooses():
    assert isinstance(trainer_of(small_run.config()), JaxTrainer)
    assert isinstance(trainer_of(test_rehearsal.config()), RehearsedTrainer)


def test_a_rehearsal_is_placed_on_what_is_stated_and_goes_by_its_own_seconds(served):
    pace = {"params": 10, "step_seconds": 2.0, "speed": 1e6}
    lines = served(
        test_rehearsal.config(), resources=Resources("TPU-v4", 4, stated=8), options=RunOptions(execution=pace, evaluate_at=(0.5,))
    )
    assert (lines[0]["kind"], lines[0]["device"], lines[0]["devices"], lines[0]["jaxlib_version"]) == ("placed", "TPU-v4", 4, None)
    assert [line["step"] for line in lines if line["kind"] == "evaluated"] == [32, 63]
    assert (lines[-1]["kind"], lines[-1]["outcome"], lines[-1]["seconds"]["train"]) == ("ended", "finished", 126.0)


def test_a_run_that_an_earlier_version_planned_otherwise_is_refused(served):
    (line,) = served(test_rehearsal.config(), run="0" * 16)
    assert "was planned by an earlier version" in line["reason"]


class ByCommand:
    """Trains by a program of its own, which prints a line a step, and checkpoints and leaves when it is terminated."""

    def prepare(self, first):
        return Placed(host="here", device="any", devices=1, threads=1, jaxlib_version=None, code_version="1")

    def train(self, runs):
        (run,) = runs
        program = subprocess.Popen(
            [sys.executable, "-uc", "import time\nfor step in range(1, 4): print(step); time.sleep(0.2)"],
            stdout=subprocess.PIPE,
            text=True,
        )
        step = 0
        for line in program.stdout:
            step = int(line)
            run.tell(Progress(step=step, steps=3, train_seconds=1.0 * step, train_loss=None))
            if run.should_stop():
                program.terminate()
        outcome = AttemptOutcome.INTERRUPTED if program.wait() else AttemptOutcome.FINISHED
        seconds = Seconds(train=1.0 * step)
        run.tell(Ended(step=step, result=TrainResult(outcome, "", 0, step, step, 64 * step, seconds)))


@pytest.mark.parametrize(("stop", "steps", "outcome"), [(False, [1, 2, 3], "finished"), (True, [1], "interrupted")])
def test_a_program_of_its_own_keeps_to_the_protocol(served, monkeypatch, stop, steps, outcome):
    monkeypatch.setattr(host, "trainer_of", lambda config: ByCommand())
    lines = served(small_run.config(), stop=stop)
    assert [line["step"] for line in lines if line["kind"] == "progress"] == steps
    assert ([line["kind"] for line in (lines[0], lines[-1])], lines[-1]["outcome"]) == (["placed", "ended"], outcome)


RTX = "NVIDIA GeForce RTX 5080"
CARD = Accelerator(name="RTX-5080", peak_flops=112.6e12)


@pytest.mark.parametrize(
    ("device", "resources", "known"),
    [
        (RTX, Resources("H100", 2), False),
        (RTX, Resources("RTX-5080", 2, card=CARD), True),
        (RTX, Resources("gpu", 2, cards=(CARD,)), True),
        ("NVIDIA H100 80GB HBM3", Resources("RTX-5080", 2, card=CARD), True),
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", Resources("A100", 2), False),
    ],
)
def test_an_unknown_card_runs_under_its_drivers_name_without_mfu_and_the_log_says_how_to_add_it(
    monkeypatch, capsys, device, resources, known
):
    devices = [SimpleNamespace(platform="gpu", device_kind=device)] * 2
    monkeypatch.setattr("jax.local_devices", lambda: devices)
    monkeypatch.setattr("jax.config.update", lambda *_: None)
    told = JaxTrainer().prepare(an_assignment(resources=resources))
    assert (told.device, told.devices) == (device, 2)
    said = capsys.readouterr().err.splitlines()
    assert said == ([] if known else [how_to_add(device)])
    peak = peak_flops(devices, resources.declared)
    assert peak == (None if not known else 2 * 112.6e12 if device == RTX else 2 * 989e12)


def test_the_peak_of_devices_is_that_of_their_chips():
    def peak(device, count):
        return peak_flops([SimpleNamespace(platform="tpu", device_kind=device)] * count)

    assert peak("TPU v3", 8) == 4 * 123e12, "each core is a device"
    assert peak("TPU v4", 4) == 4 * 275e12, "each chip is a device"
    assert peak("TPU7x", 8) == 4 * 2307e12, "each chiplet is a device"
