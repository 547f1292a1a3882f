"""The buttons of the pages that change runs: forms that say what became of it. And `/login`, where a browser shows the token once.

`api.guard` lets a form through before it comes here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from api.database import TheDatabase
from api.guard import COOKIE, Login
from api.pages.welcome import no_store
from api.problems import NotFound
from api.rendering import link, render
from api.v1.steering import ACTIONS, Which, WhichAndPriority, exclude_or_include, steer
from orchestrator.store import queries, steering
from orchestrator.store.steering import Steer
from scaling.errors import UnknownName, UsageError

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


async def _form(request: Request) -> dict[str, list[str]]:
    return parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=2000)


Intent = Annotated[int, Path(ge=1, le=2**31 - 1)]
Form = Annotated[dict[str, list[str]], Depends(_form)]


@router.get("/login")
def login_page(request: Request, back: str = "/runs") -> Response:
    return _login_page(request, back)


@router.post("/login")
def log_in(request: Request, form: Form) -> Response:
    login: Login = request.app.state.login  # the guard lets nobody here where there is none
    back = _one(form, "back") or "/runs"
    if not login.is_token(_one(form, "token").strip()):
        return _login_page(request, back, code=401, is_wrong=True)
    answer = RedirectResponse(_ours(back), 303)
    answer.set_cookie(COOKIE, login.cookie, httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return answer


@router.post("/logout")
def log_out(request: Request) -> Response:
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return answer


@router.post("/steer/{action}")
def steer_by_form(action: str, form: Form, database: TheDatabase) -> Response:
    """Do what a button says, and show what became of it."""
    back = _ours(_one(form, "back") or "/runs")
    if action == "exclude":
        reason = None if "undo" in form else _one(form, "reason").strip()
        if reason == "":
            raise UsageError("a run is excluded for a reason, which every fit shows", hint="go back and write it")
        exclude_or_include(database, _one(form, "run"), reason)
        return RedirectResponse(back, 303)
    if action not in ACTIONS:
        raise UnknownName("action", action, [*map(str, ACTIONS), "exclude"])
    found = steer(database, Steer(action), _which(action, form))
    return RedirectResponse(link(f"/steered/{found.intent}", back=back), 303)


@router.get("/steered/{intent}")
def steered_page(intent: Intent, request: Request, database: TheDatabase, back: str = "/runs") -> Response:
    if (welcome := no_store(request, database)) is not None:
        return welcome
    with database.read() as session:
        found, scheduler = steering.intent_of(session, intent), queries.scheduler(session)
    if found is None:
        raise NotFound(f"nothing was asked for under the number {intent}", hint="/runs shows the runs as they are")
    return render(request, "steered.html", intent=found, scheduler=scheduler, back=_ours(back))


def _which(action: str, form: Mapping[str, list[str]]) -> Which:
    given: dict[str, Any] = {"runs": tuple(form.get("run", ())), "experiment": _one(form, "experiment") or None}
    try:
        if action == Steer.PRIORITY:
            return WhichAndPriority.model_validate({**given, "priority": _one(form, "priority")})
        return Which.model_validate(given)
    except ValidationError as error:
        if not given["runs"] and given["experiment"] is None:
            raise UsageError("no run is ticked", hint="tick runs in the table first") from error
        fault = error.errors()[0]
        raise UsageError(f"{fault['loc'][0]}: {fault['msg'].lower()}", hint="go back and change it") from error


def _login_page(request: Request, back: str, *, code: int = 200, is_wrong: bool = False) -> Response:
    login: Login | None = request.app.state.login
    is_in = login is not None and login.allows(request)
    headers = {"Cache-Control": "no-store"}
    return render(
        request,
        "login.html",
        code=code,
        headers=headers,
        has_token=login is not None,
        is_in=is_in,
        is_wrong=is_wrong,
        back=_ours(back),
    )


def _ours(back: str) -> str:
    """Return a path of this server; one that leads to another site, as `//evil.example` does, becomes /runs."""
    return back if back.startswith("/") and not back.startswith(("//", "/\\")) and back.isprintable() else "/runs"


def _one(form: Mapping[str, list[str]], name: str) -> str:
    return form.get(name, [""])[0]
