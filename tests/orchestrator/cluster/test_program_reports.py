"""What a program may report: every value that the store, or the account of core-hours, cannot take is refused with the report's number."""

import json

import pytest

from orchestrator.cluster.program import _Lines, _read
from scaling.errors import UsageError

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
        ('{"step": 1.0}', "step is 1.0, which is no count of steps"),
        ('{"step": true}', "step is True, which is no number"),
        ('{"steps": NaN}', "steps is nan, which is no count of steps"),
        ('{"examples_seen": Infinity}', "examples_seen is inf, which is no count of examples"),
        ('{"evaluation_seconds": -500}', "evaluation_seconds is -500, which is no number of seconds"),
        ('{"checkpoint_seconds": NaN}', "checkpoint_seconds is nan, which is no number of seconds"),
        ('{"finished": "no", "val_loss": 2}', "finished is 'no', which is not true or false"),
        ('{"checkpoint": 5}', "checkpoint is 5, which is no path"),
        (f'{{"rmse": {HUGE}}}', "which is no number that a float can hold"),
        ('{"rmse": "2"}', "rmse is '2', which is no number"),
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
        "step": 2**53,
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
