"""How numbers, names and sentences are written in HTML."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from markupsafe import Markup, escape

from analysis.figures.axes import axis_label
from analysis.reading.prices import head_of
from scaling.refusals import why
from scaling.rounding import as_factor, money, percent, significant

__all__ = ["FILTERS", "prose_with_links"]

_RUN_ID = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{8}\b")
"""Sixteen hexadecimal digits, as ids of runs of a store are."""


def _number(value: float | None, digits: int = 3) -> str:
    """Write a number: `0.0414`, `16,873`, `2.04·10¹¹`, `–` for what is not known."""
    mantissa, _, exponent = significant(value, digits).partition("e")
    if not exponent and mantissa.isdecimal() and len(mantissa) > 4:
        return f"{int(mantissa):,}"
    return Markup(f"{mantissa}·10<sup>{_signed(int(exponent))}</sup>") if exponent else mantissa


def _interval(value: Any, digits: int = 3) -> Markup:
    """Write an `Interval` as `1.31 (1.25 … 1.38)`; an end that the data do not bound is ±∞."""
    return Markup(f"{_number(value.value, digits)} ({_number(value.low, digits)} … {_number(value.high, digits)})")


def _prose(text: object) -> Markup:
    """Write a sentence for a page: a capital first, and what stands between backticks as code."""
    sentence = _capitalize_first(str(text))
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(sentence))))


def prose_with_links(runs: str) -> Callable[[object], Markup]:
    """Make the filter `prose`: run ids in its sentences are links, which begin with `runs`."""

    def prose(text: object) -> Markup:
        return Markup(_RUN_ID.sub(rf'<a class="id" href="{escape(runs)}\g<0>">\g<1></a>', str(_prose(text))))

    return prose


def _equation(text: str) -> Markup:
    """Set the exponents of an equation as such: `core_hours^-0.310`, `epochs^-(s + u·ln(N/N0))`."""
    bracketed, plain = r"\((?:[^()]|\([^()]*\))*\)", r"[\w.]+(?:[+-]\d+)?"
    return Markup(
        re.sub(rf"\^(-?)({bracketed}|{plain})", lambda found: f"<sup>{'−' if found[1] else ''}{found[2]}</sup>", str(escape(text)))
    )


def _signed(number: int) -> str:
    return f"−{-number}" if number < 0 else str(number)


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _general(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def _off(log_ratio: float) -> str:
    """Write a log ratio as a change in per cent, e.g. 0.79 as `+120.34 %`."""
    return f"{100 * math.expm1(log_ratio):+.2f} %"


def _count_of(items: Iterable[object] | int, noun: str) -> str:
    """Write a number with its noun: `1 run`, `3 runs`."""
    number = items if isinstance(items, int) else len(list(items))
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _capitalize_first(text: str) -> str:
    """Capitalize the first letter, unless it is of the name of a column. Unlike Jinja's own filter, leave the rest as it is: names are in it."""
    return text if "_" in text.partition(" ")[0] else f"{text[:1].upper()}{text[1:]}"


FILTERS: dict[str, Callable[..., str]] = {
    "change": partial(percent, signed=True),
    "count": _count,
    "count_of": _count_of,
    "equation": _equation,
    "factor": as_factor,
    "general": _general,
    "interval": _interval,
    "label": axis_label,
    "head": head_of,
    "number": _number,
    "money": money,
    "off": _off,
    "percent": _percent,
    "prose": _prose,
    "significant": significant,
    "why": why,
}
