"""Rows of a table without lines, written by themselves: rich lays out each cell, which takes 1 ms a row, 90 s for 100,000 rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy

from rich.cells import cell_len
from rich.console import RenderableType
from rich.segment import Segment, Segments
from rich.table import Column, Table

from scaling.cli.printable import printable

__all__ = ["in_parts", "letters", "without_rows"]


def in_parts(table: Table, between: int) -> Iterator[Segments | Table]:
    """Divide a table whose columns have their widths: its head for rich to draw, then rows as lines of text.

    Rows that need more than a line, or have a style, come as tables for rich too. between: blanks between the columns in all. A table with
    lines or padding at its edges stays whole.
    """
    gaps = len(table.columns) - 1
    is_plain = (
        table.box is None and not table.pad_edge and gaps > 0 and between % gaps == 0 and not table.title and not table.caption
    )
    if not is_plain or any(row.style or row.end_section for row in table.rows) or any(map(_is_styled, table.columns)):
        yield table
        return
    if table.show_header:
        yield without_rows(table)
    cells = [list(column.cells) for column in table.columns]
    fitted = [_fitted(column, texts) for column, texts in zip(table.columns, cells, strict=True)]
    blank, lines = " " * (between // gaps), list[str]()
    for number, row in enumerate(zip(*fitted, strict=True)):
        if None not in row:
            lines.append(blank.join(row))
            continue
        if lines:
            yield _block(lines)
            lines = []
        one = without_rows(table)
        one.show_header = False
        one.add_row(*(column[number] for column in cells))
        yield one
    if lines:
        yield _block(lines)


def without_rows(table: Table) -> Table:
    """Copy a table with its columns, and none of its rows."""
    empty = copy(table)
    empty.columns, empty.rows = [copy(column) for column in table.columns], []
    for column in empty.columns:
        column._cells = []
    return empty


def letters(cell: RenderableType) -> str:
    """Return the text of a cell as it is printed."""
    return str(getattr(cell, "plain", "")) if not isinstance(cell, str) else printable(cell)


def _block(lines: list[str]) -> Segments:
    """Hold lines that are printable, for rich to print as they are."""
    return Segments([Segment("\n".join([*lines, ""]))])


def _is_styled(column: Column) -> bool:
    return bool(column.style) or bool(column.footer) or column.justify not in ("left", "right")


def _fitted(column: Column, cells: Iterable[RenderableType]) -> list[str | None]:
    """Return each cell as wide as its column; None where it does not fit into a line or is no plain text."""
    width, to_left = column.width or 0, column.justify == "left"
    found: list[str | None] = []
    for cell in cells:
        text = printable(cell) if isinstance(cell, str) else None
        missing = -1 if text is None else width - (len(text) if text.isascii() else cell_len(text))
        found.append(None if text is None or missing < 0 else text + " " * missing if to_left else " " * missing + text)
    return found
