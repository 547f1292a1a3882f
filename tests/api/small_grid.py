"""A small grid of runs on known surfaces, written to a store the way a scheduler writes them."""

from __future__ import annotations

import hashlib
import math
import random
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestrator.resources import Resources, RunOptions
from orchestrator.store import Store
from orchestrator.store.grid import accept
from orchestrator.store.ledger import Charge, begin_attempt, end_attempt, open_allocation, record
from orchestrator.store.models import Lease, now
from scaling.outcomes import AttemptOutcome

MODELS = {"nano-F0": 14_210, "nano-F1": 27_034, "nano-F3": 52_682}
EPOCHS = (1, 2, 4, 8, 16)
SEEDS = (0, 1)
EXAMPLES = 1_347
BATCH = 64
RATES = (0.4, 0.8, 3.2)
"""Rates that nano-F0 tries at three budgets besides the 1.6 of all runs."""

_CREATED = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def run_row(model: str, epochs: float, seed: int, *, learning_rate: float = 1.6, number: int = 0) -> dict[str, object]:
    """What `grid.accept` takes, for a run of the small grid."""
    key = f"{model} {epochs} {seed} {learning_rate} {number}"
    seen = round(epochs * EXAMPLES)
    return {
        "id": hashlib.sha256(key.encode()).hexdigest()[:16],
        "family": "nfnet",
        "model": model,
        "dataset": "digits",
        "epochs": float(epochs),
        "learning_rate": learning_rate,
        "batch_size": BATCH,
        "seed": seed,
        "config": {"model": {"family": "nfnet", "variant": model}, "schedule": {"kind": "cosine", "epochs": epochs}, "seed": seed},
        "shape": f"shape-{model}",
        "resources": Resources("cpu", 1),
        "options": RunOptions(),
        "params": MODELS[model],
        "steps": math.ceil(seen / BATCH),
        "examples_seen": seen,
        "unique_examples": min(seen, EXAMPLES),
        "train_flops": 6.0 * 30 * MODELS[model] * seen,
        "estimated_core_hours": _seconds(model, epochs) / 3600,
        "created_at": _CREATED + timedelta(seconds=number),
    }


def val_loss(model: str, epochs: float, seed: int, learning_rate: float = 1.6) -> float:
    """Big models win at big budgets; in the log of the rate a parabola, whose minimum falls as epochs^-0.4."""
    best_rate = 2.4 * epochs**-0.4
    noise = random.Random(f"{model} {epochs} {seed}").gauss(0, 0.02)
    base = 0.9 * (MODELS[model] / 14_210) ** -0.45 + 2.2 * (MODELS[model] / 14_210) ** 0.15 * epochs**-0.85
    return 0.3 * base * (1 + 0.05 * math.log(learning_rate / best_rate) ** 2) * math.exp(noise)


def _seconds(model: str, epochs: float) -> float:
    return 0.9 * epochs * (MODELS[model] / 14_210) ** 0.9


def fill(path: Path) -> None:
    """Write the grid to a new store. Made once for each truth: the ledger of 43 runs takes half a second of a processor."""
    if (val_loss, _seconds) not in _filled:
        with tempfile.TemporaryDirectory() as folder:
            _fill(Path(folder) / "scaling.db")
            _filled[val_loss, _seconds] = (Path(folder) / "scaling.db").read_bytes()
    path.write_bytes(_filled[val_loss, _seconds])


_filled: dict[tuple[object, object], bytes] = {}
"""The files, by the functions that say what the runs came to: a test may put others in their place."""


def _fill(path: Path) -> None:
    """3 models × 5 budgets × 2 seeds and a learning-rate grid, one run of which diverged, one failed, one runs and one waits."""
    grid = [run_row(model, epochs, seed, number=n) for n, (model, epochs, seed) in enumerate(_grid())]
    sweep = [
        run_row("nano-F0", e, 0, learning_rate=r, number=100 + n)
        for n, (e, r) in enumerate((e, r) for e in (1, 4, 16) for r in RATES)
    ]
    failed = run_row("nano-F3", 16, 2, number=200)
    diverged = run_row("nano-F1", 4, 0, learning_rate=12.8, number=201)
    running = run_row("nano-F3", 16, 3, number=202)
    waiting = run_row("nano-F3", 16, 4, number=203)
    everything = [*grid, *sweep, failed, diverged, running, waiting]
    with Store.open(str(path)) as store, store.write() as session:
        accept(
            session,
            name="digits",
            file="experiments.yaml",
            text="name: digits\nmodels: [nano-F0, nano-F1, nano-F3]\nepochs: [1, 2, 4, 8, 16]\n",
            resolved={"name": "digits"},
            shared={},
            runs=everything,
        )
        accept(
            session,
            name="first-look",
            file="look.yaml",
            text="name: first-look\n",
            resolved={"name": "first-look"},
            shared={},
            runs=grid[:2],
        )
        allocation = open_allocation(session, scheduler="test", shape="any", accelerator="cpu", cores=1)
        for row in [*grid, *sweep]:
            _finish(session, row, allocation)
        _end(session, failed, allocation, AttemptOutcome.RAISED, "ValueError: labels outside 0 … 9", last_step=3)
        _end(session, diverged, allocation, AttemptOutcome.DIVERGED, "the training loss is nan at step 9 of 85", last_step=9)
        grant = begin_attempt(session, str(running["id"]), allocation_id=allocation, home="scaling-runs")
        record(
            session,
            grant.token,
            step=20,
            train_loss=1.2,
            place={"host": "here"},
            metrics=[(10, "train_loss", 1.9), (20, "train_loss", 1.2)],
        )


def begin(path: Path, finished: int = 2) -> None:
    """The same grid soon after it was submitted: some runs have finished, one is at half of its steps, and nobody knows the others."""
    rows = [run_row(model, epochs, seed, number=n) for n, (model, epochs, seed) in enumerate(_grid())]
    with Store.open(str(path)) as store, store.write() as session:
        accept(
            session,
            name="digits",
            file="experiments.yaml",
            text="name: digits\n",
            resolved={"name": "digits"},
            shared={},
            runs=rows,
        )
        allocation = open_allocation(session, scheduler="test", shape="any", accelerator="cpu", cores=1)
        for row in rows[:finished]:
            _finish(session, row, allocation)
        grant = begin_attempt(session, str(rows[finished]["id"]), allocation_id=allocation, home="scaling-runs")
        record(session, grant.token, step=int(rows[finished]["steps"]) // 2, train_loss=1.2, place={"host": "here"}, metrics=[])


def lead(path: Path) -> None:
    """Let a scheduler of another machine be at work on the store for a day."""
    with Store.open(str(path)) as store, store.write() as session:
        session.add(
            Lease(name="scheduler", holder="test", host="elsewhere", pid=1, acquired_at=now(), expires_at=now() + timedelta(days=1))
        )


def _grid() -> Iterator[tuple[str, int, int]]:
    return ((model, epochs, seed) for model in MODELS for epochs in EPOCHS for seed in SEEDS)


def _finish(session, row, allocation):
    steps, loss = row["steps"], val_loss(row["model"], row["epochs"], row["seed"], row["learning_rate"])
    grant = begin_attempt(session, row["id"], allocation_id=allocation, home="scaling-runs")
    metrics = []
    for step in sorted({max(1, round(steps * part / 20)) for part in range(1, 21)}):
        metrics += [
            (step, "train_loss", 2.3 * math.exp(-3 * step / steps) + loss),
            (step, "learning_rate", row["learning_rate"] * (1 + math.cos(math.pi * step / steps)) / 2),
            (step, "examples_per_second", 2_000 + 40 * math.sin(step)),
            (step, "step_seconds", 64 / (2_000 + 40 * math.sin(step))),
            (step, "mfu", 0.05),
            (step, "input_stall", 0.02),
            (step, "memory_bytes", 432e6),
        ]
    metrics.append((0, "compile_seconds", 12.0))
    top1 = math.exp(-loss / 3)
    evaluation = {
        "step": steps,
        "split": "validation",
        "loss": loss,
        "top1": top1,
        "top5": top1**0.2,
        "examples": 450,
        "seconds": 0.1,
    }
    place = {"host": "here", "device": "cpu", "devices": 1, "threads": 1, "code_version": "0.1.0+abc1234"}
    record(session, grant.token, step=steps, place=place, metrics=metrics, evaluations=[evaluation])
    end_attempt(
        session,
        grant.token,
        outcome=AttemptOutcome.FINISHED,
        reason="",
        charge=Charge(useful=_seconds(row["model"], row["epochs"]), startup=0.6, evaluation=0.1, checkpoint=0.05),
        last_step=steps,
        result={"val_loss": loss, "val_top1": top1, "val_top5": top1**0.2, "train_loss": 0.9 * loss},
    )


def _end(session, row, allocation, outcome, reason, *, last_step):
    grant = begin_attempt(session, row["id"], allocation_id=allocation, home="scaling-runs")
    record(session, grant.token, step=last_step, metrics=[(1, "train_loss", 2.3), (last_step, "train_loss", None)])
    end_attempt(session, grant.token, outcome=outcome, reason=reason, charge=Charge(useful=0.2, startup=0.6), last_step=last_step)
