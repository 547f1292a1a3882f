"""One shape for every error: `application/problem+json` (RFC 9457) for programs, the same words on a page for people.

    {"type", "title", "status", "detail", "code", "hint", "errors": [{"where", "message"}]}

`code` is stable and names the exception of `scaling.errors` (or the HTTP fault); `hint` is one line of what to do. Some kinds have more
members: `have` and `need` of too few points, and `why`, the section of docs/refused.md that explains a refusal of the analysis.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from api.security import HEADERS
from scaling.errors import ClusterError, ScalingError, StaleToken, StoreError, TooFewPoints, UnknownName, UsageError
from scaling.refusals import why

__all__ = [
    "OPENAPI_RESPONSES",
    "NotFound",
    "VersionGone",
    "code_of",
    "install",
    "naming_a_path",
    "problem",
    "problem_answer",
    "problem_response",
    "status_of",
]

_STATUS: dict[type[ScalingError], HTTPStatus] = {
    StaleToken: HTTPStatus.CONFLICT,
    StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
    ClusterError: HTTPStatus.SERVICE_UNAVAILABLE,
    ScalingError: HTTPStatus.UNPROCESSABLE_ENTITY,  # what was asked for cannot be answered: too few points, an unknown name …
}


class NotFound(UsageError):
    """Reports that the path names something that does not exist."""


class VersionGone(UsageError):
    """Reports that a client's version is of a store that is not this one: it has to begin anew."""


_STATUS |= {NotFound: HTTPStatus.NOT_FOUND, VersionGone: HTTPStatus.GONE}


@contextmanager
def naming_a_path() -> Iterator[None]:
    """Turn `UnknownName` inside the block into `NotFound`: the name is part of the path, so the page does not exist (404, not 422)."""
    try:
        yield
    except UnknownName as error:
        raise NotFound(
            str(error), hint=error.hint if len(error.known) <= 20 else "the page above it lists what there is"
        ) from error


def problem(
    status: int, detail: str, *, code: str = "", hint: str = "", errors: list[dict[str, str]] | None = None, **more: object
) -> dict[str, object]:
    """Make the body of an error. `more`: members of this kind of problem, e.g. `have` and `need`."""
    title = HTTPStatus(status).phrase
    code = code or title.lower().replace(" ", "-")
    return {
        "type": f"urn:scaling:problem:{code}",
        "title": title,
        "status": int(status),
        "detail": detail,
        "code": code,
        "hint": hint,
        "errors": errors or [],
        **more,
    }


def problem_response(status: int, detail: str, *, hint: str) -> Response:
    """Answer an error as JSON, for what answers before the application does."""
    return JSONResponse(
        problem(status, detail, hint=hint), status, {"Cache-Control": "no-store"}, media_type="application/problem+json"
    )


def install(app: FastAPI) -> None:
    """Let every error of `app` leave it in this shape."""
    app.add_exception_handler(ScalingError, _on_scaling_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_fault)
    app.add_exception_handler(Exception, _on_mistake)


async def _on_scaling_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ScalingError)
    more: dict[str, Any] = {"have": error.have, "need": error.need} if isinstance(error, TooFewPoints) else {}
    if section := why(error):
        more["why"] = section
    return problem_answer(request, problem(status_of(type(error)), str(error), code=code_of(type(error)), hint=error.hint, **more))


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [{"where": ".".join(map(str, fault["loc"])), "message": _sentence(fault)} for fault in error.errors()]
    detail = "; ".join(_with_name(entry) for entry in errors)
    hint = "" if _is_for_people(request) else "/openapi.json describes every parameter"
    return problem_answer(request, problem(422, detail, code="invalid-request", hint=hint, errors=errors))


async def _on_http_fault(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail, hint = str(error.detail), ""
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail, hint = (
            f"there is nothing at {request.url.path}",
            "/frontier, /runs and /experiments are pages; /openapi.json describes the API",
        )
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail, hint = f"{request.url.path} does not take {request.method}", f"it takes {(error.headers or {}).get('Allow', 'GET')}"
    return problem_answer(request, problem(error.status_code, detail, hint=hint), error.headers)


async def _on_mistake(request: Request, _error: Exception) -> Response:
    body = problem(
        500, "the server made a mistake while answering", hint="its terminal shows the traceback; please report it with this link"
    )
    return problem_answer(request, body, HEADERS)  # this answer passes no middleware


def problem_answer(request: Request, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Answer an error in the shape that fits who asks: a page for people, JSON for programs."""
    if _is_for_people(request):
        from api.rendering import render

        return render(request, "problem.html", code=body["status"], headers=headers, problem=body)
    return JSONResponse(
        body, body["status"], {**(headers or {}), "Cache-Control": "no-store"}, media_type="application/problem+json"
    )


def _is_for_people(request: Request) -> bool:
    path = request.url.path
    return (
        "text/html" in request.headers.get("accept", "") and not path.startswith("/api/") and not path.endswith((".json", ".csv"))
    )


def code_of(kind: type[ScalingError]) -> str:
    """Write an exception's class as a code: `TooFewPoints` → `too-few-points`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower()


def status_of(kind: type[ScalingError]) -> HTTPStatus:
    """Return the status of an exception's class: its own, or that of the nearest class above it."""
    return next(_STATUS[each] for each in kind.__mro__ if each in _STATUS)


_TAKES = {
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_parsing": "true or false",
    "greater_than": "a number larger than {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than_equal": "a number of at most {le:g}",
    "literal_error": "{expected}",
}
"""What a parameter takes, by the kind of the fault that pydantic found."""


def _sentence(fault: Mapping[str, Any]) -> str:
    """Write a fault of a parameter as `takes a number, found 'abc'`."""
    if fault["type"] == "extra_forbidden":
        return "there is no such parameter"
    if (takes := _TAKES.get(fault["type"])) is not None:
        return f"takes {takes.format(**fault.get('ctx', {}))}, found {fault['input']!r}"
    return f"{fault['msg'][:1].lower()}{fault['msg'][1:]}, found {fault['input']!r}"


def _with_name(entry: Mapping[str, str]) -> str:
    """Write an entry of `errors` with the parameter's name: `at takes a number, found 'abc'`."""
    name = entry["where"].partition(".")[2] or entry["where"]
    return f"{name} {entry['message']}" if entry["message"].startswith("takes ") else f"{name}: {entry['message']}"


_EXAMPLE = problem(
    422,
    "law power has 2 coefficients and needs 3 cells of distinct core_hours; there are 2: 1 more is needed",
    code="too-few-points",
    hint="add epochs or models to the file and `scaling submit` it again",
    have=2,
    need=3,
)
_SCHEMA = {"$ref": "#/components/schemas/Problem"}
OPENAPI_RESPONSES: dict[int | str, dict[str, object]] = {
    status: {"description": words, "content": {"application/problem+json": {"schema": _SCHEMA, "example": _EXAMPLE}}}
    for status, words in (("4XX", "The request cannot be answered as it is."), ("5XX", "The store or the server is at fault."))
}
"""The shape of an error in openapi.json, for `FastAPI(responses=…)`; `api.description` adds its component."""
