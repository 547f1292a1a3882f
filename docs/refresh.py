"""Renews what a command prints on the pages of docs/.

    python docs/refresh.py

- The pages on questions about a table of runs (QUESTIONS): their commands are run in this order, and every line of output shown is replaced by the
  printed line that is most like it; the laws and diagnostics are listed as the code has them.
- Every page: what stands between `<!-- made by: COMMAND -->` and `<!-- end -->` is replaced by what the command prints. A command begins
  with `scaling` or `python`, runs in the root of the repository, reads committed files alone, and takes seconds. `, first paragraph` after
  the command keeps what is printed up to the first empty line. `python -m docs.reference PART` makes the reference from the code.

- README.md: the number of injected faults is counted in benchmarks/faults.csv.

tests/test_analysis_docs.py and tests/test_docs_tables.py fail when this is due. Look at the difference before committing it: a number that
moved is worth a thought.
"""

from __future__ import annotations

import contextlib
import csv
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

sys.path.insert(0, str(Path(__file__).parents[1]))  # of a script, Python has its folder there

from analysis.diagnostics import DiagnosticCode
from analysis.laws import law_named, law_names
from docs.reference import text_of
from scaling.cli.app import app

DOCS = Path(__file__).parent
QUESTIONS = ("reading", "fitting", "forecasting", "sizing", "comparing", "planning", "transferring", "analysis")
"""Pages whose commands go on from one another, in this order: the first writes the table that the others read."""
PLAIN = {"FORCE_COLOR": None, "TTY_COMPATIBLE": None, "NO_COLOR": "1"}
"""The environment of a command: its text has no colours, whatever the terminal has."""
BLOCK = re.compile(r"<!-- made by: (?P<command>.+?)(?P<first>, first paragraph)? -->\n(?P<shown>.*?)<!-- end -->", re.S)
FAULTS = re.compile(r"(?<=in )[\d,]+(?= injected faults)|[\d,]+(?= of them on real trainings)")
"""Both numbers of the README's sentence on faults, in this order."""
DECIMAL = re.compile(r"\d+\.(\d+)(?:e([+-]\d+))?")
STEP = re.compile(r"```sh\n(?P<commands>.*?)```(?:(?P<between>\s*)```text\n(?P<shown>.*?)```)?", re.S)


def printed(commands: str) -> list[str]:
    lines: list[str] = []
    for command in commands.splitlines():
        result = CliRunner(env=PLAIN).invoke(app, shlex.split(command)[1:])
        if result.exception is not None:
            raise SystemExit(f"{command}\n{result.exception}")
        lines += [line.rstrip() for line in result.stdout.splitlines()]
    return lines


def renewed(step: re.Match[str]) -> str:
    lines = printed(step["commands"])
    if step["shown"] is None:
        return step[0]
    shown: list[str] = []
    used: set[int] = set()
    for line in step["shown"].splitlines():
        if not line.strip() or line.strip() == "…":
            shown.append(line)
            continue
        place = _nearest(line, lines, max(used, default=-1))
        of_row = [each for each in _row(lines, place) if each not in used]
        used.update(of_row)
        shown += [lines[each] for each in of_row]
    return f"```sh\n{step['commands']}```{step['between']}```text\n" + "\n".join(shown) + "\n```"


def _nearest(line: str, lines: list[str], after: int) -> int:
    """Place of the printed line that is most like one; of several alike, and of rules, the first after a place."""
    if set(line) == {"─"}:
        places = [place for place in range(len(lines)) if _is_rule(lines, place)]
    else:
        (near,) = difflib.get_close_matches(line, lines, n=1, cutoff=0.0)
        places = [place for place, other in enumerate(lines) if other == near]
    return next((place for place in places if place > after), places[0])


def _row(lines: list[str], place: int) -> list[int]:
    """Places of the lines that a row of a table takes: heads and long cells are wrapped."""
    first, last = _while_indented(lines, place, -1), _while_indented(lines, place, 1)
    if _is_rule(lines, last + 1) and not _is_rule(lines, place):
        return [place] if _is_rule(lines, first - 1) else list(range(first, last + 1))  # rows of another table may lie above a head
    first = last = place
    while first > 0 and _goes_on(lines[first - 1], lines[first]):
        first -= 1
    while last + 1 < len(lines) and _goes_on(lines[last], lines[last + 1]):
        last += 1
    return list(range(first, last + 1))


def _while_indented(lines: list[str], place: int, step: int) -> int:
    while 0 <= place + step < len(lines) and lines[place + step].startswith(" "):
        place += step
    return place


def _is_rule(lines: list[str], place: int) -> bool:
    return 0 <= place < len(lines) and set(lines[place]) == {"─"}


def _goes_on(line: str, following: str) -> bool:
    """Whether a line begins below the beginning of a cell of the one before, where a table's last column begins."""
    indent = len(following) - len(following.lstrip())
    return indent >= 12 and line[indent - 1 : indent] == " " and line[indent : indent + 1].strip() != ""


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
        elif words[:2] == ["-m", "docs.reference"]:
            text = text_of(*words[2:])
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


def with_faults(text: str) -> str:
    """The text with the numbers of faults, and of those on real trainings, that there are."""
    with (DOCS.parent / "benchmarks" / "faults.csv").open() as file:
        families = [row["family"] for row in csv.DictReader(file)]
    numbers = iter((len(families), families.count("real")))
    return FAULTS.sub(lambda _: f"{next(numbers):,}", text)


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
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(DOCS, Path(place) / "docs")
        with contextlib.chdir(place):
            texts = {DOCS / f"{name}.md": STEP.sub(renewed, (DOCS / f"{name}.md").read_text()) for name in QUESTIONS}
    for page, text in texts.items():
        text = with_rows(text, "| law | formula | coefficients | source |", laws())
        page.write_text(with_rows(text, "| code | what to do |", codes()))
    for page in sorted(DOCS.glob("*.md")):
        page.write_text(BLOCK.sub(remade, page.read_text()))
    readme = DOCS.parent / "README.md"
    readme.write_text(with_faults(readme.read_text()))


if __name__ == "__main__":
    main()
