"""Texts in CSV that a spreadsheet would run as formulas: `=cmd|…` in the name of a run.

Written with `'` before them, which a spreadsheet takes for "this is text"; our readers take it away again. See OWASP, "CSV Injection".
"""

from __future__ import annotations

import re

__all__ = ["as_text", "as_written"]

_SIGNS = "=+\\-@\t\r\n＝＋－＠"
_FORMULA = re.compile(f"'*[{_SIGNS}]")


def as_text(cell: str) -> str:
    """The cell as CSV holds it: with `'` before what begins as a formula and is no number."""
    return f"'{cell}" if _FORMULA.match(cell) and not _is_number(cell) else cell


def as_written(cell: str) -> str:
    """The text that `as_text` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) and not _is_number(cell.lstrip("'")) else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell
