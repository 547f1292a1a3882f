"""HTML from templates: the environment of the pages, their links, and how times are written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader

from analysis import presentation
from analysis.questions import Question
from api.assets import asset_url
from api.studies import notes_of
from orchestrator.store import DEFAULT_URL
from orchestrator.store.steering import possible
from scaling.columns import model_title
from scaling.outcomes import AttemptOutcome, RunStatus

if TYPE_CHECKING:
    from api.pages.tab import Tab

__all__ = ["link", "render"]


def render(
    request: Request, template: str, *, code: int = 200, headers: Mapping[str, str] | None = None, **context: Any
) -> HTMLResponse:
    """Render the page `template` with `context`; every template extends `base.html`."""
    database = request.app.state.database
    context |= {
        "seen": _seen(request),
        "can_steer": request.app.state.can_steer,
        "store": database.name,
        "db": database.url,
        "notes": notes_of(database, context.get("question")),
    }
    text = _environment().get_template(template).render(request=request, **context)
    return HTMLResponse(text, code, headers)


def _seen(request: Request) -> dict[str, object]:
    """Say of which version of the store a page is, and of when; nothing where it does not depend on the store."""
    now = datetime.now(UTC)
    version, of = getattr(request.state, "version", ""), getattr(request.state, "of", "")
    return {"version": version, "of": of, "at": round(now.timestamp(), 1), "clock": now.strftime("%H:%M:%S")}


@cache
def _environment() -> Environment:
    environment = presentation.environment(PackageLoader("api"), runs="/runs/")
    environment.filters |= _FILTERS
    environment.globals |= {
        "asset_url": asset_url,
        "link": link,
        "option": _option,
        "possible": possible,
        "tabs": _tabs(),
    }
    return environment


def _tabs() -> list[Tab]:
    from api.pages import tabs  # the pages import this module

    return tabs()


def link(path: str, question: Question | None = None, **changed: object) -> str:
    """Return `path` with the parameters of `question` that are not at their default, some of them changed; None leaves one out."""
    given = {name: "" if value is None else value for name, value in question.changed.items()} if question is not None else {}
    parameters = {name: value for name, value in {**given, **changed}.items() if value is not None}
    return f"{path}?{urlencode(parameters, doseq=True)}" if parameters else path


def _option(flag: str, value: str | None) -> str:
    """Write ` --db other.db`, or nothing when the value is the default."""
    return f" {flag} {shlex.quote(value)}" if value and value != DEFAULT_URL else ""


def _time(value: str | None) -> str:
    """Write a time as `2026-03-01 09:30 UTC`."""
    return "–" if value is None else datetime.fromisoformat(value).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _seconds(value: float | None) -> str:
    """Write a duration as `0.4 s`, `3 min 20 s`, `2 h 05 min`."""
    if value is None:
        return "–"
    if value < 60:
        return f"{value:.1f} s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"


def _advice(status: str) -> str:
    """Say in a sentence what a status or outcome means."""
    return next((member.advice for member in (*RunStatus, *AttemptOutcome) if member == status), "")


_FLAG = re.compile(r"--([a-z][a-z-]*)(?:[ =]([A-Za-z0-9_.%$'-][^\s;)]*))?")
_CHOSEN_RUNS = {
    "where": "Only runs with",
    "price": "Price of a chip-hour",
    "convert": "Core-hours on one accelerator as those of another",
    "cell": "Columns that tell cells apart",
    "clusters": "Columns resampled as one",
}
"""Fields of the macro `chosen_runs`."""


def _in_words(text: object, question: object) -> str:
    """Write what a command says for a page: an option is the field of the form; a clause about one that pages do not have is left out."""
    clauses = re.split(r"(; (?:or )?)", str(text))
    kept = [clauses[0], *(mark + clause for mark, clause in zip(clauses[1::2], clauses[2::2], strict=True))]
    known = [_with_fields(clause, question) for clause in kept]
    words = "".join(clause for clause in known if clause is not None)
    return re.sub(r"^; (or )?", "", words)


def _with_fields(clause: str, question: object) -> str | None:
    """Replace the options of a clause by the fields of a question's form; None where one of them is no field."""
    parameters = question.parameters() if isinstance(question, Question) else {}
    unknown = []

    def field(found: re.Match[str]) -> str:
        name, value = found[1].replace("-", "_"), found[2]
        if name in _CHOSEN_RUNS and name in parameters:
            label = _CHOSEN_RUNS[name]
        elif isinstance(question, Question) and name in parameters and parameters[name].asked.label:
            label = question.label(name)
        else:
            unknown.append(name)
            return ""
        return f"“{label}”{f' {value}' if value else ''}"

    words = _FLAG.sub(field, clause)
    return None if unknown else words


def _offered(text: object) -> str:
    """Write what a command says may be chosen, `--x core_hours|train_flops`, as a list."""
    return re.sub(r"--[a-z][a-z-]* (\w+(?:\|\w+)+)", lambda found: found[1].replace("|", ", "), str(text))


_FILTERS: dict[str, Callable[..., str]] = {
    "advice": _advice,
    "in_words": _in_words,
    "offered": _offered,
    "model_title": model_title,
    "seconds": _seconds,
    "sh": shlex.quote,
    "time": _time,
}
