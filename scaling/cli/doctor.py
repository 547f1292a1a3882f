"""`scaling doctor`: what is wrong with the installation, the machine or the store, and how to mend it."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import typer

from scaling.cli.options import AsCsv, AsJson, Db, Home

if TYPE_CHECKING:
    from orchestrator.doctor import Check

__all__ = ["EXAMPLES", "doctor_command"]

EXAMPLES = """
scaling doctor           # exits 1 when something has to be mended

scaling doctor --db study.db --json
"""

_STYLES = {"ok": "green", "warning": "yellow", "fault": "red"}


def doctor_command(db: Db = "scaling.db", home: Home = "scaling-runs", as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """Check Python, packages, names, devices, Ray, the store, the folder of runs, disk and network; each fault with its cure.

    Changes nothing, starts no Ray, and asks nobody outside this machine. Exits 1 when
    there is a fault; warnings and what is well leave 0.
    """
    from orchestrator.doctor import Check, Verdict, examine
    from scaling.cli.runs_input import refuse_both

    refuse_both(as_json, as_csv)
    checks = examine(db, home)
    faults = sum(check.verdict is Verdict.FAULT for check in checks)
    if as_json:
        from scaling.cli.output import print_json
        from scaling.columns import SCHEMA_VERSION

        print_json({"schema_version": SCHEMA_VERSION, "faults": faults, "checks": [check.to_dict() for check in checks]})
    elif as_csv:
        from scaling.cli.output import print_text
        from scaling.formulas import csv_text

        print_text(csv_text([check.to_dict() for check in checks], [each.name for each in fields(Check)]))
    else:
        _show(checks, faults)
    if faults:
        raise typer.Exit(1)


def _show(checks: list[Check], faults: int) -> None:
    from rich.text import Text

    from scaling.cli.output import console

    out = console()
    for check in checks:
        verdict = str(check.verdict)
        out.print(Text.assemble((verdict.ljust(8), _STYLES[verdict]), check.name.ljust(10), check.found), soft_wrap=True)
        if check.cure:
            out.print(Text(f"{'':18}{check.cure}", "bold" if verdict != "ok" else ""), soft_wrap=True)
    warnings = sum(str(check.verdict) == "warning" for check in checks)
    out.print(
        f"{faults} fault{'' if faults == 1 else 's'}, {warnings} warning{'' if warnings == 1 else 's'}"
        if faults or warnings
        else "all is well"
    )
