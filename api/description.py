"""openapi.json: what FastAPI makes of the routes, and the schemas of errors and events."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from api.schemas.events import AnsweredEvent, EmptyEvent, ProgressEvent
from api.schemas.problem import Problem

__all__ = ["Described"]

_NAMED: Any = (Problem, ProgressEvent, EmptyEvent, AnsweredEvent)


class Described(FastAPI):
    """Describes itself with the components that `api.problems.OPENAPI_RESPONSES` and `api.schemas.events` name."""

    def openapi(self) -> dict[str, Any]:
        """Return openapi.json."""
        is_new = self.openapi_schema is None
        made = super().openapi()
        if is_new:
            _, schemas = models_json_schema(
                [(each, "serialization") for each in _NAMED], ref_template="#/components/schemas/{model}"
            )
            made.setdefault("components", {}).setdefault("schemas", {}).update(schemas["$defs"])
        return made
