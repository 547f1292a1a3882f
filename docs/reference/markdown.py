"""Markdown of the reference: tables and code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["code", "link", "table"]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, without the rows' own bars and line breaks."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def code(text: object) -> str:
    """Return a span of code; nothing for an empty text."""
    return f"`{text}`" if str(text) else ""


def link(heading: str, before: Iterable[str] = ()) -> str:
    """Return a link to a heading of the same page, spelled as GitHub, MyST and `scaling docs PAGE#SECTION` spell it.

    before: the headings above it; of those that are spelled alike all but the first have a number.
    """
    section = _spelled(heading)
    times = sum(_spelled(each) == section for each in before)
    return f"[{heading}](#{section}{f'-{times}' if times else ''})"


def _spelled(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
