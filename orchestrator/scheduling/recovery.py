"""After a scheduler died: close what it left open, from what its attempts wrote in their own folders.

An attempt spools its events to `events.jsonl` whether anybody listens or not. Replaying them does what hearing them live would have done:
a run that finished while nobody listened is finished, and one that checkpointed goes on from there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from orchestrator.messages import Message
from orchestrator.scheduling.attempt import AttemptLog
from orchestrator.scheduling.settling import end, settle
from orchestrator.store import Session, handover
from orchestrator.store.apart import FAULTS_OF_DATA

__all__ = ["recover", "spooled_events"]


def recover(session: Session, *, scheduler: str) -> None:
    """Close every attempt and allocation that a scheduler other than this one left open and whose worker was not taken over.

    Call it under the lease: the other scheduler is gone, and its attempts' tokens are revoked here.
    """
    for attempt, run in handover.orphans(session, scheduler=scheduler):
        log = AttemptLog.reopened(attempt, run)
        for message in spooled_events(Path(attempt.directory), attempt.token):
            log.take(message)
        settle(session, [log])
        end(session, log, log.ending or log.orphaned("its scheduler ended before it did"))
    handover.close_allocations(session, scheduler=scheduler)


def spooled_events(directory: Path, token: str) -> Iterator[Message]:
    """Yield what the attempt of this token wrote in its folder, in order; a last line that was cut off in writing is left out."""
    try:
        lines = (directory / "events.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            content = json.loads(line)
            if not isinstance(content, dict):
                return
            if content.get("token") == token:
                yield Message.from_dict(content)
        except (*FAULTS_OF_DATA, RecursionError):
            return
