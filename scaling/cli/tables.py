"""The tables and lines of an answer."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["headline", "line", "table"]

_WORDS = ("model", "family", "approach", "checkpoint", "status", "name")


def headline(console: Console, text: str) -> None:
    """Print the answer in words, first."""
    console.print(Text(text, "bold"), soft_wrap=True)
    console.print()


def line(console: Console, text: str) -> None:
    """Print a line of detail, indented."""
    console.print(Text(f"  {text}"), soft_wrap=True)


def table(*heads: str) -> Table:
    """Make a table with numbers to the right, words to the left."""
    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False)
    for head in heads:
        drawn.add_column(head, justify="left" if head.split(" ")[0] in _WORDS else "right", no_wrap=head != "")
    return drawn
