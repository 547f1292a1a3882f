"""The reference pages of docs/, made from the code: what `python -m docs.reference PART` prints stands in a block of a page.

To add a part, add a file with a function `text` that returns Markdown, and its name to `PARTS`; further words are its arguments. `docs/refresh.py` renews the blocks
and `tests/test_docs_tables.py` fails where one is stale, so a key, a command, a route, a law, a code or a column cannot be missing.
"""

from __future__ import annotations

from importlib import import_module

__all__ = ["PARTS", "text_of"]

PARTS = ("advised", "columns", "commands", "errors", "functions", "http", "keys", "laws")


def text_of(part: str, *words: str) -> str:
    """Return the Markdown of a part, as the code has it now."""
    if part not in PARTS:
        raise SystemExit(f"{part}: no part of the reference; there are {', '.join(PARTS)}")
    return str(import_module(f"docs.reference.{part}").text(*words)).strip("\n")
