"""Printing of answers: tables, JSON, texts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scaling.cli.printable import printable, printable_json
from scaling.waiting import duration

if TYPE_CHECKING:
    from scaling.cli.terminal import Terminal

__all__ = ["console", "duration", "messages", "print_json", "print_text"]


def console() -> Terminal:
    """Make the console for answers, on stdout."""
    from scaling.cli.terminal import Terminal

    return Terminal()


def messages() -> Terminal:
    """Make the console for messages and progress, on stderr."""
    from scaling.cli.terminal import Terminal

    return Terminal(stderr=True)


def print_json(content: Any) -> None:
    """Print one JSON object; NaN and infinity would be a defect, so they raise.

    What a terminal would obey is escaped as JSON escapes it.
    """
    print(printable_json(json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)))


def print_text(text: str) -> None:
    """Print lines of data, as they are but for control characters."""
    print(printable(text, keep="\n\t"), end="", flush=True)
