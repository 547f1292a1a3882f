"""What docstrings say of single fields: our docstrings have them as `name: text`, several in a line or one a line."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, is_dataclass
from itertools import zip_longest

from pydantic import BaseModel

__all__ = ["first_sentence", "meanings", "summary"]


def meanings(kind: type) -> dict[str, str]:
    """Return what the docstrings of a class and its bases say of its fields: name → text, of the class itself where both do."""
    found: dict[str, str] = {}
    name = "|".join(map(re.escape, sorted(_names(kind), key=len, reverse=True)))
    start = re.compile(rf"(?:^|(?<=\. )|(?<=; ))(?P<names>(?:{name})(?:, (?:{name}))*): ", re.M)
    for each in reversed(kind.__mro__):
        text = inspect.cleandoc(each.__doc__ or "") if each.__module__ != "builtins" else ""
        places = list(start.finditer(text))
        for place, following in zip_longest(places, places[1:]):
            said = text[place.end() : following.start() if following else len(text)]
            said = " ".join(said.split("\n\n")[0].split()).rstrip(".;, ")
            found |= dict.fromkeys(place["names"].split(", "), _begun(said) + ".")
    return found


def _names(kind: type) -> set[str]:
    """Name the fields of a pydantic model, as a file has them, or of a dataclass."""
    if issubclass(kind, BaseModel):
        return {item.alias or name for name, item in kind.model_fields.items()}
    return {item.name for item in fields(kind)} if is_dataclass(kind) else set()


def _begun(text: str) -> str:
    return text[:1].upper() + text[1:] if text[:1].isascii() else text


def summary(thing: object) -> str:
    """Return the first paragraph of a docstring, in one line."""
    return " ".join(inspect.cleandoc(getattr(thing, "__doc__", "") or "").split("\n\n")[0].split())


def first_sentence(text: str) -> str:
    """Return a text up to its first full stop or question mark that ends a sentence."""
    return re.split(r"(?<=[.:?])\s+(?=[A-Z`\"])", " ".join(text.split()), maxsplit=1)[0].rstrip(":")
