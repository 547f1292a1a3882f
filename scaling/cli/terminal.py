"""The console through which commands print: whatever is printed is data, and no name in it can steer the terminal.

Names of models, reasons, paths, columns of a user's table and the answers of a server come from elsewhere. Here `[red]` and `:smile:` are
letters, control characters are shown as signs (ESC as ␛, a line break inside a name as ␤), and invisible ones by their number (\\u200b).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Span, Text

from scaling.cli.plain_rows import in_parts, letters, without_rows
from scaling.cli.printable import printable

__all__ = ["Terminal"]

_TABLE_WIDTH = 80
_PIPE_WIDTH = 200


class Terminal(Console):
    """Prints without markup. Off a terminal, lines are as long as they need to be.

    Tables keep to 80 columns where their words allow it.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **settings)
        if not self.is_terminal and "width" not in settings:
            self.width, self.soft_wrap = _PIPE_WIDTH, True

    def render_str(self, text: str, **how: Any) -> Text:
        """Make a text of these letters, on one line."""
        return super().render_str(printable(text), **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as rich's console does; texts that were made elsewhere are made printable too."""
        if isinstance(renderable, Text) and printable(renderable.plain) != renderable.plain:
            renderable = _shown(renderable)
        return super().render(renderable, options)

    def print(self, *objects: object, **how: Any) -> None:
        """Print as rich's console does; a table is as narrow as its words allow, down to 80 columns, and nothing in it is cut off."""
        if len(objects) == 1 and isinstance(objects[0], Table):
            between, width = self._fit(objects[0], self.width if self.is_terminal else _TABLE_WIDTH)
            for part in in_parts(objects[0], between):
                super().print(part, **{"width": width, "crop": False, "soft_wrap": False, **how})
            return
        super().print(*objects, **how)

    def _fit(self, table: Table, target: int) -> tuple[int, int]:
        """Give the columns their widths; return the blanks and lines between them in all, and the whole width.

        Heads may break between words, and cells too where the column allows it.
        """
        least, whole, drawn = [], [], []
        for column in table.columns:
            head, cells = letters(column.header), set(map(letters, column.cells))
            longest = max(map(cell_len, cells), default=0)
            words = cells if column.no_wrap and column.justify != "left" else {word for cell in cells for word in cell.split()}
            word = max(map(cell_len, words), default=0)
            least.append(max(word, *(cell_len(word) for word in head.split()), 1) if head.split() else max(word, 1))
            drawn.append(max(longest, cell_len(head)))  # by rich, which gives a column without a letter no width
            whole.append(max(drawn[-1], 1))
        unbounded = self.options.update(width=100_000, max_width=100_000)
        empty = without_rows(table)
        for column, width in zip(empty.columns, drawn, strict=True):
            column.width = width
        between = self.measure(empty, options=unbounded).maximum - sum(whole)
        for _ in range(max(0, min(target, between + sum(whole)) - between - sum(least))):
            tightest = max(range(len(least)), key=lambda place: whole[place] / least[place])
            least[tightest] += 1
        for column, width in zip(table.columns, least, strict=True):
            column.width, column.no_wrap = width, False
        return between, between + sum(least)


def _shown(text: Text) -> Text:
    """Return the text with every letter printable, and styles on the letters that they were on."""
    letters = [printable(letter) for letter in text.plain]
    starts = [0, *accumulate(map(len, letters))]
    shown = text.copy()
    shown.plain = "".join(letters)
    shown.spans = [Span(starts[span.start], starts[min(span.end, len(letters))], span.style) for span in text.spans]
    return shown
