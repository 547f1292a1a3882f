"""After a scheduler died: close what it left open, from what its attempts wrote in their own folders.

An attempt spools its events to `events.jsonl` whether anybody listens or not. Replaying them does what hearing them live would have done: a run that finished while nobody listened is finished, and one that checkpointed goes on from there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.attempt import AttemptLog
from orchestrator.messages import Message
from orchestrator.store import ledger
from orchestrator.store.models import Allocation, Attempt, Run, now

__all__ = ["recover", "spooled_events"]


def recover(session: Session, *, scheduler: str) -> None:
    """Close every attempt and allocation that a scheduler other than this one left open and whose worker was not adopted.

    Call it under the lease: the other scheduler is gone, and its attempts' tokens are revoked here.
    """
    for attempt in ledger.orphans(session, scheduler=scheduler):
        run = session.get(Run, attempt.run_id)
        assert run is not None
        if run.token != attempt.token:
            attempt.ended_at = now()
            continue
        log = AttemptLog.reopened(attempt, run)
        for message in spooled_events(Path(attempt.directory), attempt.token):
            log.take(message)
        log.write_progress(session)
        session.flush()
        ending = log.ending or log.orphaned("its scheduler ended before it did")
        ledger.end_attempt(session, attempt.token, **ending.as_arguments())
    for allocation in session.scalars(select(Allocation).where(Allocation.ended_at.is_(None), Allocation.scheduler != scheduler)):
        _close(session, allocation)


def spooled_events(directory: Path, token: str) -> Iterator[Message]:
    """What the attempt of this token wrote in its folder, in order; a last line that was cut off in writing is left out."""
    try:
        lines = (directory / "events.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            content = json.loads(line)
            if content.get("token") == token:
                yield Message.from_dict(content)
        except ValueError:
            return


def _close(session: Session, allocation: Allocation) -> None:
    """Held as long as its scheduler last wrote down, and at least as long as its attempts ran.

    Not by the times of day at which it was opened and last heard of: the clock may have jumped, and the worker may have waited for its devices.
    """
    charged = sum(
        attempt.charged_seconds for attempt in session.scalars(select(Attempt).where(Attempt.allocation_id == allocation.id))
    )
    allocation.ended_at, allocation.held_seconds = now(), max(allocation.held_seconds or 0.0, charged)
