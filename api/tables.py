"""CSV as an answer, and how openapi.json describes it."""

from __future__ import annotations

import re
from typing import Any

from fastapi import Response

__all__ = ["csv_response", "csv_route"]


def csv_response(text: str, name: str) -> Response:
    """Return a CSV as an answer that the browser saves as `name`.csv."""
    return Response(
        text, media_type="text/csv; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}.csv"'}
    )


def csv_route(path: str) -> dict[str, Any]:
    """Return how a route of CSV is declared: `router.get(path, **csv_route(path))`.

    Clients name it after its page: `frontier_laws_csv`; that of one run `run_csv`.
    """
    page = path.removesuffix(".csv")
    named = re.sub(r"s/\{\w+\}", "", page).strip("/")
    return {
        "operation_id": f"{re.sub(r'[^a-z]', '_', named)}_csv",
        "summary": f"What {page} shows, as CSV",
        "tags": ["csv"],
        "response_class": Response,
        "responses": {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    }
