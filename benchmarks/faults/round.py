"""One round: a grid of its own is submitted, struck while it is worked on, submitted again until every run has ended, and judged."""

from __future__ import annotations

import random
import signal
import sqlite3
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.faults.judge import Truth, Verdict, judge
from benchmarks.faults.kinds import KINDS, Strike
from benchmarks.faults.world import World, traced

__all__ = ["Played", "play", "truths_of_rehearsals", "truths_of_runs"]

_POLL_SECONDS = 0.03
_PATIENCE_SECONDS = 240.0
"""After the last strike, a round that has not ended by then has lost its runs."""


@dataclass(frozen=True)
class Played:
    """A round that is over. goodput: useful seconds over all that its attempts were charged for steps; wall_seconds: from first submit to last end."""

    strikes: list[Strike]
    verdict: Verdict
    runs: int
    wall_seconds: float
    goodput: float


def play(
    world: World,
    *,
    seed: int,
    truths: dict[str, Truth],
    per_minute: float,
    kinds: list[str] | None = None,
    in_turn: bool = False,
    most: int | None = None,
    extra: dict[str, str] | None = None,
) -> Played:
    """`world.file` is the round's grid. per_minute: strikes, on average. kinds: draw from these alone. in_turn: each of them once, when the one before has healed.
    most: how many strikes at most."""
    chance, strikes, pending = random.Random(seed), [], []
    weights = {name: weight for name, (weight, _) in KINDS.items()}
    drawn = (
        {name: weights[name] or 1.0 for name in kinds} if kinds else {name: weight for name, weight in weights.items() if weight}
    )
    started = time.monotonic()
    due = started + 1.0 if per_minute else float("inf")
    world.commands.clear()
    _forget_others(world)
    last, standby = started, started
    while time.monotonic() - last < _PATIENCE_SECONDS:
        now = time.monotonic()
        with suppress(sqlite3.Error):
            ended = world.has_store and _all_ended(world, truths)
            others = [db for db in world.others if not (db.exists() and _all_ended(world, truths, db))]
            for db in others:
                world.submit_other(db)
            if not world.living():
                _disarm(world)
                if ended and not others:
                    break
            if len(world.living()) < 2 and not ended and now > standby:
                world.submit(**(extra or {}))  # one schedules, one waits for it to go
                standby = now + 3.0
            if now > due and drawn and len(strikes) != most and not (in_turn and pending) and not ended and world.attempts():
                name = next(iter(drawn)) if in_turn else chance.choices(list(drawn), list(drawn.values()))[0]
                strike = None
                with suppress(OSError):  # who was to be struck is gone
                    strike = KINDS[name][1](world, chance)
                if strike is not None:
                    pending.append(strike)
                    strikes.append(strike)
                    if in_turn:
                        del drawn[name]
                    last = time.monotonic()
                    due = time.monotonic() + (0.0 if in_turn else chance.expovariate(per_minute / 60.0))
                else:
                    due = now + 0.1
            for strike in list(pending):
                _watch(world, strike)
                if strike.resumed is not None:
                    pending.remove(strike)
        time.sleep(_POLL_SECONDS)
    wall_seconds = time.monotonic() - started
    for process in world.living():
        process.send_signal(signal.SIGCONT)
        with suppress(Exception):
            process.wait(timeout=20)
    unsprung = [strike for strike in strikes if strike.trap is not None and strike.trap.exists()]
    _disarm(world)
    verdict = judge(world, truths)
    for db in world.others:
        verdict.add(judge(world, truths, db=db))
    return Played(
        [strike for strike in strikes if strike not in unsprung], verdict, len(truths), wall_seconds, _goodput(world, truths)
    )


def _watch(world: World, strike: Strike) -> None:
    """Note when the store knew that the struck attempts are over, and when the first of their runs went on, by its trace."""
    if strike.trap is not None:
        struck = strike.trap.with_suffix(".struck")
        if strike.trap.exists() or not struck.exists():
            return
        with suppress(ValueError):
            strike.at = struck.stat().st_mtime - time.time() + time.monotonic()
            pid = int(struck.read_text())
            found = world.attempt_of(pid)
            strike.attempts = [found] if found else []
            strike.scheduler = None if found else pid
        struck.unlink(missing_ok=True)
        strike.trap = None
    if strike.scheduler is not None:
        over, writes = world.taken_over(strike.scheduler, time.time() - time.monotonic() + strike.at)
        if over or not world.open_runs():
            strike.detected = strike.detected or time.monotonic()
        if writes or not world.open_runs():
            strike.resumed = time.monotonic()
        return
    if not strike.attempts:
        if strike.resumed is None and (world.attempts() or not world.open_runs()):  # somebody is at work
            strike.detected = strike.resumed = time.monotonic()
        return
    if strike.detected is None and all(world.has_ended(*attempt) for attempt in strike.attempts):
        strike.detected = time.monotonic()
    if strike.detected is not None and any(world.goes_on(*attempt) for attempt in strike.attempts):
        strike.resumed = time.monotonic()


def _disarm(world: World) -> None:
    for file in world.traps.iterdir():
        file.unlink(missing_ok=True)


def _forget_others(world: World) -> None:
    """Other stores are of one round."""
    for db, process in world.others.items():
        process.kill()
        process.wait()
        for path in db.parent.glob(f"{db.name}*"):
            path.unlink()
    world.others.clear()


def _all_ended(world: World, truths: dict[str, Truth], db: Path | None = None) -> bool:
    """Every run of the round has a final status, and one that failed for a fault's sake has been tried again."""
    with world.opened(db) as store:
        statuses = dict(store.execute("SELECT id, status FROM runs"))
    return all(statuses.get(run_id) in ("finished", "diverged", "cancelled", "stopped") for run_id in truths)


def _goodput(world: World, truths: dict[str, Truth]) -> float:
    with world.opened() as store:
        marks = ",".join("?" * len(truths))
        useful, redone = store.execute(
            f"SELECT sum(useful_seconds), sum(redone_seconds) FROM attempts WHERE run_id IN ({marks})", list(truths)
        ).fetchone()
    return (useful or 0.0) / max(1e-9, (useful or 0.0) + (redone or 0.0))


def truths_of_rehearsals(file: Path) -> dict[str, Truth]:
    """What a rehearsal itself says of each run of a file, at once and undisturbed."""
    from orchestrator.experiments_file import read_spec
    from orchestrator.planning.plan import make_plan
    from scaling.accelerators import core_hours
    from trainer.events import Event
    from trainer.rehearsal import rehearse

    plan = make_plan(*read_spec(file, simulate=True))
    found = {}
    with tempfile.TemporaryDirectory(prefix="flt-truth-") as name:
        for run in plan.runs:
            events: list[Event] = []
            step_seconds = run.estimated_seconds / run.steps
            result = rehearse(
                run.config,
                params=run.params,
                step_seconds=step_seconds,
                speed=1e15,
                directory=Path(name) / run.id,
                on_event=events.append,
            )
            cost = core_hours(plan.resources.cores, run.steps * step_seconds)
            found[run.id] = Truth(str(result.outcome), result.val_loss, events[-1]["digest"], cost)
    return found


def truths_of_runs(world: World) -> dict[str, Truth]:
    """What a round that nobody struck came to."""
    with world.opened() as store:
        rows = store.execute(
            "SELECT r.id, r.status, r.val_loss, r.steps, r.scores, a.directory FROM runs r JOIN attempts a ON a.run_id = r.id AND a.ended_at IS NOT NULL"
        ).fetchall()
    found = {}
    for run_id, status, val_loss, steps, scores, directory in rows:
        lines = traced(Path(directory))
        digest = next((line["digest"] for line in lines if line["kind"] == "checkpoint" and line["step"] == steps), None)
        found[run_id] = Truth(status, val_loss, digest, None, scores)
    return found


def row_of(strike: Strike, **fields: Any) -> dict[str, Any]:
    """A strike as a row of the table of faults."""
    told = asdict(strike)
    runs = sorted({run_id for run_id, _ in strike.attempts})
    seconds = {
        "detect_seconds": None if told["detected"] is None else round(told["detected"] - told["at"], 3),
        "resume_seconds": None if told["resumed"] is None else round(told["resumed"] - told["at"], 3),
    }
    return {**fields, "kind": strike.kind, "runs": " ".join(runs), **seconds}
