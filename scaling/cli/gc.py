"""`scaling gc`: the checkpoints that nobody will go on from, and the disk space they take."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from scaling.cli.options import AsCsv, AsJson, Db

__all__ = ["EXAMPLES", "gc_command"]

EXAMPLES = """
scaling gc          # what could go, by size

scaling gc --yes    # delete it

scaling gc --json   # the same for a script
"""


def gc_command(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete; without it nothing is touched.")] = False,
    db: Db = "scaling.db",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Free the disk of checkpoints that no run will go on from.

    Kept are the last checkpoint of finished and diverged runs, every checkpoint
    of a run that may go on (also by `scaling retry`), and those that other runs
    may yet start from. Of a program of your own, checkpoints are what it
    reported as such and wrote below SCALING_RUN; all else there is kept.
    All logs and events are kept. So is what was written before the database was
    copied, restored or taken to another disk: the original of a copy may need it.
    """
    from orchestrator.store import open_readonly
    from orchestrator.store.checkpoint_owners import checkpoint_owners
    from scaling.cli.output import print_json, print_text
    from scaling.cli.runs_input import refuse_both
    from scaling.columns import SCHEMA_VERSION
    from scaling.formulas import csv_text

    refuse_both(as_json, as_csv)
    store = open_readonly(db)
    with store.read() as session:
        attempts = checkpoint_owners(session)
    found: list[dict[str, Any]] = []
    kept = freed = others = 0
    seen: set[Path] = set()
    whole = {attempt["run_id"] for attempt in attempts if _has_kept(attempt)}
    last = {attempt["run_id"]: _reported(attempt) for attempt in attempts if attempt["keep_step"] is not None}
    for attempt in attempts:
        if attempt["run_id"] not in whole:
            continue  # its last checkpoint is not where it should be: the others are all there is
        for entry, is_wanted in (*_of_our_trainer(attempt), *_of_a_program(attempt, last[attempt["run_id"]])):
            if entry in seen:
                continue  # a program may report one path several times
            seen.add(entry)
            size = _bytes(entry)
            if not attempt["is_ours"]:
                others += size
                continue
            if is_wanted:
                kept += size
                continue
            freed += size
            found.append({"run": attempt["run_id"], "attempt": attempt["number"], "checkpoint": entry.name, "bytes": size})
            if yes:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    if as_json:
        sums = {"unneeded_bytes": freed, "kept_bytes": kept, "left_alone_bytes": others}
        print_json({"schema_version": SCHEMA_VERSION, "deleted": yes, **sums, "checkpoints": found})
    elif as_csv:
        print_text(csv_text(found, ("run", "attempt", "checkpoint", "bytes")))
    else:
        _show(found, freed, kept, others, deleted=yes)


def _show(found: list[dict[str, Any]], freed: int, kept: int, others: int, *, deleted: bool) -> None:
    from rich.table import Table

    from scaling.cli.output import console, messages

    out = console()
    if found:
        table = Table("run", "attempt", "checkpoints", "MB", box=None, pad_edge=False)
        for row in found:
            table.add_row(row["run"], str(row["attempt"]), row["checkpoint"], f"{row['bytes'] / 1e6:.1f}")
        out.print(table)
    verb = "freed" if deleted else "can be freed"
    out.print(f"{freed / 1e6:.1f} MB {verb}, {kept / 1e6:.1f} MB of checkpoints kept", highlight=False)
    if others:
        out.print(f"{others / 1e6:.1f} MB left alone: written before the database was copied or moved", highlight=False)
    if freed and not deleted:
        messages().print("nothing was deleted; `scaling gc --yes` does it", highlight=False)


def _has_kept(attempt: dict) -> bool:
    root, step = Path(attempt["directory"]) / "checkpoints", attempt["keep_step"]
    if step is None:
        return False
    reported = _reported(attempt)
    return any((root / name).is_file() for name in (f"{step}/manifest.json", f"{step}.json")) or bool(
        reported and reported.exists()
    )


def _of_our_trainer(attempt: dict) -> Iterator[tuple[Path, bool]]:
    """Yield the checkpoints in an attempt's folder, and whether each is kept."""
    root, wanted = (
        Path(attempt["directory"]) / "checkpoints",
        {str(step) for step in (attempt["keep_step"], *attempt["branch_steps"])},
    )
    yield from ((entry, entry.stem in wanted) for entry in (sorted(root.iterdir()) if root.is_dir() else ()))


def _of_a_program(attempt: dict, last: Path | None) -> Iterator[tuple[Path, bool]]:
    """Yield the checkpoints that a program reported in an attempt and that lie in its run's own folder, and whether each is kept.

    last: the run's last one. What holds it, or lies in it, is a part of it.
    """
    own = (Path(attempt["directory"]).parent / "kept").resolve()
    for note in sorted(Path(attempt["directory"]).glob("checkpoint-*.json")):
        path = _path_in(note)
        if path is None or last is None or not (path.exists() and path.is_relative_to(own)):
            continue
        if path == last or path in last.parents or last in path.parents:
            yield last, True
        elif path != own:
            yield path, False


def _reported(attempt: dict) -> Path | None:
    """Return the path of the checkpoint that a program reported in an attempt, and its run keeps; None of our own trainer."""
    return _path_in(Path(attempt["directory"]) / f"checkpoint-{attempt['keep_step']}.json")


def _path_in(note: Path) -> Path | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        path = Path(json.loads(note.read_text())["path"])
        return path.resolve() if path.is_absolute() else None
    return None


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
