"""Renew docs/analysis.md: run its commands and replace every line of output shown by the printed line that is most like it, and list the
laws and diagnostics as the code has them.

    python docs/refresh.py

tests/test_analysis_docs.py fails when this is due. Look at the difference before committing it: a number that moved is worth a thought.
"""

from __future__ import annotations

import contextlib
import difflib
import re
import shlex
import shutil
import tempfile
from pathlib import Path

from typer.testing import CliRunner

from analysis.diagnostics import DiagnosticCode
from analysis.laws import law_named, law_names
from scaling.cli.app import app

DOCS = Path(__file__).parent
STEP = re.compile(r"```sh\n(?P<commands>.*?)```(?:(?P<between>\s*)```text\n(?P<shown>.*?)```)?", re.S)


def printed(commands: str) -> list[str]:
    lines: list[str] = []
    for command in commands.splitlines():
        result = CliRunner().invoke(app, shlex.split(command)[1:])
        if result.exception is not None:
            raise SystemExit(f"{command}\n{result.exception}")
        lines += [line.rstrip() for line in result.stdout.splitlines()]
    return lines


def renewed(step: re.Match[str]) -> str:
    lines = printed(step["commands"])
    if step["shown"] is None:
        return step[0]
    shown = []
    for line in step["shown"].splitlines():
        near = difflib.get_close_matches(line, lines, n=1, cutoff=0.0) if line.strip() and line.strip() != "…" else [line]
        shown.append(near[0])
    return f"```sh\n{step['commands']}```{step['between']}```text\n" + "\n".join(shown) + "\n```"


def laws() -> list[str]:
    found = map(law_named, law_names())
    return [f"| `{law.name}` | `{law.formula}` | {', '.join(law.coefficients)} | {law.citation} |" for law in found]


def codes() -> list[str]:
    return [f"| `{code.value}` | {code.advice} |" for code in DiagnosticCode]


def with_rows(text: str, head: str, rows: list[str]) -> str:
    """The text with other rows in the table under this head."""
    pattern = re.compile(rf"({re.escape(head)}\n\|[-|]+\|\n)(?:\|.*\n)+")
    return pattern.sub(lambda found: found[1] + "\n".join(rows) + "\n", text)


def main() -> None:
    page = DOCS / "analysis.md"
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(DOCS, Path(place) / "docs")
        with contextlib.chdir(place):
            text = STEP.sub(renewed, page.read_text())
    text = with_rows(text, "| law | formula | coefficients | source |", laws())
    page.write_text(with_rows(text, "| code | what to do |", codes()))


if __name__ == "__main__":
    main()
