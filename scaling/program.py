"""Reports from a training program of your own. This file needs nothing but Python: where scaling is not installed, copy it beside your script.

    from scaling.program import report

    report(step=step, examples_seen=examples, train_loss=loss)      # now and then, every few seconds
    report(checkpoint=path)                                         # a checkpoint is complete, after the step that was reported last
    report(finished=True, val_loss=loss, accuracy=accuracy)         # the last one

What a program is given stands in its environment:

| variable | what it holds |
|---|---|
| SCALING_RUN | a folder of the run, kept over its attempts: for checkpoints |
| SCALING_ATTEMPT | which attempt of the run this is, from 1 |
| SCALING_CHECKPOINT | the path of the last checkpoint that was reported and is still there: go on from it; not set at the start of a run |
| SCALING_RESOURCES | JSON: `accelerator`, `chips`, `cores` |
| SCALING_EVENTS | the file to which `report` appends a line of JSON; not set when the script is run by hand |

A script that is run by hand reports nothing, and what cannot be reported raises the same `ValueError` there. On SIGTERM a program should write a checkpoint, report it and leave;
with exit code 75 at any time to be started again. Of several processes, one reports.
"""

from __future__ import annotations

import json
import operator
import os
import time
from typing import Any

__all__ = ["report"]

_COUNTS = ("step", "steps", "examples_seen")
_SECONDS = ("evaluation_seconds", "checkpoint_seconds")
_LARGEST = 2**53


def report(
    *,
    step: int | None = None,
    examples_seen: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    finished: bool = False,
    **metrics: object,
) -> None:
    """Append a line to the file that SCALING_EVENTS names; without that, do nothing.

    Args:
        step: how many steps of the run are done, over all attempts. It never goes backwards within an attempt.
        examples_seen: how many examples the run has consumed, over all attempts.
        checkpoint: path of a checkpoint that is complete. It holds the state after the step that was reported last, or after `step`.
        finished: whether the run is done. Its metrics are the run's results.
        metrics: numbers by their names, also as arrays of one number. `steps` is how many steps the run will have, `evaluation_seconds` and `checkpoint_seconds` what went
            into these since the last report; they are no training.

    Raises:
        ValueError: a value is no number, or a number of steps or examples is not whole; also when the script is run by hand.
    """
    line: dict[str, object] = {}
    for name, value in {"step": step, "examples_seen": examples_seen, **metrics}.items():
        if value is not None:
            line[name] = _count(name, value) if name in _COUNTS else _number(name, value)
    if checkpoint is not None:
        line["checkpoint"] = os.fsdecode(checkpoint)
        if not line["checkpoint"]:
            raise ValueError("report(checkpoint=''): it is empty, and no path")
    if finished:
        line["finished"] = True
    events = os.environ.get("SCALING_EVENTS")
    if not events:
        return
    line = {"at": time.monotonic()} | line
    try:
        file = os.open(events, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, (json.dumps(line) + "\n").encode())
        finally:
            os.close(file)
    except OSError:
        if finished or checkpoint is not None:
            raise  # a full disk may cost a point of a curve, and neither a checkpoint nor a result


def _count(name: str, value: object) -> int:
    """Return a number of steps or examples: any integer, also of NumPy or PyTorch, or a float that is whole."""
    number = _number(name, value)
    try:
        count = operator.index(_plain(value))  # exact above 2**53, too
    except TypeError:
        if not number.is_integer():
            raise _error(name, value, "it is a whole number") from None
        count = int(number)
    if not 0 <= count <= _LARGEST:
        raise _error(name, value, "it is from 0 to 2**53")
    return count


def _number(name: str, value: object) -> float:
    """Return a number as a float: any that Python, NumPy or PyTorch has, also in an array of one."""
    try:
        if isinstance(value, str | bytes | bytearray):
            raise TypeError
        number = float(_plain(value))
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise _error(name, value, "it is one number that a float can hold") from None
    if name in _SECONDS and not 0 <= number <= _LARGEST:
        raise _error(name, value, "it is a number of seconds, 0 or more")
    return number


def _plain(value: Any) -> Any:
    """Take a number out of an array of one; other values stay as they are."""
    return value.item() if hasattr(value, "item") else value


def _error(name: str, value: object, what: str) -> ValueError:
    return ValueError(f"report({name}={' '.join(repr(value).split())[:60]}): {what}")
