"""`scaling gc`: the checkpoints that nobody will go on from, and the disk space they take."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from scaling.cli.options import Db

__all__ = ["EXAMPLES", "gc_command"]

EXAMPLES = """
scaling gc          # what could go, by size

scaling gc --yes    # delete it
"""


def gc_command(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete; without it nothing is touched.")] = False,
    db: Db = "scaling.db",
) -> None:
    """Free the disk of checkpoints that no run will go on from.

    Kept are the last checkpoint of finished and diverged runs, every checkpoint
    of a run that may go on (also by `scaling retry`), and those that other runs
    may yet start from. All logs and events are kept. So is what was written
    before the database was copied, restored or taken to another disk: the
    original of a copy may need it.
    """
    from rich.table import Table

    from orchestrator.store import open_readonly, queries
    from scaling.cli.output import console, messages

    store = open_readonly(db)
    with store.read() as session:
        attempts = queries.checkpoint_owners(session)
    table = Table("run", "attempt", "checkpoints", "MB", box=None, pad_edge=False)
    kept = freed = others = 0
    whole = {attempt["run_id"] for attempt in attempts if _has_kept(attempt)}
    for attempt in attempts:
        if attempt["run_id"] not in whole:
            continue  # its last checkpoint is not where it should be: the others are all there is
        root = Path(attempt["directory"]) / "checkpoints"
        for entry in sorted(root.iterdir()) if root.is_dir() else ():
            size = _bytes(entry)
            if not attempt["is_ours"]:
                others += size
                continue
            if entry.stem in {str(step) for step in (attempt["keep_step"], *attempt["branch_steps"])}:
                kept += size
                continue
            freed += size
            table.add_row(attempt["run_id"], str(attempt["number"]), entry.name, f"{size / 1e6:.1f}")
            if yes:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    out = console()
    if freed:
        out.print(table)
    verb = "freed" if yes else "can be freed"
    out.print(f"{freed / 1e6:.1f} MB {verb}, {kept / 1e6:.1f} MB of checkpoints kept", highlight=False)
    if others:
        out.print(f"{others / 1e6:.1f} MB left alone: written before the database was copied or moved", highlight=False)
    if freed and not yes:
        messages().print("nothing was deleted; `scaling gc --yes` does it", highlight=False)


def _has_kept(attempt: dict) -> bool:
    root, step = Path(attempt["directory"]) / "checkpoints", attempt["keep_step"]
    return step is not None and any((root / name).is_file() for name in (f"{step}/manifest.json", f"{step}.json"))


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
