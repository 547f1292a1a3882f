"""Copies the folder of a plan's program for nodes that have not the same files, and says what of it is too much or was edited."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from orchestrator.experiments_file.program import folder_of
from orchestrator.planning.plan import Plan
from orchestrator.shipping import Shipment
from orchestrator.store import Store
from orchestrator.store.engine import sqlite_path, store_url
from orchestrator.store.grid import program_copies
from scaling.errors import UsageError

__all__ = ["remarks_on", "shipment_of", "shipped"]

_NAMED = 3


def shipment_of(plan: Plan, *, home: Path, db: str, address: str) -> Shipment | None:
    """Look at what would be copied of the folder of a plan's program; None for our own trainer.

    Raises `UsageError` where that is too much, and other nodes may need it. On this machine alone the folder itself is at hand.
    """
    if plan.spec.trainer is None:
        return None
    folder, command = folder_of(plan.document), plan.spec.trainer.command
    shipment = Shipment.of(folder, command, home=home, database=sqlite_path(store_url(db)))
    if shipment.too_much and address != "local":
        raise UsageError(shipment.too_much, hint=shipment.hint)
    return shipment


def remarks_on(shipment: Shipment | None, plan: Plan, store: Store | None, home: Path) -> tuple[str, ...]:
    """Say what a user should know of a shipment: that it is not whole, and which files were edited without being a part of the ids."""
    if shipment is None:
        return ()
    if shipment.too_much:
        return (
            f"{shipment.too_much}. Only its *.py and the files that the command names are copied: a run that is tried again "
            f"after one of these was edited finds no others. To have the rest copied, {shipment.hint}",
        )
    if store is None:
        return ()
    own = Path(Path(plan.document.path).name)  # what it says is known to the store
    with store.read() as session:
        copies = program_copies(session, plan.spec.name, plan.files)
    edited = sorted({path for copy in copies for path in shipment.edited_since(home / "programs" / copy)} - {own})
    if not edited:
        return ()
    named = ", ".join(map(str, edited[:_NAMED])) + (f" and {len(edited) - _NAMED} more" if len(edited) > _NAMED else "")
    return (
        f"edited since runs of this study began, and no part of their ids: {named}. Finished runs stay as they are, and others go on with "
        "what is there now. To train all anew, name the file in the command, or give another `program_version`, with --revise; "
        "a file that the program writes belongs into .rayignore",
    )


def shipped(shipment: Shipment, plan: Plan, home: Path) -> Plan:
    """Copy the folder, and return the plan with the copy's name in it. Raises as `Shipment.copy_to`."""
    return replace(plan, copy=shipment.copy_to(home, plan.files))
