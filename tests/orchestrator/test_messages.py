"""What goes between processes keeps its shape: lines that version 0.1.0 wrote before its events were records are read, and written, as they were."""

import json
from pathlib import Path

import pytest

from orchestrator.messages import Assignment, Left, Lost, Message, NumberedMessage, Peers, Raised, Resume
from orchestrator.resources import Resources, RunOptions
from orchestrator.scheduling.attempt import AttemptLog
from orchestrator.store.ledger import Grant
from trainer.events import CheckpointFailed, Event

RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.jsonl"))
"""What runs wrote into their folders, and one of each kind of line that workers answered with."""


def recorded(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_line_is_the_same_after_it_was_read(path):
    for line in recorded(path):
        message = (NumberedMessage if "number" in line else Message).from_dict(line)
        if line.get("scan", 0) is None:
            del line["scan"]  # a null that a rehearsal does not tell of either
        assert message.to_dict() == line


def test_every_kind_that_a_run_alone_tells_was_recorded():
    rare = {"checkpoint_failed", "out_of_memory", "left", "lost", "unheard-of"}
    assert {line["kind"] for path in RECORDED for line in recorded(path)} == set(Event._kinds) - rare


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (CheckpointFailed(step=3, reason="full", checkpoint_seconds=0.5, train_seconds=1.0, write_seconds=0.25),
         {"kind": "checkpoint_failed", "step": 3, "reason": "full", "checkpoint_seconds": 0.5, "train_seconds": 1.0, "write_seconds": 0.25}),
        (Left(step=3, outcome="finished"), {"kind": "left", "step": 3, "outcome": "finished"}),
        (Lost(reason="gone", preempted=True), {"kind": "lost", "step": 0, "reason": "gone", "preempted": True}),
    ],
)  # fmt: skip
def test_and_so_are_the_rare_ones(event, line):
    message = Message(event=event, token="t", wall_seconds=2.0)
    assert message.to_dict() == {**line, "token": "t", "wall_seconds": 2.0}
    assert Message.from_dict(message.to_dict()) == message


def test_a_message_of_an_unknown_kind_is_a_sign_of_life_of_its_attempt(monkeypatch):
    """From a process of a later version: its attempt goes on, and the number counts as heard."""
    message = NumberedMessage.from_dict({"kind": "profiled", "step": 7, "flame": [1], "token": "t", "elapsed": 3.0, "number": 4})
    assert (message.event, message.token, message.number) == (Event(step=7), "t", 4)
    log, signs = AttemptLog(Grant("a" * 16, 1, "t", {}, Resources("cpu", 1), RunOptions(), None, 0)), []
    monkeypatch.setattr(log.liveness, "sign", lambda at, *, trains: signs.append(trains))
    log.take(message)
    assert (log.ending, log.step, signs) == (None, 0, [False])
    assert log.given_up("").charge.startup == 3.0


def test_flags_that_an_earlier_version_had_not_are_off():
    raised = {"kind": "raised", "step": 0, "reason": "no", "out_of_memory": True, "token": "t"}
    assert Message.from_dict(raised).event == Raised(reason="no", out_of_memory=True)


def test_an_assignment_crosses_a_process_whole():
    """A pack within a group does not happen; here it shows that each part comes back as what it was."""
    fields = {
        "config": {"seed": 0},
        "directory": "/runs/1",
        "working_directory": "/",
        "compile_cache": "/c",
        "checkpoint_seconds": 9.0,
        "resources": Resources("cpu", 1),
    }
    first = Assignment(
        token="a",
        resume_from=Resume(directory="/runs/0", step=40, saved_seconds=2.0, parent="p"),
        group=Peers(coordinator="host:1", count=2, index=1),
        options=RunOptions(checkpoint_at=(3,)),
        **fields,
    )
    whole = Assignment.of_all([first, Assignment(token="b", options=RunOptions(evaluate_at=(0.5,)), **fields)])
    there = Assignment.from_dict(json.loads(json.dumps(whole.to_dict())))
    assert there == whole
    assert (there.resume_from, there.group, there.tokens) == (first.resume_from, first.group, ["a", "b"])
    assert whole.to_dict()["resume_from"] == {"directory": "/runs/0", "step": 40, "saved_seconds": 2.0, "parent": "p"}
    assert (Assignment.of_all([first]), first.members, first.index) == (first, (first,), 1)
