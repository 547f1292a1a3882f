"""`/frontier/halving`: which runs halve the interval of a forecast; the target's panel shows it in place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from analysis import Halving, frontier, halve, payload
from analysis.planning.neighbours import a_tenth_and_ten_times
from analysis.questions import HalvingQuestion
from api.asking import command_line
from api.database import Database
from api.pages.page import Page
from api.schemas.planning import HalvingAnswer
from api.studies import runs_of
from api.v1.resource import Resource

__all__ = ["router"]

_EXAMPLE = {
    "schema_version": 1,
    "metric": "val_loss",
    "x": "core_hours",
    "at": 0.13,
    "sentence": "val_loss at 0.130 core_hours is 0.0810 (0.0740 … 0.0900); of that variance 62 % seed noise, …",
    "parts": [{"part": "seeds", "share": 0.62, "words": "seed noise"}],
    "ways": [
        {
            "way": "larger",
            "times": 4.0,
            "cost": 0.1,
            "width": 0.5,
            "halves": True,
            "words": "runs up to 4.0 times the largest compute",
        }
    ],
    "cheapest": {"way": "larger", "halves": True},
}


def _with_target(database: Database, question: HalvingQuestion) -> HalvingQuestion:
    if question.target is not None:
        return question
    _, target = a_tenth_and_ten_times(frontier(runs_of(database, question), metric=question.metric, x=question.x))
    return replace(question, target=target)


def _halving(database: Database, question: HalvingQuestion) -> Halving:
    """Look for what halves the interval. Raises what `analysis.halve` raises."""

    def made() -> Halving:
        asked = _with_target(database, question)
        assert asked.target is not None
        return halve(runs_of(database, asked), target=asked.target, metric=asked.metric, x=asked.x, clusters=asked.clusters)

    return database.remember(("halving", question), made)


def _context(database: Database, question: HalvingQuestion, found: Halving | None) -> dict[str, Any]:
    if found is None:
        return {"choices": {"target": ""}, "command": ""}
    asked = replace(question, target=found.target)
    return {"choices": {"target": f"{found.target:g}"}, "command": command_line(asked.words(), database.url)}


router = Page(
    path="/frontier/halving",
    question=HalvingQuestion,
    answer=_halving,
    context=_context,
    resource=Resource(
        path="halving",
        question=HalvingQuestion,
        payload=lambda database, question: payload(_halving(database, question)),
        answers=HalvingAnswer,
        summary="Where the interval of a forecast comes from, and what halves it for least",
        description="The object that `scaling plan --halve --json` prints; the candidates are cells like those that were run.",
        example=_EXAMPLE,
    ),
).router
