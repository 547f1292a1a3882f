"""What a program may report: every value that the store, or the account of core-hours, cannot take is refused with the report's number."""

import json
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from orchestrator.cluster.program import _Lines, _read
from scaling.errors import UsageError
from scaling.program import report

HUGE = "1" + 400 * "0"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            '{"step": 6, "examples_seen": 10000000000000000000}',
            "examples_seen is 10000000000000000000, which is no count of examples",
        ),
        ('{"step": 1000000000000000000000000000000}', "step is 1000000000000000000000000000000, which is no count of steps"),
        ('{"step": -1}', "step is -1, which is no count of steps"),
        ('{"step": 1.5}', "step is 1.5, which is no count of steps"),
        ('{"step": true}', "step is True, which is no number"),
        ('{"steps": NaN}', "steps is nan, which is no count of steps"),
        ('{"examples_seen": Infinity}', "examples_seen is inf, which is no count of examples"),
        ('{"evaluation_seconds": -500}', "evaluation_seconds is -500, which is no number of seconds"),
        ('{"checkpoint_seconds": NaN}', "checkpoint_seconds is nan, which is no number of seconds"),
        ('{"finished": "no", "val_loss": 2}', "finished is 'no', which is not true or false"),
        ('{"checkpoint": 5}', "checkpoint is 5, which is no path"),
        (f'{{"rmse": {HUGE}}}', "which is no number that a float can hold"),
        ('{"rmse": "2"}', "rmse is '2', which is no number"),
        ('{"params": 3}', "'params' is a column of every run, and no name for a metric"),
        ('{"flops": 3}', "'flops' is another name of train_flops, a column of every run"),
        ('{"val-loss": 3}', "'val-loss' is another name of val_loss, a column of every run"),
        ('{"": 3}', "'' is blank"),
        ('{" ": 3}', "' ' is blank"),
        ('{"flops ": 3}', "'flops ' is blank, or begins or ends with a blank"),
        ("[" * 100_000, "is no JSON object"),
    ],
)
def test_what_no_report_can_hold_is_refused_in_one_line(line, told):
    with pytest.raises(UsageError) as refused:
        _read(line.encode(), 7)
    assert str(refused.value).startswith("report 7: ")
    assert told in str(refused.value)
    assert len(str(refused.value)) < 200


def test_what_a_report_can_hold_is_taken():
    report = {
        "step": 2.0**53,
        "steps": 0,
        "examples_seen": 64.0,
        "val_loss": float("inf"),
        "evaluation_seconds": 0,
        "finished": False,
    }
    assert _read(json.dumps(report).encode(), 1) == report


def test_a_last_report_needs_no_newline_and_one_that_was_cut_off_is_none(tmp_path):
    for last, found in (
        (b'{"finished": true}', [(1, b'{"step": 1}'), (2, b'{"finished": true}')]),
        (b'{"fini', [(1, b'{"step": 1}')]),
    ):
        path = tmp_path / "program.jsonl"
        path.write_bytes(b'{"step": 1}\n' + last)
        lines = _Lines(path)
        assert [*lines.new(), *lines.new(ended=True)] == found


@pytest.mark.parametrize("by_hand", [True, False])
@pytest.mark.parametrize("name", ["step", "steps", "examples_seen"])
def test_report_takes_any_whole_number_as_a_count_and_nothing_else(tmp_path, monkeypatch, by_hand, name):
    events = tmp_path / "events"
    monkeypatch.setenv("SCALING_EVENTS", "" if by_hand else str(events))
    whole = (3, np.int64(3), np.uint8(3), 3.0, np.float32(3), np.array(3), np.array([3]), Fraction(3), Decimal(3))
    for value in whole:
        report(**{name: value})
    for value in (2.5, np.float64(2.5), math.nan, math.inf, -1, -1.0, 2**53 + 1, 2.0**60, "3", [3], np.array([1, 2]), object(), 1j):
        with pytest.raises(ValueError, match=rf"^report\({name}=.*\): it is ") as refused:
            report(**{name: value})
        assert len(str(refused.value).splitlines()) == 1
    told = [_read(line, 1)[name] for line in events.read_bytes().splitlines()] if not by_hand else []
    assert told == ([] if by_hand else [3] * len(whole))


@pytest.mark.parametrize("by_hand", [True, False])
def test_report_takes_any_number_as_a_metric_and_nothing_else(tmp_path, monkeypatch, by_hand):
    events = tmp_path / "events"
    monkeypatch.setenv("SCALING_EVENTS", "" if by_hand else str(events))
    report(
        a=np.float32(0.5),
        b=np.array([1]),
        c=None,
        d=math.inf,
        finished=np.True_,
        checkpoint=Path("x"),
        evaluation_seconds=np.int8(2),
    )
    for wrong in ({"a": "2"}, {"a": [1]}, {"a": 10**400}, {"a": np.zeros(2)}, {"evaluation_seconds": -1}, {"checkpoint": ""}):
        with pytest.raises(ValueError, match=rf"^report\({next(iter(wrong))}="):
            report(**wrong)
    if not by_hand:
        [line] = events.read_bytes().splitlines()
        told = _read(line, 1)
        told.pop("at")
        assert told == {"a": 0.5, "b": 1.0, "d": math.inf, "finished": True, "checkpoint": "x", "evaluation_seconds": 2.0}
