"""Every route of the HTTP API: parameters and answer, as openapi.json has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from api.app import create_app
from docs.reference.markdown import code, link, table

__all__ = ["text"]


def text() -> str:
    return "\n\n".join(_parts(create_app("scaling.db").openapi()))


def _parts(api: Mapping[str, Any]) -> Iterator[str]:
    yield table(
        ("route", "what it answers"),
        (
            (link(code(f"{method.upper()} {path}")), _sentence(route["summary"]))
            for path, methods in api["paths"].items()
            for method, route in methods.items()
        ),
    )
    for path, methods in api["paths"].items():
        for method, route in methods.items():
            yield f"## `{method.upper()} {path}`"
            yield _sentence(route["summary"])
            if route.get("description"):
                yield " ".join(route["description"].split("\n\n")[0].split())
            if route.get("parameters"):
                yield table(("parameter", "takes", "default", "meaning"), map(_parameter, route["parameters"]))
            if body := route.get("requestBody"):
                yield f"Body: {_kind(_schema(body))}."
            for status, answer in route["responses"].items():
                if status.startswith("2"):
                    yield f"Answer {status}: {_kind(_schema(answer))}."
    schemas = api.get("components", {}).get("schemas", {})
    if schemas:
        yield "## Objects"
    for name, schema in sorted(schemas.items()):
        yield f"### `{name}`"
        if schema.get("description"):
            yield " ".join(schema["description"].split("\n\n")[0].split())
        if fields := schema.get("properties"):
            yield table(
                ("field", "kind", "meaning"),
                ((code(key), _kind(each), _words(each.get("description", ""))) for key, each in fields.items()),
            )
        else:
            yield f"{_kind(schema)}."


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."


def _words(text: str) -> str:
    return " ".join(text.split())


def _schema(content: Mapping[str, Any]) -> Mapping[str, Any]:
    kinds = content.get("content", {})
    return next(iter(kinds.values())).get("schema", {}) if kinds else {"type": "null"}


def _parameter(each: Mapping[str, Any]) -> tuple[str, ...]:
    schema = each.get("schema", {})
    default = schema.get("default")
    shown = (
        "required"
        if each.get("required")
        else ""
        if default in (None, "", [])
        else code(str(default).lower() if default is True or default is False else default)
    )
    return code(each["name"]), _kind(schema), shown, _words(each.get("description", "") or schema.get("description", ""))


def _kind(schema: Mapping[str, Any]) -> str:
    """Say in words what a JSON schema allows."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{code(name)}](#{name.lower()})"
    if choices := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return " or ".join(dict.fromkeys(map(_kind, choices)))
    if "enum" in schema:
        return ", ".join(map(code, schema["enum"]))
    if "const" in schema:
        return code(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if schema.get("type") == "object":
        inside = schema.get("additionalProperties")
        return f"mapping to {_kind(inside)}" if isinstance(inside, dict) and inside else "object"
    words = {"number": "number", "integer": "whole number", "string": "text", "boolean": "true or false", "null": "null"}
    kind = schema.get("type", "")
    return " or ".join(words[each] for each in kind) if isinstance(kind, list) else words.get(kind, "any")
