"""`/frontier`: loss against compute, the law, and which model to train for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from analysis import Fit, Frontier, payload
from analysis.automatic import AUTO
from analysis.choice import compared
from analysis.figures import best_model_figure, frontier_figure, residuals_figure
from analysis.laws import law_named
from analysis.presentation import figure_json
from analysis.presentation.left_out import by_reason
from api.database import Database, TheDatabase
from api.pages.choices import LAW_CHOICES, analysis_choices, laws_of_one_axis
from api.pages.drawing import MOST_MARKS, Drawn, drawn
from api.pages.tab import Tab
from api.pages.welcome import no_store
from api.questions import CHOSEN, ViewQuestion
from api.rendering import render
from api.studies import answer_of, fits_of, frontier_of
from api.tables import csv_response
from orchestrator.store import queries
from scaling.errors import DataError, ScalingError, TooFewPoints, UnknownName, UsageError

__all__ = ["TAB", "router"]

TAB = Tab(1, "/frontier", "Frontier")

ROWS_SHOWN = 500

PLAIN = "power"
"""The form of the study, which stands beside the law."""

router = APIRouter()


@dataclass(frozen=True)
class Answer:
    """What there is to show: a frontier and a law, with the plain form beside it where that is another, or the reason why not (`trouble`
    for neither, `law_trouble` for no law)."""

    frontier: Frontier | None = None
    fit: Fit | None = None
    plain: Fit | None = None
    trouble: ScalingError | None = None
    law_trouble: ScalingError | None = None


@router.get("/frontier.json")
def frontier_as_json(question: Annotated[ViewQuestion, Query()], database: TheDatabase) -> dict[str, Any]:
    return payload(frontier_of(database, question), answer=answer_of(database, question))


@router.get("/frontier.csv")
def frontier_as_csv(question: Annotated[ViewQuestion, Query()], database: TheDatabase) -> Response:
    return csv_response(frontier_of(database, question).to_csv(), "frontier")


@router.get("/frontier")
def frontier_page(question: Annotated[ViewQuestion, Query()], database: TheDatabase, request: Request) -> Response:
    if (welcome := no_store(request, database)) is not None:
        return welcome
    with database.read() as session:
        counts = queries.status_counts(session, question.experiment)
    answer = _answer(database, question)
    context: dict[str, Any] = {"shown": None, "figures": {}, "best": [], "excluded": [], "meanings": {}, "against": ""}
    if answer.frontier is not None:
        context |= _numbers(answer.frontier, answer.fit, answer.plain)
        context["figures"] = database.remember(("figures", question), lambda: _figures(question, context["shown"], answer))
    return render(
        request,
        "frontier.html",
        question=question,
        choices={
            **analysis_choices(database, question),
            "law": (*LAW_CHOICES, *laws_of_one_axis(), "none"),
        },
        answer=answer,
        on=answer.fit.on if answer.fit is not None else question.on or "frontier",
        counts=counts,
        command=question.command(database.url),
        **context,
    )


def _answer(database: Database, question: ViewQuestion) -> Answer:
    """Raises `UnknownName`: a link to a metric or law that does not exist is a mistake in the link."""
    if question.law not in ("none", AUTO, CHOSEN):
        law_named(question.law)
    try:
        frontier = frontier_of(database, question)
    except UnknownName:
        raise
    except (TooFewPoints, DataError, UsageError) as error:
        return Answer(trouble=error)
    if question.law == "none":
        return Answer(frontier)
    try:
        (fit, *others), _ = fits_of(database, question.fits)
    except (TooFewPoints, DataError) as error:
        return Answer(frontier, law_trouble=error)
    return Answer(frontier, fit, next((other for other in others if fit.chosen and other.law == PLAIN), None))


def _numbers(frontier: Frontier, fit: Fit | None, plain: Fit | None) -> dict[str, object]:
    return {
        "shown": drawn(frontier),
        "rows": frontier.points.head(ROWS_SHOWN).to_dict("records"),
        "best": frontier.best().to_dict("records"),
        "excluded": by_reason(fit.excluded if fit is not None else frontier.excluded),
        "against": compared(fit, plain) if fit is not None and plain is not None else "",
        "meanings": law_named(fit.law).meanings if fit is not None and not fit.members else {},
    }


def _figures(question: ViewQuestion, shown: Drawn, answer: Answer) -> dict[str, object]:
    fits = [answer.fit] if answer.fit is not None else []
    figures = {
        "frontier": frontier_figure(shown.frontier, fits, x_scale=question.x_scale, y_scale=question.y_scale),
    }
    if shown.frontier.points["on_frontier"].sum() > 1:
        figures["best"] = best_model_figure(shown.frontier, x_scale=question.x_scale, height=420)
    if answer.fit is not None and answer.fit.runs_used <= MOST_MARKS:
        residuals = residuals_figure(answer.fit, x_scale=question.x_scale, height=230)
        residuals.update_layout(xaxis=figures["frontier"].layout.xaxis, yaxis_title_text="Residual (%)", showlegend=False)
        figures["residuals"] = residuals.update_layout(margin={"t": 10, "b": 50})
    return {name: figure_json(figure) for name, figure in figures.items()}
