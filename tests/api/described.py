"""Holds an answer against what openapi.json says of its route: status, media type, and the schema of its body."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import httpx2
import jsonschema_rs

from api import create_app

__all__ = ["as_described", "described", "events_as_described", "operation_of", "operations"]


@cache
def described() -> dict[str, Any]:
    """Returns openapi.json. It does not depend on the store."""
    return create_app("none.db").openapi()


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Lists what is described: method, path, and what is said of it."""
    return [(method, path, each) for path, kinds in described()["paths"].items() for method, each in kinds.items()]


def as_described(answer: httpx2.Response) -> None:
    """Fails where an answer is not as its route says. A redirect, an answer without a body, and a route that is not described pass."""
    operation = operation_of(answer.request.method, answer.request.url.path)
    if operation is None or 300 <= answer.status_code < 400:
        return
    where = f"{answer.request.method} {answer.request.url}: {answer.status_code}"
    responses = operation["responses"]
    status = next((key for key in (str(answer.status_code), f"{answer.status_code // 100}XX") if key in responses), None)
    assert status is not None, f"{where} is not described"
    media_type = answer.headers["content-type"].partition(";")[0]
    if media_type == "text/html" and status == "4XX":  # the same words on a page, for who asks for one
        return
    assert media_type in responses[status]["content"], f"{where}: {media_type} is not described"
    if media_type.endswith("json"):
        schema = json.dumps(responses[status]["content"][media_type]["schema"])
        found = _validator(schema).iter_errors(json.loads(answer.text))
        faults = [f"{'/'.join(map(str, fault.instance_path))}: {fault.message[:300]}" for fault in found]
        assert not faults, f"{where}: {faults}"


def events_as_described(stream: str) -> list[dict[str, str]]:
    """Returns the events of a stream of `/api/v1/events`, each as its fields. Fails where one, or its data, is not as openapi.json says."""
    item = described()["paths"]["/api/v1/events"]["get"]["responses"]["200"]["content"]["text/event-stream"]["itemSchema"]
    found = []
    for block in stream.strip().split("\n\n"):
        event: dict[str, Any] = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        event |= {"retry": int(event["retry"])} if "retry" in event else {}
        _validator(json.dumps(item)).validate(event)
        (kind,) = [each["properties"]["data"] for each in item["oneOf"] if each["properties"]["event"]["const"] == event["event"]]
        _validator(json.dumps(kind["contentSchema"])).validate(json.loads(event["data"]))
        found.append(event)
    return found


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """Returns what openapi.json says of a request; None where its route is not described."""
    for pattern, named in _paths():
        if pattern.fullmatch(path):
            return described()["paths"][named].get(method.lower())
    return None


@cache
def _paths() -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))), path) for path in described()["paths"]]


@cache
def _validator(schema: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({**json.loads(schema), "components": described()["components"]})
