"""Writes down what attempts told. An event that the store refuses ends its attempt alone, whoever heard it: the scheduler, or a recovery."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from orchestrator.scheduling.attempt import AttemptLog, Ending
from orchestrator.store import Session, ledger
from orchestrator.store.apart import Unstorable, apart
from scaling.errors import StaleToken
from scaling.outcomes import RunStatus

__all__ = ["end", "settle"]

_logger = logging.getLogger(__name__)


def settle(session: Session, attempts: Iterable[AttemptLog]) -> None:
    """Write down the progress of attempts. The `ending` of one whose progress the store refuses says so afterwards.

    All of them share a savepoint, which is quicker. Only where the store refuses something, each is tried again in one of its own.
    """
    told = [attempt for attempt in attempts if not attempt.is_refused]
    try:
        _write(session, told)
    except Unstorable:
        for attempt in told:
            try:
                _write(session, [attempt])
            except Unstorable as error:
                attempt.refuse(str(error))


def _write(session: Session, attempts: Sequence[AttemptLog]) -> None:
    with apart(session):
        for attempt in attempts:
            attempt.write_progress(session)
    for attempt in attempts:
        attempt.written()


def end(session: Session, attempt: AttemptLog, ending: Ending) -> RunStatus | None:
    """End an attempt in the ledger. Returns its run's status; None where the run has gone on without it.

    `attempt.ending` is this ending afterwards, or, where the store refuses it, another one that says so.
    """
    attempt.ending, token = ending, attempt.grant.token
    try:
        with apart(session):
            return ledger.end_attempt(session, token, **ending.as_arguments())
    except Unstorable as error:
        return ledger.end_attempt(session, token, **attempt.refuse(str(error)).as_arguments())
    except StaleToken:
        _logger.warning("attempt %s had been given up; its result does not count", attempt.grant.folder)
        return None
