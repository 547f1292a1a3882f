"""What the data of the events of `/api/v1/events` hold."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, create_model

from api.schemas.part import Answer, Part
from api.schemas.progress import ProgressAnswer

__all__ = ["ITEM_SCHEMA", "AnsweredEvent", "EmptyEvent", "ProgressEvent"]


class EmptyEvent(Answer):
    """Tells that there is no store to read yet, or in `problem` why it cannot be read."""

    version: Annotated[str | None, Field(description="Of the store; also the event's `id`.")]
    results: Annotated[str | None, Field(description="Changes when answers of the analysis may.")]
    at: Annotated[str, Field(description="When the store was looked at, ISO 8601 in UTC.")]
    problem: str | None


ProgressEvent: Any = create_model(
    "ProgressEvent",
    __base__=(ProgressAnswer, EmptyEvent),
    __doc__="Tells how far the runs are, as `/api/v1/progress` does, and of which version of the store.",
    runs_version=(str, Field(description="For `/api/v1/runs?after=`.")),
)


class AnsweredEvent(Part):
    """Tells that a page has a new answer."""

    link: Annotated[str, Field(description="Path and query of the page.")]


def _event(name: str, *data: str) -> dict[str, Any]:
    kinds = [{"$ref": f"#/components/schemas/{each}"} for each in data]
    content = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return {
        "properties": {
            "event": {"const": name},
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": content},
        }
    }


ITEM_SCHEMA = {
    "required": ["event", "data"],
    "oneOf": [_event("progress", "ProgressEvent", "EmptyEvent"), _event("answered", "AnsweredEvent")],
}
"""An event, for the `itemSchema` of OpenAPI 3.2; a reader of 3.1 passes over it."""
