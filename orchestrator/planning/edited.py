"""Refuses a program whose files have changed since runs of its study were planned, and says which."""

from __future__ import annotations

from pathlib import Path

from orchestrator.experiments_file.program import folder_of
from orchestrator.planning.plan import Plan
from orchestrator.shipping import changed_files
from orchestrator.store import Session, Store
from orchestrator.store.grid import changed_fields, planned_programs
from scaling.errors import UsageError

__all__ = ["refuse_edited_program"]

_NAMED = 5


def refuse_edited_program(store: Store, plan: Plan, home: Path | None, *, revise: bool) -> None:
    """Raise `UsageError` where other files would train further runs of a study under a declared version, or beside finished runs.

    home: the folder of runs, whose copies of the program tell which files have changed; None where it is not known.
    """
    trainer = plan.spec.trainer
    if trainer is None:
        return
    with store.read() as session:
        earlier = planned_programs(session, plan.spec.name, [run.id for run in plan.runs])
        if (declared := trainer.program_version) is None:
            if revise or not (version := _version_before(session, plan)):
                return
            runs, hint = repr(plan.spec.name), "put them back; or train all its runs anew: by --revise, or under another `name`"
        else:
            version, runs = declared, f"version {declared!r}"
            hint = "put them back; or raise `program_version` in the file, and train all its runs anew: by --revise, or under another `name`"
    before = [program for program in earlier if program.version == version and program.files != plan.files]
    if not before:
        return
    copies = [home / "programs" / program.copy for program in before] if home is not None else []
    there = next((copy for copy in copies if copy.is_dir()), None)
    changed = changed_files(folder_of(plan.document), there, trainer.command) if there else ()
    which = ", ".join(changed[:_NAMED]) + (f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else "")
    which = which or "which ones is not known, since there is no copy of what they were"
    fault = plan.document.fault(
        ("trainer", "command" if declared is None else "program_version"),
        f"the program's files have changed since runs of {runs} were planned: {which}",
    )
    raise UsageError(str(fault), hint=hint)


def _version_before(session: Session, plan: Plan) -> str | None:
    """Return the version of finished runs, where the study differs from theirs by nothing else; else None."""
    changed = changed_fields(session, plan.spec.name, plan.shared)
    if set(changed) != {"trainer"}:
        return None
    before, after = changed["trainer"]
    differing = {key for key in {*(before or ()), *after} if (before or {}).get(key) != after.get(key)}
    return before["program_version"] if before and differing == {"program_version"} else None
