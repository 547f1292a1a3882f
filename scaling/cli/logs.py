"""`scaling logs`: what a run's training printed."""

from __future__ import annotations

import re
import time
from collections import deque
from typing import Annotated

import typer

from scaling.cli.options import AsJson, Db

__all__ = ["EXAMPLES", "logs_command"]

EXAMPLES = """
scaling logs 3fa9                 # the last attempt

scaling logs 3fa9 --attempt 1 --lines 0   # the whole log of the first

scaling logs 3fa9 --follow        # until the attempt ends

scaling logs 3fa9 --json          # the same lines for a script
"""


def logs_command(
    run: Annotated[str, typer.Argument(help="A run's id, or the beginning of it.")],
    attempt: Annotated[int | None, typer.Option(help="Number of the attempt; default: the last.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="The last so many lines; 0 is all.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the attempt ends.")] = False,
    db: Db = "scaling.db",
    as_json: AsJson = False,
) -> None:
    """Print the log of a run: warnings, tracebacks and whatever the training printed."""
    from orchestrator.logs import log_of
    from orchestrator.store import open_readonly, queries
    from orchestrator.store.imported import refuse_imported
    from scaling.cli.output import print_json, print_text
    from scaling.columns import SCHEMA_VERSION
    from scaling.errors import DataNotFound, UnknownName, UsageError

    if follow and as_json:
        raise UsageError("--follow and --json do not go together", hint="--json is one object, of the lines so far")
    store = open_readonly(db)

    def of_run() -> dict:
        with store.read() as session:
            return queries.run_detail(session, run)

    detail = of_run()
    with store.read() as session:
        refuse_imported(session, [detail["id"]], "its log is where it was trained")
    attempts = {row["number"]: row for row in detail["attempt_rows"]}
    if not attempts:
        raise UsageError(f"run {detail['id']} has not been tried yet ({detail['status']})", hint="`scaling status` shows the queue")
    number = attempt if attempt is not None else max(attempts)
    if number not in attempts:
        raise UnknownName("attempt", str(number), map(str, attempts))
    path = log_of(attempts[number])
    if not path.is_file():
        raise DataNotFound(f"no log at {path}", hint="it lies with the runs (SCALING_HOME), perhaps on another machine")
    with path.open(errors="replace") as log:
        if as_json:
            shown = [text for line in deque(log, maxlen=lines or None) for text in _shown(line).splitlines()]
            print_json(
                {"schema_version": SCHEMA_VERSION, "run": detail["id"], "attempt": number, "file": str(path), "lines": shown}
            )
            return
        for line in deque(log, maxlen=lines or None):
            print_text(_shown(line))
        while follow:
            if line := log.readline():
                print_text(_shown(line))
            elif next(row for row in of_run()["attempt_rows"] if row["number"] == number)["outcome"] is not None:
                return
            else:
                time.sleep(0.5)


def _shown(line: str) -> str:
    """Return a line without colours; what a progress bar wrote over itself comes one below the other."""
    from orchestrator.logs import without_colours

    return re.sub(r"\r+\n?", "\n", without_colours(line))
