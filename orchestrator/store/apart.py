"""Writes what belongs to one attempt apart from the rest of a transaction, so that what the store refuses of it costs no other one anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError, StatementError
from sqlalchemy.orm import Session

__all__ = ["FAULTS_OF_DATA", "Unstorable", "apart"]

FAULTS_OF_DATA = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, AssertionError)
"""What Python raises for a value that is not as it should be. SQLite's driver raises OverflowError itself, for a number of more than 64 bits."""

_REFUSALS = (IntegrityError, DataError, ProgrammingError, NotSupportedError)
"""What a database raises for what it is asked to write. The others say that it cannot write: its disk is full, it is locked, it is gone."""


class Unstorable(Exception):
    """Reports that the store refuses a value, which nothing but the one who told it can change."""


@contextmanager
def apart(session: Session) -> Iterator[None]:
    """Make a savepoint for the body: what it writes stays, or is undone when it raises, and the transaction goes on in both cases.

    Raises `Unstorable` where what it wrote is at fault; other exceptions, such as those of a full disk, pass through.
    """
    savepoint = session.begin_nested()
    try:
        yield
        savepoint.commit()
    except BaseException as error:
        try:
            savepoint.rollback()
        except DBAPIError:
            raise error from None  # there is no transaction any more: SQLite ends it where the disk is full
        if (cause := _fault_of_data(error)) is not None:
            raise Unstorable(f"{type(cause).__name__}: {cause}".splitlines()[0][:200]) from error
        raise


def _fault_of_data(error: BaseException) -> BaseException | None:
    """Return what was wrong with what was written; None for an error that has other causes."""
    if isinstance(error, DBAPIError):
        return error.orig if isinstance(error, _REFUSALS) and not error.connection_invalidated else None
    if isinstance(error, StatementError):  # a value that SQLAlchemy could not turn into one of the database's
        return error.orig
    return error if isinstance(error, FAULTS_OF_DATA) else None
