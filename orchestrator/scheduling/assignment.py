"""Turns a grant of the ledger into what a worker is told to train."""

from __future__ import annotations

from pathlib import Path

from orchestrator.messages import Assignment, Resume
from orchestrator.store.ledger import Grant

__all__ = ["assignment_of"]


def assignment_of(
    grant: Grant,
    *,
    home: Path,
    working_directory: Path,
    checkpoint_seconds: float,
    scheduler: str | None = None,
    code_version: str | None = None,
    missed_seconds: float = 0.0,
) -> Assignment:
    """Build the assignment of a granted attempt: its folder under SCALING_HOME, `home`, and the checkpoint it goes on from.

    The other arguments are those of `Assignment`.
    """
    resume = None
    if grant.resume_folder is not None:
        resume = Resume(
            directory=str(home / grant.resume_folder),
            step=grant.resume_step,
            written_to=grant.resume_directory,
            saved_seconds=grant.saved_seconds,
            parent=grant.parent,  # also for a later attempt: what it falls back to is the parent's
        )
    weights = None
    if grant.weights_folder is not None:
        folder = str(home / grant.weights_folder)
        weights = Resume(directory=folder, step=grant.weights_step, written_to=grant.weights_directory, parent=grant.parent)
    return Assignment(
        token=grant.token,
        run=grant.run_id,
        scheduler=scheduler,
        code_version=code_version,
        config=grant.config,
        directory=str(home / grant.folder),
        home=str(home / grant.store) if grant.store else None,
        missed_seconds=missed_seconds,
        resume_from=resume,
        weights_from=weights,
        checkpoint_seconds=checkpoint_seconds,
        compile_cache=str(home / "compile-cache"),
        working_directory=str(working_directory),
        resources=grant.resources,
        options=grant.options,
    )
