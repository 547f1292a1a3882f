"""What a trainer process saw itself do, and points at which a test may strike it."""

import json
import os
import subprocess
import sys

import pytest

from orchestrator.cluster.spool import Spool
from scaling.fault_points import POINTS
from tests.trainer import small_run
from tests.trainer.test_rehearsal import config as rehearsed_config
from trainer import train
from trainer.fault_trace import FaultTrace, state_digest
from trainer.rehearsal import rehearse


def lines(folder):
    return [json.loads(line) for line in (folder / "fault_trace.jsonl").read_text().splitlines()]


def watched(folder, token="t"):
    folder.mkdir(parents=True, exist_ok=True)
    return FaultTrace(folder, token)


def test_an_interrupted_training_ends_in_the_same_state_by_its_trace(quick_compilation, tmp_path):
    """The digest is of the arrays, so it does not depend on how often and where the run was cut."""
    whole = watched(tmp_path / "whole")
    train(small_run.config(), directory=tmp_path / "whole", on_event=whole.saw)
    first, polls = watched(tmp_path / "first"), iter(range(10_000))
    train(small_run.config(), directory=tmp_path / "first", on_event=first.saw, should_stop=lambda: next(polls) == 7)
    second = watched(tmp_path / "second")
    train(small_run.config(), directory=tmp_path / "second", resume_from={"directory": tmp_path / "first"}, on_event=second.saw)
    ends = [[line for line in lines(tmp_path / name) if line["kind"] == "checkpoint"][-1] for name in ("whole", "second")]
    assert ends[0]["step"] == ends[1]["step"] == small_run.STEPS
    assert ends[0]["digest"] == ends[1]["digest"] == state_digest(tmp_path / "whole", small_run.STEPS)
    cut = [line for line in lines(tmp_path / "first") if line["kind"] == "checkpoint"][-1]
    assert cut["step"] == 7
    assert cut["digest"] != ends[0]["digest"]
    assert lines(tmp_path / "second")[0] | {"at": 0, "pid": 0} == {
        "kind": "started", "token": "t", "first_step": 7, "step": 7, "digest": None, "at": 0, "pid": 0,
    }  # fmt: skip


def test_two_tokens_in_one_folder_are_told_apart(tmp_path):
    for token in ("a", "b"):
        fault_trace = watched(tmp_path, token)
        rehearse(rehearsed_config(), params=10, step_seconds=1, speed=1e9, directory=tmp_path, on_event=fault_trace.saw)
        fault_trace.close()
    ended = [line for line in lines(tmp_path) if line["kind"] == "ended"]
    assert [(line["token"], line["outcome"], line["digest"]) for line in ended] == [
        (token, "finished", str(sum(step * step for step in range(63)))) for token in "ab"
    ]


def test_what_a_full_disk_refused_is_written_when_there_is_room(tmp_path):
    spool = Spool(tmp_path / "events.jsonl")
    spool.write("one\n")
    disk, full = os.dup(spool._file), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, spool._file)
    spool.write("two\n")
    os.dup2(disk, spool._file)
    spool.write("three\n")
    spool.close()
    assert (tmp_path / "events.jsonl").read_text() == "one\ntwo\nthree\n"


STRUCK = """\
from scaling.fault_points import reached
for number in range(3):
    reached("step")
    print(number, flush=True)
"""


@pytest.mark.parametrize(("what", "code", "said"), [("kill", -9, ""), ("memory", 1, ""), (None, 0, "0\n1\n2\n")])
def test_a_point_strikes_the_first_that_reaches_it_and_only_once(what, code, said, tmp_path):
    if what:
        (tmp_path / "step").write_text(what)
    for expected in ((code, said), (0, "0\n1\n2\n")):
        done = subprocess.run(
            [sys.executable, "-c", STRUCK], env=os.environ | {"SCALING_FAULTS": str(tmp_path)}, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == expected, done.stderr
    assert (tmp_path / "step.struck").exists() == bool(what)


def test_every_point_is_reached_somewhere():
    from pathlib import Path

    root = Path(__file__).parents[2]
    code = "".join(path.read_text() for folder in ("trainer", "orchestrator") for path in (root / folder).rglob("*.py"))
    assert [point for point in POINTS if f'reached("{point}")' not in code] == []
