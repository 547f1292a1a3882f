"""A store of many finished runs on a stated surface, for benchmarks of what reads it."""

from __future__ import annotations

import hashlib
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

__all__ = ["add_runs", "imported_store", "large_store", "run_rows"]

SIZES = {
    f"nano-{name}": round(14_000 * 1.9**number) for number, name in enumerate(("F0", "F1", "F2", "F3", "F4", "F5", "F6", "F7"))
}
RATES, SEEDS, EXAMPLES, BATCH = (0.2, 0.4, 0.8, 1.6, 3.2), 10, 50_000, 128
_BEGAN = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def run_rows(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Make rows of `runs`: eight sizes, five rates and ten seeds at each of as many epoch budgets as it takes.

    Losses follow a power law with a floor in size and examples, a parabola in the log of the rate, and a scatter of 2 %.
    """
    from orchestrator.resources import Resources, RunOptions

    names, cells = list(SIZES), len(SIZES) * len(RATES) * SEEDS
    rows = []
    for number in range(first, first + count):
        place, budget = number % cells, number // cells
        model = names[place % len(names)]
        rate, seed = RATES[place // len(names) % len(RATES)], place // len(names) // len(RATES)
        epochs = round(0.5 * 1.19**budget, 3) if budget < 60 else 0.5 + budget
        seen, params = round(epochs * EXAMPLES), SIZES[model]
        steps, flops = math.ceil(seen / BATCH), 180.0 * params * seen
        best = 1.2 * epochs**-0.25
        noise = random.Random(number).gauss(0, 0.02)
        loss = (0.06 + 18.0 * params**-0.45 + 9.0 * seen**-0.35) * (1 + 0.05 * math.log(rate / best) ** 2) * math.exp(noise)
        diverged = number % 97 == 96
        hours = flops / 4e13 * (1 + 0.03 * random.Random(-number).gauss(0, 1))
        ended = _BEGAN + timedelta(seconds=40 * number)
        rows.append(
            {
                "id": hashlib.sha256(str(number).encode()).hexdigest()[:16],
                "family": "nfnet",
                "model": model,
                "dataset": "made",
                "epochs": epochs,
                "learning_rate": rate,
                "batch_size": BATCH,
                "seed": seed,
                "weight_decay": 2e-5,
                "config": {"model": {"family": "nfnet", "name": model}, "schedule": {"kind": "cosine", "epochs": epochs}, "filler": "x" * 900},
                "shape": f"shape-{model}",
                "resources": Resources("cpu", 1),
                "options": RunOptions(),
                "params": params,
                "steps": steps,
                "step": steps,
                "examples_seen": seen,
                "unique_examples": min(seen, EXAMPLES),
                "train_flops": flops,
                "estimated_core_hours": flops / 4e13,
                "status": "diverged" if diverged else "finished",
                "reason": "the training loss is nan at step 9" if diverged else "",
                "accelerator": "cpu",
                "cores": 1,
                "core_hours": hours,
                "allocated_core_hours": 1.2 * hours,
                "val_loss": None if diverged else loss,
                "val_top1": None if diverged else math.exp(-loss),
                "val_top5": None if diverged else math.exp(-loss / 3),
                "train_loss": None if diverged else 0.9 * loss,
                "chance_loss": math.log(10),
                "created_at": _BEGAN + timedelta(seconds=number / 1000),
                "ended_at": ended,
            }
        )  # fmt: skip
    return rows


def large_store(path: Path, count: int) -> None:
    """Make a store with so many runs of one experiment."""
    from orchestrator.store import Store
    from orchestrator.store.grid import accept

    with Store.open(str(path)) as store, store.write() as session:
        accept(session, name="made", file="made.yaml", text="name: made\n", resolved={"name": "made"}, shared={}, runs=[])
        add_runs(session, run_rows(count))


def imported_store(path: Path, count: int) -> None:
    """Make a store with so many runs of an experiment `made` that were imported from a table."""
    import pandas as pd

    from orchestrator.imports import import_runs
    from scaling.columns import COLUMNS

    table = path.with_name("made.csv")
    rows = pd.DataFrame(run_rows(count))
    rows[[name for name in rows if name in COLUMNS]].to_csv(table, index=False)
    import_runs(table, experiment="made", db=str(path))


def add_runs(session: Any, rows: list[dict[str, Any]]) -> None:
    """Add rows of `run_rows` to the store, wanted by the experiment, with an attempt each, as they are left when their runs are over."""
    from sqlalchemy import insert, select

    from orchestrator.store.ledger import open_allocation
    from orchestrator.store.models import Attempt, Experiment, ExperimentRun, Run

    experiment = session.scalar(select(Experiment.id))
    allocation = open_allocation(session, scheduler="made", shape="any", accelerator="cpu", cores=1)
    session.flush()
    session.execute(insert(Run), rows)
    session.execute(insert(ExperimentRun), [{"experiment_id": experiment, "run_id": row["id"], "added_in": 1} for row in rows])
    attempts = [
        {
            "run_id": row["id"],
            "number": 1,
            "token": row["id"] + row["id"],
            "allocation_id": allocation,
            "directory": "made",
            "accelerator": "cpu",
            "cores": 1,
            "started_at": row["created_at"],
            "ended_at": row["ended_at"],
            "outcome": row["status"],
            "last_step": row["step"],
            "useful_seconds": 3600 * row["core_hours"],
        }
        for row in rows
    ]
    session.execute(insert(Attempt), attempts)
