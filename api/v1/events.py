"""`/api/v1/events`: what the store is at, told as it changes, to any number of clients by one watcher."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.schemas.events import ITEM_SCHEMA
from api.v1.progress import EXAMPLE as PROGRESS

__all__ = ["router"]

router = APIRouter()

_RETRY_MILLISECONDS = 2_000

_DATA = {
    **PROGRESS,
    "version": "5a0c7de1f2b3-118",
    "results": "5a0c7de1f2b3-9f6a01c2d3e4b5a6",
    "at": "2026-03-01T09:33:30+00:00",
    "problem": None,
    "runs_version": "8c5e01f2d4a7b-412",
}
_EXAMPLE = f"""event: progress
data: {json.dumps(_DATA, ensure_ascii=False)}
id: 5a0c7de1f2b3-118
retry: {_RETRY_MILLISECONDS}

event: answered
data: {{"link": "/frontier?experiment=digits"}}

"""


@router.get(
    "/events",
    summary="Progress as it happens, as server-sent events",
    operation_id="follow_events",
    response_class=EventSourceResponse,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}, "itemSchema": ITEM_SCHEMA, "example": _EXAMPLE}}}
    },
)
async def events(
    request: Request,
    after: Annotated[str | None, Query(description="A `version`: what the store was at then is not told again.")] = None,
    last_event_id: Annotated[str | None, Header(description="As `after`; a browser sends it when it connects again.")] = None,
) -> AsyncIterable[ServerSentEvent]:
    """Tell the progress now, and again whenever the store has changed.

    The data of an event are JSON, of which `itemSchema` in openapi.json says what they hold.

    Event `progress` has `version` (of the store, also its `id`), `results` (changes when answers of the analysis may), `runs_version` (for `/api/v1/runs?after=`), `experiment` (the one
    that has runs to come; null for the whole store), `counts` (runs by status), `core_hours` spent and `estimated_core_hours`,
    `eta_seconds`, `running` (runs in training with step, train loss, throughput and MFU) and `sentence`. Event `answered` has the `link` of
    a page that has a new answer. A store that is not there yet has a null `version`.
    """
    if request.scope.get("is_head"):
        return
    async for name, told in request.app.state.watcher.events(after or last_event_id):
        yield ServerSentEvent(event=name, data=told, id=told.get("version") or None, retry=_RETRY_MILLISECONDS)
