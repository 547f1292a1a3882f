"""How a link asks: the query parameters that a question has, checked, and the command that answers the same."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from analysis.questions import Parameter, Question
from orchestrator.store import DEFAULT_URL
from scaling.columns import column_name

__all__ = ["asking", "asks", "command_line"]

_Route = TypeVar("_Route", bound=Callable[..., Any])


class _Link(BaseModel):
    """Refuses an unknown parameter of a link, so that a misspelt filter never passes for no filter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Drop the empty fields that a form sends: an empty text becomes None where None is an answer."""
        kept = {name: [one for one in value if one != ""] if isinstance(value, list) else value for name, value in given.items()}
        optional = {name for name, each in cls.model_fields.items() if NoneType in get_args(each.annotation)}
        return {name: None if name in optional and value in ("", []) else value for name, value in kept.items()}


def asks(question: type[Question]) -> Any:
    """Make a parameter of a route, `Annotated[FitsQuestion, asks(FitsQuestion)]`: the question that its link asks.

    Columns have our names in it.
    """
    names = question.parameters().items()
    link: Any = create_model(question.__name__, __base__=_Link, **{name: _field(each) for name, each in names})

    def read(link: BaseModel) -> Question:
        asked = question(**{name: _ours(each, getattr(link, name)) for name, each in names})
        asked.check()
        return asked

    read.__annotations__["link"] = Annotated[link, Query()]
    return Depends(read)


def asking(question: type[Question], route: _Route) -> _Route:
    """Let the parameter `question` of a route that serves several questions be this one."""
    route.__annotations__["question"] = Annotated[question, asks(question)]
    return route


def command_line(words: list[str], db: str) -> str:
    """Write a command for a shell; with the store, unless it is the default or a URL.

    A URL may hold a password, and SCALING_DB has it.
    """
    return shlex.join([*words, *(["--db", db] if db != DEFAULT_URL and "://" not in db else [])])


def _field(each: Parameter) -> Any:
    asked = each.asked
    return each.type, Field(each.default, description=asked.help or None, ge=asked.least, gt=asked.above, le=asked.most)


def _ours(each: Parameter, value: Any) -> Any:
    return ",".join(column_name(name.strip()) for name in value.split(",")) if each.asked.is_column else value
