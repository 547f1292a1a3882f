"""What became of each run of a round, from the fault traces and the store: lost, counted twice, or other bits than undisturbed ones."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.faults.world import World, traced

__all__ = ["Seen", "Truth", "Verdict", "judge", "traced_steps"]


@dataclass(frozen=True)
class Truth:
    """How a run ends when nobody disturbs it: status, validation loss, the digest of its last state, what its steps cost, and its other scores.

    core_hours: of a rehearsal exact; None of a real run, whose seconds are measured. scores: as the store has them; None where they are not compared.
    """

    status: str
    val_loss: float | None
    digest: str | None
    core_hours: float | None
    scores: str | None = None


@dataclass
class Verdict:
    """Run ids by what is wrong with them, each with why."""

    lost: dict[str, str] = field(default_factory=dict)
    counted_twice: dict[str, str] = field(default_factory=dict)
    bit_different: dict[str, str] = field(default_factory=dict)
    store: list[str] = field(default_factory=list)

    def add(self, other: Verdict) -> None:
        """What another store of the round came to."""
        for name in ("lost", "counted_twice", "bit_different"):
            getattr(self, name).update(getattr(other, name))
        self.store += other.store

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.counted_twice or self.bit_different or self.store)


_CHARGED = "useful_seconds + redone_seconds + startup_seconds + evaluation_seconds + checkpoint_seconds"


def judge(world: World, truths: dict[str, Truth], *, db: Path | None = None) -> Verdict:
    """truths: run id → what it must have come to. db: of another store than the world's own."""
    verdict = Verdict()
    with world.opened(db) as store:
        if (db or world.server is None) and (found := store.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            verdict.store.append(f"integrity check: {found}")
        for allocation, held, used in store.execute(
            f"SELECT id, held_seconds, (SELECT sum({_CHARGED}) FROM attempts WHERE allocation_id = allocations.id) FROM allocations"
            " WHERE ended_at IS NOT NULL"
        ):
            if held is None or held < (used or 0.0) - 0.05:
                verdict.store.append(f"allocation {allocation} was held {held} s and its attempts charged {used} s")
        runs = {
            row[0]: row[1:] for row in store.execute("SELECT id, status, val_loss, core_hours, steps, scores, reason FROM runs")
        }
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
    status, val_loss, core_hours, steps, scores, reason = run
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
    stretches = _surviving(attempts, steps)
    if (why := _steps_twice(attempts, stretches, steps)) is not None:
        verdict.counted_twice[run_id] = why
    useful = sum(seconds * cores for _, _, _, _, _, _, seconds, cores, _ in attempts) / 3600
    expected = core_hours if truth.core_hours is None else truth.core_hours
    if max(abs(core_hours - expected), abs(useful - expected)) > 1e-6 * expected + 1e-12:
        verdict.counted_twice[run_id] = f"{core_hours} core-hours, {useful} by its attempts; its steps cost {expected}"
    said = {number: _lines(Path(directory), token) for number, token, *_, directory in attempts}
    finished = ends[0][0]
    last = stretches[0][0] if stretches else finished  # who got to the last step; the same or a later one evaluated it
    told = next((line for line in said[finished] if line["kind"] == "ended"), None)
    states = [
        line["digest"]
        for number in {last, finished}
        for line in said[number]
        if line["kind"] in ("checkpoint", "ended") and line["step"] == steps and line["digest"]
    ]
    if told is None and not states and not _result(Path(ends[0][-1])):
        verdict.bit_different[run_id] = "the store says finished, and no trace saw its end"
    elif states and set(states) != {truth.digest}:
        verdict.bit_different[run_id] = f"its last state is {states[-1]}, undisturbed {truth.digest}"
    elif not states:
        verdict.bit_different[run_id] = "no trace saw its last state"
    if val_loss != truth.val_loss:
        verdict.bit_different[run_id] = f"its loss is {val_loss!r}, undisturbed {truth.val_loss!r}"
    if truth.scores not in (None, scores):
        verdict.bit_different[run_id] = f"its scores are {scores}, undisturbed {truth.scores}"


Stretches = list[tuple[int, int, int]]
"""Attempt, first step, last step; the last attempt first."""


def _surviving(attempts: list[tuple[Any, ...]], steps: int) -> Stretches:
    """The way back from the end, by the traces alone: the attempt that saw the last step began at a step of which an earlier one saw a
    checkpoint, and so on to step 0."""
    seen = {number: traced_steps(Path(directory), token) for number, token, *_, directory in attempts}
    number, end, stretches = max((number for number in seen if steps in seen[number].saved), default=0), steps, []
    while number:
        first = seen[number].first
        stretches.append((number, first, end))
        if first == 0:
            break
        number, end = max((earlier for earlier in seen if earlier < number and first in seen[earlier].saved), default=0), first
    return stretches


def _steps_twice(attempts: list[tuple[Any, ...]], stretches: Stretches, steps: int) -> str | None:
    """In the store, useful seconds may be there for just the attempts that survive, from just their first steps."""
    if not stretches or stretches[-1][1] != 0:
        return f"the traces do not reach from step {steps} back to 0: {stretches}"
    counted = {number: first for number, _, first, *_rest in attempts if _rest[3] > 0}
    surviving = {number: first for number, first, last in stretches if last > first}
    if counted != surviving:
        return f"the store counts attempts from steps {counted}, the traces saw {surviving} survive"
    return None


@dataclass(frozen=True)
class Seen:
    """first: where an attempt began. saved: steps of which it committed a checkpoint; the first, if it began from one, is of another's."""

    first: int
    saved: frozenset[int]


def traced_steps(folder: Path, token: str) -> Seen:
    """Sum up an attempt by its own trace. A process that was killed between a commit and its line had committed all the same."""
    lines = _lines(folder, token)
    saved = {line["step"] for line in lines if line["kind"] == "checkpoint"}
    saved |= {int(path.stem.removeprefix("checkpoint-")) for path in folder.glob("checkpoint-[0-9]*.json")}  # of a program
    root = folder / "checkpoints"
    saved |= {int(path.stem) for path in root.glob("[0-9]*.json")}
    saved |= {int(path.name) for path in root.glob("[0-9]*") if (path / "manifest.json").exists()}
    first = lines[-1]["first_step"] if lines else 0  # each line says it: a full disk costs any of them, the first as well
    return Seen(first, frozenset(saved))


def _lines(folder: Path, token: str) -> list[dict[str, Any]]:
    return [line for line in traced(folder) if line["token"] == token]


def _result(folder: Path) -> dict[str, Any] | None:
    try:
        return json.loads((folder / "result.json").read_text())
    except (OSError, ValueError):
        return None
