"""Rows that are written by themselves look as rich draws them."""

import io

import pytest
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from scaling.cli.terminal import Terminal

ROWS = [
    ("5feceb66", "nano-F0", "0.5", "finished"),
    ("6b86b273", "模型", "12.25", "failed"),
    ("d4735e3a", "a name of several words that is longer than the others", "1", "\x1b[31mred"),
    ("4e074085", Text("styled", "bold"), "–", ""),
    ("4b227777", "", "100", "pending"),
]


def drawn(rows, console_class, **settings):
    table = Table(
        Column("id"), Column("model"), Column("core hours", justify="right"), Column("status"),
        box=None, pad_edge=False, collapse_padding=True,
    )  # fmt: skip
    for row in rows:
        table.add_row(*row)
    screen = io.StringIO()
    console_class(file=screen, **settings).print(table)
    return screen.getvalue()


class AllByRich(Terminal):
    """Prints a table whole, as before rows were written by themselves."""

    def print(self, *objects, **how):
        _, width = self._fit(objects[0], self.width if self.is_terminal else 80)
        Console.print(self, *objects, width=width, crop=False, soft_wrap=False)


@pytest.mark.parametrize("settings", [{}, {"force_terminal": True, "width": 60, "color_system": None}])
@pytest.mark.parametrize("rows", [ROWS, ROWS[:2], ROWS[3:], []])
def test_rows_are_as_rich_draws_them(rows, settings):
    assert drawn(rows, Terminal, **settings) == drawn(rows, AllByRich, **settings)


def test_rich_draws_no_row_that_fits(monkeypatch):
    """Rich takes a millisecond for each: 90 s for 100,000 runs."""
    made = []
    monkeypatch.setattr(
        "scaling.cli.plain_rows.Table.add_row", lambda table, *cells, add=Table.add_row: (made.append(cells), add(table, *cells))
    )
    drawn(ROWS[:2] * 50, Terminal)
    assert len(made) == 100  # those of the table itself
