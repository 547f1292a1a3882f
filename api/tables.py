"""CSV as an answer."""

from __future__ import annotations

from fastapi import Response

__all__ = ["csv_response"]


def csv_response(text: str, name: str) -> Response:
    """Return a CSV as an answer that the browser saves as `name`.csv."""
    return Response(
        text, media_type="text/csv; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}.csv"'}
    )
