"""`FLOP/(6*params)` as a list of factors: products, quotients and parentheses of units, numbers and column names."""

from __future__ import annotations

import re
from collections.abc import Collection

from scaling.errors import UsageError

__all__ = ["factors"]

_HINT = "write a product or quotient of a unit, numbers and columns: seconds*n_gpus, FLOP/(6*params)"
_OPERAND = re.compile(r"[^\s*/()]+")


def factors(text: str, names: Collection[str]) -> list[tuple[str, int]]:
    """Return each operand with its exponent, 1 or -1: `a/(6*b)` → `[("a", 1), ("6", -1), ("b", -1)]`.

    names: of columns and units; one that holds a blank, a slash or another sign is found as a whole, the longest first.
    Raises `UsageError` for a text that is not such an expression, and names the place.
    """
    found, place = _product(text, 0, 1, sorted(names, key=len, reverse=True))
    if place < len(text):
        sign = text[place]
        raise UsageError(
            f"{text!r} has a closing parenthesis without an opening one"
            if sign == ")"
            else f"{text!r}: * or / is missing before {text[place:]!r}",
            hint=_HINT,
        )
    return found


def _product(text: str, place: int, exponent: int, names: list[str]) -> tuple[list[tuple[str, int]], int]:
    """Read the operands from `place` on up to the end or a closing parenthesis. Returns them, and where that is."""
    found, place = _operand(text, _skip(text, place), exponent, names)
    while (place := _skip(text, place)) < len(text) and text[place] in "*/":
        sign = exponent if text[place] == "*" else -exponent
        more, place = _operand(text, _skip(text, place + 1), sign, names)
        found += more
    return found, place


def _operand(text: str, place: int, exponent: int, names: list[str]) -> tuple[list[tuple[str, int]], int]:
    if text.startswith("(", place):
        found, end = _product(text, place + 1, exponent, names)
        if not text.startswith(")", end):
            raise UsageError(f"{text!r} has a parenthesis that is not closed", hint=_HINT)
        return found, end + 1
    for name in names:
        end = place + len(name)
        if name and text.startswith(name, place) and (end == len(text) or text[end] in " \t*/()"):
            return [(name, exponent)], end
    plain = _OPERAND.match(text, place)
    if plain is None:
        where = f"before {text[place:]!r}" if place < len(text) else "at its end"
        raise UsageError(f"{text!r}: a unit, number or column is missing {where}", hint=_HINT)
    return [(plain[0], exponent)], plain.end()


def _skip(text: str, place: int) -> int:
    while place < len(text) and text[place].isspace():
        place += 1
    return place
