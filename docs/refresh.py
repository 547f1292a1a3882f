"""Renews what a command prints on the pages of docs/.

    python docs/refresh.py

- docs/analysis.md: its commands are run, and every line of output shown is replaced by the printed line that is most like it; the laws and
  diagnostics are listed as the code has them.
- Every page: what stands between `<!-- made by: COMMAND -->` and `<!-- end -->` is replaced by what the command prints. A command begins
  with `scaling` or `python`, runs in the root of the repository, reads committed files alone, and takes seconds. `, first paragraph` after
  the command keeps what is printed up to the first empty line.

tests/test_analysis_docs.py and tests/test_docs_tables.py fail when this is due. Look at the difference before committing it: a number that
moved is worth a thought.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from typer.testing import CliRunner

from analysis.diagnostics import DiagnosticCode
from analysis.laws import law_named, law_names
from scaling.cli.app import app

DOCS = Path(__file__).parent
BLOCK = re.compile(r"<!-- made by: (?P<command>.+?)(?P<first>, first paragraph)? -->\n(?P<shown>.*?)<!-- end -->", re.S)
DECIMAL = re.compile(r"\d+\.(\d+)(?:e([+-]\d+))?")
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


def made(block: re.Match[str]) -> str:
    """What the command of a block prints now: as text in a fence when it is `scaling`, as Markdown when it is a script."""
    program, *words = shlex.split(block["command"])
    with contextlib.chdir(DOCS.parent):
        if program == "scaling":
            text = "\n".join(printed(block["command"]))
        elif program == "python":
            environment = os.environ | {"PYTHONPATH": str(DOCS.parent)}
            done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{block['command']}\n{done.stderr}")
            text = done.stdout
        else:
            raise SystemExit(f"{block['command']}: a block is made by `scaling` or `python`")
    text = text.strip("\n").split("\n\n")[0] if block["first"] else text.strip("\n")
    return f"\n```text\n{text}\n```\n\n" if program == "scaling" else f"\n{text}\n\n"


def agree(shown: str, new: str, command: str) -> bool:
    """Whether a block needs no renewal.

    What a script reads from a CSV is compared to the letter. In what `scaling` fits, a decimal number may differ by one in its last place, as
    another processor adds in another order; and spaces and the length of rules may differ, which follow the width of numbers.
    """
    if not command.startswith("scaling"):
        return shown == new
    shown, new = (re.sub("─+", "─", re.sub(" +", " ", text)) for text in (shown, new))
    if DECIMAL.sub("#", shown) != DECIMAL.sub("#", new):
        return False
    for one, other in zip(DECIMAL.finditer(shown), DECIMAL.finditer(new), strict=True):
        place = max(10.0 ** (int(number[2] or 0) - len(number[1])) for number in (one, other))
        if abs(float(one[0]) - float(other[0])) > 1.01 * place:
            return False
    return True


def remade(block: re.Match[str]) -> str:
    """The block with what its command prints now; as it is where that agrees, so that only what moved shows in a difference."""
    new = made(block)
    if agree(block["shown"], new, block["command"]):
        return block[0]
    return f"<!-- made by: {block['command']}{block['first'] or ''} -->\n{new}<!-- end -->"


def main() -> None:
    page = DOCS / "analysis.md"
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(DOCS, Path(place) / "docs")
        with contextlib.chdir(place):
            text = STEP.sub(renewed, page.read_text())
    text = with_rows(text, "| law | formula | coefficients | source |", laws())
    page.write_text(with_rows(text, "| code | what to do |", codes()))
    for page in sorted(DOCS.glob("*.md")):
        page.write_text(BLOCK.sub(remade, page.read_text()))


if __name__ == "__main__":
    main()
