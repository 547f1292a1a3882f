"""A page of the analysis: its HTML, its JSON in the API and its CSV, from one declaration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar, cast

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from analysis.presentation.left_out import by_reason
from analysis.questions import Question
from api.answered import of_results
from api.asking import asking, command_line
from api.database import Database, TheDatabase
from api.pages.choices import analysis_choices
from api.pages.trouble import attempt
from api.pages.welcome import no_store
from api.rendering import link, render
from api.tables import csv_response, csv_route
from api.v1.resource import Resource

__all__ = ["Page"]

_Asked = TypeVar("_Asked", bound=Question)
_Found = TypeVar("_Found")


@dataclass(frozen=True, kw_only=True)
class Page(Generic[_Asked, _Found]):
    """Declares a page: `page = Page(path="/compare", …)`, `router = page.router`.

    The last part of its path names its template.
    question: what its link asks; its form is made from that, too.
    answer: what it is about. Raises what the analysis raises: what the runs do not allow is part of the page (`trouble`).
    context: for the template, besides `question`, `choices` (of the form), `found`, `trouble`, `excluded`, `command`; may replace these.
    csv: the same numbers as CSV, which a browser saves as `file`.csv; by default what the answer says of itself.
    resource: the same numbers as JSON, in /api/v1; `<path>.json` redirects there. None: the page's module has a route for that.
    opened: changes the question of a link that leaves parameters open; given: the names of those that it sets.
    """

    path: str
    question: type[_Asked]
    answer: Callable[[Database, _Asked], _Found]
    context: Callable[[Database, _Asked, _Found | None], Mapping[str, Any]]
    csv: Callable[[Database, _Asked], str] | None = None
    file: str = ""
    resource: Resource[Any] | None = None
    opened: Callable[[Database, _Asked, frozenset[str]], _Asked] = lambda database, question, given: question

    @cached_property
    def router(self) -> APIRouter:
        """Return the routes of the page; openapi.json describes those for programs."""
        made, name = APIRouter(), self.path.rpartition("/")[2]
        made.add_api_route(f"{self.path}.csv", self._csv(name), **csv_route(f"{self.path}.csv"))
        if self.resource is not None:
            made.add_api_route(f"{self.path}.json", self._to_json(self.resource), include_in_schema=False)
            self.resource.add_to(made, prefix="/api/v1")
        made.add_api_route(self.path, self._html(f"{name.replace('-', '_')}.html"), include_in_schema=False)
        return made

    def _html(self, template: str) -> Callable[..., Response]:
        def page(question: _Asked, database: TheDatabase, request: Request) -> Response:
            if (welcome := no_store(request, database)) is not None:
                return welcome
            question = self.opened(database, question, frozenset(request.query_params))
            found, trouble = attempt(lambda: self.answer(database, question))
            context: dict[str, Any] = {
                "question": question,
                "found": found,
                "trouble": trouble,
                "choices": analysis_choices(database, question),
                "excluded": by_reason(getattr(found, "excluded", ())),
                "command": command_line(question.words(), database.url),
            }
            more = self.context(database, question, found)
            choices = {**context["choices"], **more.get("choices", {})}
            return render(request, template, **{**context, **more, "choices": choices})

        return of_results(asking(self.question, page))

    def _csv(self, name: str) -> Callable[..., Response]:
        def page_as_csv(question: _Asked, database: TheDatabase) -> Response:
            text = self.csv(database, question) if self.csv else cast(Any, self.answer(database, question)).to_csv()
            return csv_response(text, self.file or name)

        return of_results(asking(self.question, page_as_csv))

    def _to_json(self, resource: Resource[Any]) -> Callable[..., Response]:
        def page_as_json(question: _Asked) -> Response:
            return RedirectResponse(link(f"/api/v1/{resource.path}", question.narrowed(resource.question)), 307)

        return asking(self.question, page_as_json)
