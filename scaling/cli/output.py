"""How answers are printed: numbers, tables, JSON, CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scaling.cli.printable import printable, printable_json
from scaling.formulas import as_text
from scaling.waiting import duration

if TYPE_CHECKING:
    from scaling.cli.terminal import Terminal

__all__ = ["console", "core_hours", "duration", "flops", "messages", "number", "print_csv", "print_json", "print_text"]


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


def number(value: float | None) -> str:
    """Four significant digits, trailing zeros kept, so that columns of them compare; a dash for nothing."""
    return "–" if value is None else _significant(value, 4)


def core_hours(value: float | None) -> str:
    """Core-hours at three significant digits, from a laptop's seconds to a pod's months."""
    return "–" if value is None else f"{value:,.0f}" if 100 <= value < 1e15 else _significant(value, 3)


def _significant(value: float, digits: int) -> str:
    """Fixed notation: `0.0000736`, not `7.36e-05`, so that a column keeps its decimal point; an exponent below a billionth and above 10¹⁵."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if not 1e-9 <= abs(value) < 1e15:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"


def flops(value: float) -> str:
    """`7.5e8`, `2.14e22`: FLOPs span too much for names of thousands."""
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"
