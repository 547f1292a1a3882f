"""Reads a benchmark's CSV and writes rows as a table in Markdown: for the commands that make the tables of docs/.

A page holds such a table between `<!-- made by: COMMAND -->` and `<!-- end -->`; `python docs/refresh.py` makes it anew.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV with a header line, each a dictionary of texts."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with one line a row; no newline at the end."""
    first, *others = (f"| {' | '.join(map(str, line))} |" for line in (head, *rows))
    return "\n".join([first, "|" + "---|" * len(head), *others])
