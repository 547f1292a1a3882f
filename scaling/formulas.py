"""CSV, without texts that a spreadsheet would run as formulas: `=cmd|…` in the name of a run.

They are written with `'` before them, which a spreadsheet takes for "this is text"; our readers take it away again. See OWASP,
"CSV Injection".
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping

__all__ = ["as_cell", "as_text", "as_written", "csv_text"]

_SIGNS = "=+\\-@\t\r\n＝＋－＠"
_FORMULA = re.compile(f"'*[{_SIGNS}]")


def csv_text(rows: Iterable[Mapping[str, object]], columns: Iterable[str]) -> str:
    """Write a head and a line a row; what a row does not have is left empty."""
    names, out = list(columns), io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([as_cell(row.get(name)) for name in names] for row in rows)
    return out.getvalue()


def as_cell(value: object) -> object:
    """Return a value as CSV holds it: lists are joined by spaces, lines of a text by bars, and no text is a formula."""
    value = " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
    value = " | ".join(value.splitlines()) if isinstance(value, str) and "\n" in value else value
    return as_text(value) if isinstance(value, str) else value


def as_text(cell: str) -> str:
    """Return the cell as CSV holds it: with `'` before what begins as a formula and is not a number."""
    return f"'{cell}" if _FORMULA.match(cell) and not _is_number(cell) else cell


def as_written(cell: str) -> str:
    """Return the text that `as_text` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) and not _is_number(cell.lstrip("'")) else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell
