"""Who trains a run: its config says so, and whatever keeps to the protocol will do."""

import io
import json
import subprocess
import sys

import pytest

from orchestrator.cluster import host
from orchestrator.cluster.trainers import JaxTrainer, RehearsedTrainer, trainer_of
from orchestrator.messages import Placed
from orchestrator.resources import Resources, RunOptions
from scaling.outcomes import AttemptOutcome
from tests.orchestrator.rows import an_assignment
from tests.trainer import small_run, test_rehearsal
from trainer import Seconds, TrainResult
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
