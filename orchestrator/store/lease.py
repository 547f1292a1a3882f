"""Allows one scheduler a store, by a lease that is taken, renewed and given back by compare-and-set."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from orchestrator.store.models import Lease, now

__all__ = ["LEASE_SECONDS", "Watch", "holds", "is_over", "new_holder", "release", "renew", "standing", "take"]

LEASE_SECONDS = 15.0
"""How long a scheduler may be silent before another one may take over. Renewed at a third of it."""

_NAME = "scheduler"


class Watch:
    """Measures how long a lease has not been renewed, by the monotonic clock of the process that waits for it.

    Clocks of machines differ and are set: comparing `expires_at` with this machine's time would end a lease that is renewed every five
    seconds, or keep one for hours whose holder is gone.

    away: returns how long the store itself has been out of reach so far, in seconds. Nobody could renew meanwhile, so that time does not
    count.
    """

    def __init__(self, away: Callable[[], float] = lambda: 0.0) -> None:
        self._away = away
        self._seen: tuple[str, datetime] | None = None
        self._since = 0.0

    def is_silent(self, lease: Lease) -> bool:
        """Say whether the lease was seen unchanged for more than `LEASE_SECONDS`."""
        sign, at = (lease.holder, lease.expires_at), time.monotonic() - self._away()
        if sign != self._seen:
            self._seen, self._since = sign, at
        return at - self._since > LEASE_SECONDS


def new_holder() -> str:
    """Make a name for one life of a scheduler: host and 8 random hex digits."""
    return f"{socket.gethostname()}-{secrets.token_hex(4)}"


def take(session: Session, holder: str, watch: Watch | None = None) -> bool:
    """Take the lease and say whether that worked.

    It does if the lease is free, if its holder was a process of this machine that is gone, or if `watch` has seen it silent too long.
    """
    ours = {"holder": holder, "host": socket.gethostname(), "pid": os.getpid(), "acquired_at": now(), "expires_at": _later()}
    lease = session.get(Lease, _NAME)
    if lease is None:
        try:
            with session.begin_nested():
                session.add(Lease(name=_NAME, **ours))
        except IntegrityError:  # somebody else was first
            return False
        _mark(session)
        return True
    if lease.holder != holder and not _is_gone(lease) and not (watch and watch.is_silent(lease)):
        return False
    as_seen = (Lease.name == _NAME) & (Lease.holder == lease.holder) & (Lease.expires_at == lease.expires_at)
    taken = session.execute(update(Lease).where(as_seen).values(**ours)).rowcount == 1  # type: ignore[attr-defined]
    if taken:
        _mark(session)
    return taken


def renew(session: Session, holder: str) -> bool:
    """Extend the lease. Returns False when another scheduler holds it: then this one must stop writing.

    Raises `StoreError` when an older state was copied over the database since; see `orchestrator.store.marks`.
    """
    _mark(session)
    renewed = session.execute(update(Lease).where(Lease.name == _NAME, Lease.holder == holder).values(expires_at=_later()))
    return renewed.rowcount == 1  # type: ignore[attr-defined]


def holds(session: Session, holder: str) -> bool:
    """Say whether `holder` still has the lease. A scheduler asks in every transaction: after a pause of its process it does not know."""
    return session.scalar(select(Lease.holder).where(Lease.name == _NAME)) == holder


def standing(session: Session) -> Lease | None:
    """Return the lease as it was last written, whether its holder lives or not; None when it was given back."""
    return session.get(Lease, _NAME)


def is_over(lease: Lease) -> bool:
    """Say whether no scheduler can be at work under the lease: its holder was a process of this machine that is gone, or it has expired.

    A reader has no time to watch it, so the clocks of machines count here. A scheduler that wants to take it over watches it: `take`.
    """
    return _is_gone(lease) or lease.expires_at < now()


def release(session: Session, holder: str) -> None:
    """Give the lease back, if `holder` still has it.

    Raises as `renew`: a command that has lost what it wrote must not end as if it had not.
    """
    if (marks := session.info.get("marks")) is not None:
        marks.check()
    lease = session.get(Lease, _NAME)
    if lease is not None and lease.holder == holder:
        session.delete(lease)
        session.flush()


def _mark(session: Session) -> None:
    if (marks := session.info.get("marks")) is not None:
        marks.advance(session)


def _later() -> datetime:
    return now() + timedelta(seconds=LEASE_SECONDS)


def _is_gone(lease: Lease) -> bool:
    if lease.host != socket.gethostname():
        return False
    try:
        os.kill(lease.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
