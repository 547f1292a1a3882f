"""A resource of the HTTP API: a question, what answers it, and how openapi.json describes both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fastapi import APIRouter, Response

from analysis.questions import Question
from api.answered import of_results
from api.asking import asking
from api.database import Database, TheDatabase
from api.json_answer import answers, json_answer

__all__ = ["Resource"]

_Asked = TypeVar("_Asked", bound=Question)


@dataclass(frozen=True, kw_only=True)
class Resource(Generic[_Asked]):
    """Declares `/api/v1/<path>`.

    question: its parameters. payload: the object that the command prints, too. answers: its schema, of `api.schemas`. summary, description,
    example: for openapi.json.
    """

    path: str
    question: type[_Asked]
    payload: Callable[[Database, _Asked], dict[str, Any]]
    answers: Any
    summary: str
    description: str
    example: dict[str, Any]

    def add_to(self, router: APIRouter, *, prefix: str = "") -> None:
        """Add its route to a router."""

        def answer(question: _Asked, database: TheDatabase) -> Response:
            return json_answer(self.payload(database, question))

        name = self.path.replace("-", "_")
        router.add_api_route(
            f"{prefix}/{self.path}",
            of_results(asking(self.question, answer)),
            name=name,
            operation_id=f"get_{name}",
            tags=["v1"] if prefix else None,
            summary=self.summary,
            description=self.description,
            responses=answers(self.answers, self.example),
        )
