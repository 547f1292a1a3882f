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
| SCALING_CHECKPOINT | the path of the last checkpoint that was reported: go on from it; not set at the start of a run |
| SCALING_RESOURCES | JSON: `accelerator`, `chips`, `cores` |
| SCALING_EVENTS | the file to which `report` appends a line of JSON; not set when the script is run by hand |

A script that is run by hand reports nothing, and is otherwise as it was. On SIGTERM a program should write a checkpoint, report it and leave;
with exit code 75 at any time to be started again. Of several processes, one reports.
"""

from __future__ import annotations

import json
import os
import time

__all__ = ["report"]


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
        metrics: numbers by their names. `steps` is how many steps the run will have, `evaluation_seconds` and `checkpoint_seconds` what went
            into these since the last report; they are no training.
    """
    events = os.environ.get("SCALING_EVENTS")
    if not events:
        return
    told: dict[str, object] = {"step": step, "examples_seen": examples_seen, "checkpoint": checkpoint and os.fspath(checkpoint)}
    told["finished"] = finished or None
    told["at"] = time.monotonic()
    line = {name: value for name, value in told.items() if value is not None}
    line |= {name: float(value) for name, value in metrics.items() if value is not None}  # type: ignore[arg-type]  # arrays of one number
    try:
        file = os.open(events, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, (json.dumps(line) + "\n").encode())
        finally:
            os.close(file)
    except OSError:
        if finished or checkpoint is not None:
            raise  # a full disk may cost a point of a curve, and neither a checkpoint nor a result
