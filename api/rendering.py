"""HTML from templates: the environment, how numbers and times are written, and figures as data that our script draws."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from analysis.figures.style import FAINT, NEUTRAL
from analysis.numbers import as_factor, significant
from api.assets import asset_url
from orchestrator.store import DEFAULT_URL
from scaling.columns import describe
from scaling.outcomes import AttemptOutcome, RunStatus

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["figure_json", "render"]


def render(
    request: Request, template: str, *, code: int = 200, headers: Mapping[str, str] | None = None, **context: Any
) -> HTMLResponse:
    """The page `template` with `context`; every template extends `base.html`."""
    database = request.app.state.database
    text = _environment().get_template(template).render(request=request, store=database.name, db=database.url, **context)
    return HTMLResponse(text, code, headers)


def figure_json(figure: Figure | Mapping[str, Any]) -> Markup:
    """A figure for a `<script type="application/json">`: no `<` in it can end the element early."""
    text = json.dumps(figure, allow_nan=False) if isinstance(figure, Mapping) else str(figure.to_json())
    return Markup(text.replace("<", "\\u003c").replace("&", "\\u0026"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("api"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= _FILTERS
    environment.globals |= {
        "asset_url": asset_url,
        "figure_tokens": {"neutral": NEUTRAL, "faint": FAINT},
        "link": _link,
        "option": _option,
        "tabs": _tabs(),
    }
    return environment


def _tabs() -> list[Any]:
    from api.pages import tabs  # the pages import this module

    return tabs()


def _link(path: str, question: Any = None, **changed: Any) -> str:
    """`path` with the parameters of `question` that are not at their default, some of them changed."""
    given = question.model_dump(exclude_defaults=True) if question is not None else {}
    parameters = {name: value for name, value in {**given, **changed}.items() if value is not None}
    return f"{path}?{urlencode(parameters, doseq=True)}" if parameters else path


def _option(flag: str, value: str | None) -> str:
    """` --db other.db`, or nothing when the value is the default."""
    return f" {flag} {shlex.quote(value)}" if value and value != DEFAULT_URL else ""


def _number(value: float | None, digits: int = 3) -> str:
    """`0.0414`, `2.04·10¹¹`, `–` for what is not known."""
    mantissa, _, exponent = significant(value, digits).partition("e")
    return Markup(f"{mantissa}·10<sup>{_signed(int(exponent))}</sup>") if exponent else mantissa


def _prose(text: object) -> Markup:
    """A sentence for a page: a capital first, and what stands between backticks as code."""
    sentence = _capitalize_first(str(text))
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(sentence))))


def _equation(text: str) -> Markup:
    """`core_hours^-0.310` → an exponent set as one."""
    return Markup(
        re.sub(r"\^(-?)([\w.]+(?:[+-]\d+)?)", lambda found: f"<sup>{'−' if found[1] else ''}{found[2]}</sup>", str(escape(text)))
    )


def _signed(number: int) -> str:
    return f"−{-number}" if number < 0 else str(number)


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _general(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def _time(value: str | None) -> str:
    """`2026-03-01 09:30 UTC`."""
    return "–" if value is None else datetime.fromisoformat(value).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _seconds(value: float | None) -> str:
    """`0.4 s`, `3 min 20 s`, `2 h 05 min`."""
    if value is None:
        return "–"
    if value < 60:
        return f"{value:.1f} s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"


def _label(name: str) -> str:
    """The column's name for people: `core_hours` → `Core-hours`, `val_top1_error` → `1 − validation top-1 accuracy`."""
    share = name.removesuffix("_error")
    return f"1 − {describe(share).label.lower()}" if share != name and describe(share).description else describe(name).label


def _advice(status: str) -> str:
    """What a status or outcome means, in a sentence."""
    return next((member.advice for member in (*RunStatus, *AttemptOutcome) if member == status), "")


def _count_of(items: Iterable[Any] | int, noun: str) -> str:
    """`1 run`, `3 runs`."""
    number = items if isinstance(items, int) else len(list(items))
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _capitalize_first(text: str) -> str:
    """Unlike Jinja's own, leaves the rest as it is: names are in it."""
    return f"{text[:1].upper()}{text[1:]}"


_FILTERS: dict[str, Callable[..., str]] = {
    "advice": _advice,
    "count": _count,
    "count_of": _count_of,
    "equation": _equation,
    "factor": as_factor,
    "general": _general,
    "label": _label,
    "number": _number,
    "percent": _percent,
    "prose": _prose,
    "seconds": _seconds,
    "sh": shlex.quote,
    "time": _time,
}
