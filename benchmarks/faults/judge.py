"""What became of each run of a round, from the witness logs and the store: lost, counted twice, or other bits than undisturbed ones."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.faults.world import World, opened, witnessed

__all__ = ["Truth", "Verdict", "judge"]


@dataclass(frozen=True)
class Truth:
    """How a run ends when nobody disturbs it: status, validation loss, the digest of its last state, and what its steps cost.

    core_hours: of a rehearsal exact; None of a real run, whose seconds are measured.
    """

    status: str
    val_loss: float | None
    digest: str | None
    core_hours: float | None


@dataclass
class Verdict:
    """Run ids by what is wrong with them, each with why."""

    lost: dict[str, str] = field(default_factory=dict)
    counted_twice: dict[str, str] = field(default_factory=dict)
    bit_different: dict[str, str] = field(default_factory=dict)
    store: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.counted_twice or self.bit_different or self.store)


_CHARGED = "useful_seconds + redone_seconds + startup_seconds + evaluation_seconds + checkpoint_seconds"


def judge(world: World, truths: dict[str, Truth]) -> Verdict:
    """truths: run id → what it must have come to."""
    verdict = Verdict()
    with opened(world.db) as store:
        if (found := store.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            verdict.store.append(f"integrity check: {found}")
        for allocation, held, used in store.execute(
            f"SELECT id, held_seconds, (SELECT sum({_CHARGED}) FROM attempts WHERE allocation_id = allocations.id) FROM allocations"
            " WHERE ended_at IS NOT NULL"
        ):
            if held is None or held < (used or 0.0) - 0.05:
                verdict.store.append(f"allocation {allocation} was held {held} s and its attempts charged {used} s")
        runs = {row[0]: row[1:] for row in store.execute("SELECT id, status, val_loss, core_hours, steps, cores, reason FROM runs")}
        for run_id, truth in truths.items():
            if run_id not in runs:
                verdict.lost[run_id] = "not in the store"
                continue
            attempts = store.execute(
                "SELECT number, token, first_step, checkpoint_step, last_step, outcome, useful_seconds, cores, directory FROM attempts"
                " WHERE run_id = ? ORDER BY number",
                (run_id,),
            ).fetchall()
            _judge_run(verdict, run_id, truth, runs[run_id], attempts)
    return verdict


def _judge_run(verdict: Verdict, run_id: str, truth: Truth, run: tuple[Any, ...], attempts: list[tuple[Any, ...]]) -> None:
    status, val_loss, core_hours, steps, _, reason = run
    if status != truth.status:
        verdict.lost[run_id] = f"{status} ({reason}), not {truth.status}"
        return
    if any(attempt[5] is None for attempt in attempts):
        verdict.lost[run_id] = "an attempt was never ended"
    if status != "finished":
        return
    ends = [attempt for attempt in attempts if attempt[5] == "finished"]
    if len(ends) != 1:
        verdict.counted_twice[run_id] = f"{len(ends)} attempts finished it"
        return
    if (why := _steps_twice(attempts, steps)) is not None:
        verdict.counted_twice[run_id] = why
    useful = sum(seconds * cores for _, _, _, _, _, _, seconds, cores, _ in attempts) / 3600
    expected = useful if truth.core_hours is None else truth.core_hours
    if abs(core_hours - expected) > 1e-6 * expected + 1e-12:
        verdict.counted_twice[run_id] = f"{core_hours} core-hours, its steps cost {expected}"
    _, token, *_, directory = ends[0]
    seen = [line for line in witnessed(Path(directory)) if line["token"] == token]
    told = next((line for line in seen if line["kind"] == "ended"), None)
    states = [
        line["digest"] for line in seen if line["kind"] in ("checkpoint", "ended") and line["step"] == steps and line["digest"]
    ]
    if told is None and not states and not _result(Path(directory)):
        verdict.bit_different[run_id] = "the store says finished, and no witness saw its end"
    elif states and set(states) != {truth.digest}:
        verdict.bit_different[run_id] = f"its last state is {states[-1]}, undisturbed {truth.digest}"
    elif not states:
        verdict.bit_different[run_id] = "no witness saw its last state"
    if val_loss != truth.val_loss:
        verdict.bit_different[run_id] = f"its loss is {val_loss!r}, undisturbed {truth.val_loss!r}"


def _steps_twice(attempts: list[tuple[Any, ...]], steps: int) -> str | None:
    """The stretches of steps that count must follow on each other from 0 to the last step. One of an attempt ends at its last checkpoint,
    or where a later attempt had to start."""
    at = 0
    kept = [attempt for attempt in attempts if attempt[6] > 0 or attempt[5] == "finished"]
    for place, (number, _, first, checkpoint, _, outcome, *_rest) in enumerate(kept):
        later = min((other[2] for other in kept[place + 1 :]), default=None)
        end = steps if outcome == "finished" else checkpoint
        if later is not None and end is not None:
            end = min(end, later)
        if end is None or end <= first:
            continue
        if first != at:
            return f"attempt {number} counts from step {first}, those before it up to {at}"
        at = end
    return None if at == steps else f"its attempts count up to step {at} of {steps}"


def _result(folder: Path) -> dict[str, Any] | None:
    try:
        return json.loads((folder / "result.json").read_text())
    except (OSError, ValueError):
        return None
