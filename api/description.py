"""openapi.json: what FastAPI makes of the routes, and the schema of every error."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from api.schemas.problem import Problem

__all__ = ["Described"]


class Described(FastAPI):
    """Describes itself with the components that `api.problems.OPENAPI_RESPONSES` names."""

    def openapi(self) -> dict[str, Any]:
        """Return openapi.json."""
        is_new = self.openapi_schema is None
        made = super().openapi()
        if is_new:
            _, schemas = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
            made.setdefault("components", {}).setdefault("schemas", {}).update(schemas["$defs"])
        return made
