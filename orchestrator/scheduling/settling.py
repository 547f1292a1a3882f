"""Writes down what attempts told. An event that the store refuses ends its attempt alone, whoever heard it: the scheduler, or a recovery."""

from __future__ import annotations

import logging

from orchestrator.scheduling.attempt import AttemptLog, Ending
from orchestrator.store import Session, ledger
from orchestrator.store.apart import Unstorable, apart
from scaling.errors import StaleToken
from scaling.outcomes import RunStatus

__all__ = ["end", "settle"]

_logger = logging.getLogger(__name__)


def settle(session: Session, attempt: AttemptLog) -> None:
    """Write down the progress of an attempt. Its `ending` says afterwards that the store refused it."""
    if not attempt.is_refused:
        try:
            with apart(session):
                attempt.write_progress(session)
        except Unstorable as error:
            attempt.refuse(str(error))


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
