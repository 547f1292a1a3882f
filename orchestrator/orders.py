"""What a worker is told to train: one grant of the ledger as a plain dictionary, which `orchestrator.cluster.host` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.store.ledger import Grant

__all__ = ["order_of", "order_of_pack"]


def order_of_pack(orders: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several orders as one: their runs are trained at once. Its other fields are those of the first; one order stays as it is."""
    return dict(orders[0]) if len(orders) == 1 else {**orders[0], "pack": list(orders)}


def order_of(
    grant: Grant,
    *,
    home: Path,
    working_directory: Path,
    checkpoint_seconds: float,
    scheduler: str | None = None,
    code_version: str | None = None,
    missed_seconds: float = 0.0,
) -> dict[str, Any]:
    """home: SCALING_HOME, under which the attempt's folder lies. working_directory: where the file's relative paths start from.

    checkpoint_seconds: time between checkpoints. scheduler: who gives the order; a worker that belongs to another ignores it.
    code_version: of the scheduler; a worker with another one refuses. None asks for nothing.
    missed_seconds: for how long the worker has not found what should be in `home`; see `orchestrator.cluster.missing`.
    """
    resume: dict[str, Any] | None = None
    if grant.resume_folder is not None:
        resume = {"directory": str(home / grant.resume_folder), "step": grant.resume_step}
        resume |= {"written_to": grant.resume_directory, "saved_seconds": grant.saved_seconds}
        if grant.parent is not None:  # also for a later attempt: what it falls back to is the parent's
            resume["parent"] = grant.parent
    return {
        "token": grant.token,
        "run": grant.run_id,
        "scheduler": scheduler,
        "code_version": code_version,
        "config": grant.config,
        "execution": grant.resources.get("execution", {}),
        "evaluate_at": grant.resources.get("evaluate_at", []),
        "checkpoint_at": grant.resources.get("checkpoint_at", []),
        "directory": str(home / grant.folder),
        "home": str(home / grant.store) if grant.store else None,
        "missed_seconds": missed_seconds,
        "resume_from": resume,
        "checkpoint_seconds": checkpoint_seconds,
        "compile_cache": str(home / "compile-cache"),
        "working_directory": str(working_directory),
        "resources": grant.resources,
        "params": grant.params,
    }
