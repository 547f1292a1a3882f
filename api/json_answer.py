"""JSON as an answer, and how openapi.json describes it.

What a route answers was made plain by the analysis or the store, and leaves as it is, written once by the standard library's encoder in C.
FastAPI would first copy it against its schema, which takes longer than many answers take to make. Tests hold answers against their schemas.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastapi.responses import JSONResponse

__all__ = ["answers", "json_answer"]


def answers(schema: Any, example: Mapping[str, Any]) -> dict[int | str, dict[str, Any]]:
    """Return `responses` of a route that answers a JSON object of this schema, a class of `api.schemas`."""
    return {200: {"model": schema, "content": {"application/json": {"example": example}}}}


def json_answer(payload: Mapping[str, Any]) -> JSONResponse:
    """Return an object as an answer; NaN and infinity, which JSON does not know, become null."""
    try:
        return JSONResponse(payload)
    except ValueError:
        return JSONResponse(_finite(payload))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(entry) for name, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, list | tuple) else value
