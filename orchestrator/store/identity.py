"""The store's id: the folder in SCALING_HOME under which its attempts write, `<home>/<store id>/<run>/<attempt>`.

Runs are the same runs in every store, and attempts are counted from 1. So without an id two stores in one home would write to the same
folders. A random id alone would not do: a copy of a database has all that the database has. So the id is bound to where the database is:
device and inode of the file, or the server's own number with that of the database. Whoever schedules from another place gets a new id.
The database was copied, restored or moved to another disk, and these cannot be told apart. Taking it for a copy costs no more than the
old id.

Attempts keep the id they were begun under, so their folders are found under an earlier id, or in a home of versions without ids.
"""

from __future__ import annotations

import os
import secrets

from sqlalchemy import Connection, func, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from orchestrator.store.engine import sqlite_path
from orchestrator.store.models import Allocation, StoreId

__all__ = ["claim"]


def claim(session: Session) -> str:
    """Return the store's id, 12 hex digits; make a new one when the latest was made for another place. Call it under the scheduler's lease.

    In another place the workers that are left on a cluster are not this store's: a copy's original may be using them, or may take them
    over. They end their current attempts, and leave when nobody has asked them for a while.
    """
    place = _place(session)
    latest = session.scalar(select(StoreId).order_by(StoreId.number.desc()).limit(1))
    if latest is not None and latest.place == place:
        return latest.id
    number = (session.scalar(select(func.max(StoreId.number))) or 0) + 1
    session.add(found := StoreId(number=number, id=secrets.token_hex(6), place=place))
    if latest is not None:
        session.execute(update(Allocation).where(Allocation.ended_at.is_(None)).values(worker=None))
    session.flush()
    return found.id


def _place(session: Session) -> str:
    connection = session.connection()
    if (path := sqlite_path(connection.engine.url)) is not None:
        found = os.stat(path)
        return f"file {found.st_dev}:{found.st_ino}"
    if connection.dialect.name == "postgresql":
        return _place_on_server(connection)
    return connection.engine.url.render_as_string()


def _place_on_server(connection: Connection) -> str:
    """Identify the database by the server's own number and its own; by the server's address where users may not ask for the number."""
    database = connection.exec_driver_sql("SELECT oid FROM pg_database WHERE datname = current_database()").scalar()
    try:
        with connection.begin_nested():
            server = connection.exec_driver_sql("SELECT system_identifier FROM pg_control_system()").scalar()
    except DBAPIError:
        server = connection.engine.url.host
    return f"server {server} database {database}"
