"""How answers are printed: tables, JSON, CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scaling.cli.printable import printable, printable_json
from scaling.formulas import as_text
from scaling.waiting import duration

if TYPE_CHECKING:
    from scaling.cli.terminal import Terminal

__all__ = ["console", "duration", "messages", "print_csv", "print_json", "print_text"]


def console() -> Terminal:
    """For answers, on stdout."""
    from scaling.cli.terminal import Terminal

    return Terminal()


def messages() -> Terminal:
    """For messages and progress, on stderr."""
    from scaling.cli.terminal import Terminal

    return Terminal(stderr=True)


def print_json(content: Any) -> None:
    """One JSON object; NaN and infinity would be a defect, so they raise. What a terminal would obey is escaped as JSON escapes it."""
    print(printable_json(json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)))


def print_text(text: str) -> None:
    """Lines of data, as they are but for control characters."""
    print(printable(text, keep="\n\t"), end="", flush=True)


def print_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """A header and a line a row; lists are joined by spaces, and no text is a formula to a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        cells = (" ".join(row[name]) if isinstance(row[name], list) else row[name] for name in columns)
        writer.writerow([as_text(cell) if isinstance(cell, str) else cell for cell in cells])
    print_text(out.getvalue())
