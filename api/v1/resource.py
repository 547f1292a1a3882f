"""A resource of the HTTP API: a question, what answers it, and how openapi.json describes both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter

from analysis.questions import Question
from api.answered import of_results
from api.asking import asks
from api.database import Database, TheDatabase

__all__ = ["Resource"]

_Asked = TypeVar("_Asked", bound=Question)


@dataclass(frozen=True, kw_only=True)
class Resource(Generic[_Asked]):
    """Declares `/api/v1/<path>`.

    question: its parameters. payload: the object that the command prints, too. summary, description, example: for openapi.json.
    """

    path: str
    question: type[_Asked]
    payload: Callable[[Database, _Asked], dict[str, Any]]
    summary: str
    description: str
    example: dict[str, Any]

    def add_to(self, router: APIRouter, *, prefix: str = "") -> None:
        """Add its route to a router."""

        def answer(question: _Asked, database: TheDatabase) -> dict[str, object]:
            return self.payload(database, question)

        of_results(answer)
        answer.__annotations__["question"] = Annotated[self.question, asks(self.question)]
        router.add_api_route(
            f"{prefix}/{self.path}",
            answer,
            name=self.path.replace("-", "_"),
            tags=["v1"] if prefix else None,
            summary=self.summary,
            description=self.description,
            responses={200: {"content": {"application/json": {"example": self.example}}}},
        )
