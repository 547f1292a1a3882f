"""`scaling pause`, `resume`, `cancel`, `retry`, `priority`: requests to runs; and `exclude`: which runs no fit may use."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from scaling.cli.options import Db, Experiment

if TYPE_CHECKING:
    from orchestrator.store import Store

__all__ = [
    "CANCEL_EXAMPLES",
    "EXCLUDE_EXAMPLES",
    "PAUSE_EXAMPLES",
    "PRIORITY_EXAMPLES",
    "RESUME_EXAMPLES",
    "RETRY_EXAMPLES",
    "cancel_command",
    "exclude_command",
    "pause_command",
    "priority_command",
    "resume_command",
    "retry_command",
]

_EXAMPLES = """
scaling {0} 3fa9 81c0             # two runs, by the beginnings of their ids

scaling {0} --experiment digits   # all of it that this makes sense for

scaling {0} --all
"""
PAUSE_EXAMPLES, RESUME_EXAMPLES, CANCEL_EXAMPLES, RETRY_EXAMPLES = map(_EXAMPLES.format, ("pause", "resume", "cancel", "retry"))

PRIORITY_EXAMPLES = """
scaling priority 10 3fa9               # before all runs of lower priority; 0 is usual, negative waits
"""

EXCLUDE_EXAMPLES = """
scaling exclude 3fa9 --reason "loader was broken"   # no fit uses it; every fit lists it with this reason

scaling exclude 3fa9 --undo
"""

_WAIT_SECONDS = 20.0

Runs = Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="Ids, or the beginnings of them.")]
All = Annotated[bool, typer.Option("--all", help="Every run of the store.")]


def pause_command(runs: Runs = None, experiment: Experiment = None, everything: All = False, db: Db = "scaling.db") -> None:
    """Hold runs back: one that trains checkpoints first and gives its devices to others. `scaling resume` lets it go on."""
    _steer("pause", runs, experiment, everything, db)


def resume_command(runs: Runs = None, experiment: Experiment = None, everything: All = False, db: Db = "scaling.db") -> None:
    """Let paused runs go on from their last checkpoint."""
    _steer("resume", runs, experiment, everything, db)


def cancel_command(runs: Runs = None, experiment: Experiment = None, everything: All = False, db: Db = "scaling.db") -> None:
    """Take runs out of the grid for good; what they cost stays in the ledger. `scaling retry` takes it back."""
    _steer("cancel", runs, experiment, everything, db)


def retry_command(runs: Runs = None, experiment: Experiment = None, everything: All = False, db: Db = "scaling.db") -> None:
    """Try again what failed, was stopped or cancelled, from its last checkpoint. A diverged run would diverge again."""
    _steer("retry", runs, experiment, everything, db)


def priority_command(
    priority: Annotated[int, typer.Argument(help="Higher goes first; 0 is usual.")],
    runs: Runs = None,
    experiment: Experiment = None,
    everything: All = False,
    db: Db = "scaling.db",
) -> None:
    """Change which runs go first. What trains now is not interrupted."""
    _steer("priority", runs, experiment, everything, db, priority=priority)


def exclude_command(
    run: Annotated[str, typer.Argument(help="A run's id, or the beginning of it.")],
    reason: Annotated[str | None, typer.Option("--reason", help="Why; shown in every fit.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Let fits use it again.")] = False,
    db: Db = "scaling.db",
) -> None:
    """Leave a run out of every fit, with a reason that each fit shows. Nothing is deleted."""
    from orchestrator.store import Store, queries, steering
    from scaling.cli.output import messages
    from scaling.errors import UsageError

    if undo == (reason is not None):
        raise UsageError("give --reason to exclude a run, or --undo to take that back", hint='e.g. --reason "loader was broken"')
    store = Store.open_existing(db)
    with store.write() as session:
        run_id = queries.run_id(session, run)
        steering.include(session, run_id) if reason is None else steering.exclude(session, run_id, reason)
    messages().print(f"{run_id}: {'fits use it again' if undo else f'left out of fits: {reason}'}", highlight=False)


def _steer(
    kind: str, runs: list[str] | None, experiment: str | None, everything: bool, db: str, *, priority: int | None = None
) -> None:
    from orchestrator.store import Store, steering
    from scaling.cli.output import messages

    store = Store.open_existing(db)
    with store.write() as session:
        asked = steering.ask_by_name(
            session, steering.Steer(kind), runs=runs or (), experiment=experiment, everything=everything, priority=priority
        )
    messages().print(_outcome(store, asked, kind), highlight=False)


def _outcome(store: Store, asked: int, kind: str) -> str:
    """Wait until a request is carried out, and return its result in words; or say what it waits for."""
    from orchestrator.store import queries, steering

    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        with store.read() as session:
            result, scheduler = steering.result_of(session, asked), queries.scheduler(session)
        if result is not None:
            return result
        if scheduler is None:
            return f"asked for; no scheduler is at work, and the next one does it (`scaling submit`): {kind}"
        if time.monotonic() > deadline:
            return f"asked for; done once the scheduler gets to it (`scaling status`): {kind}"
        time.sleep(0.2)
