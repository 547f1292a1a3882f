"""Rows as CSV: one line a row, names as in `scaling.columns`, numbers in full."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping

from fastapi import Response

from scaling.formulas import as_text

__all__ = ["csv_response", "csv_text"]


def csv_text(rows: Iterable[Mapping[str, object]], columns: Iterable[str]) -> str:
    """Lists are joined by spaces; what is not known is left empty. No text in it is a formula to a spreadsheet."""
    names = list(columns)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return out.getvalue()


def csv_response(text: str, name: str) -> Response:
    """A CSV that the browser saves as `name`.csv."""
    return Response(
        text, media_type="text/csv; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}.csv"'}
    )


def _cell(value: object) -> object:
    value = " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
    return as_text(value) if isinstance(value, str) else value
