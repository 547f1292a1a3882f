"""`/frontier`: loss against compute, the law, and which model to train for how long."""

from __future__ import annotations

from typing import Any

from analysis import Fit, Frontier, payload
from analysis.automatic import AUTO
from analysis.choice import compared
from analysis.figures import best_model_figure, frontier_figure, residuals_figure
from analysis.laws import law_named
from analysis.presentation import figure_json
from analysis.presentation.left_out import by_reason
from analysis.questions import CHOSEN, FrontierQuestion, ViewQuestion
from api.asking import command_line
from api.database import Database
from api.pages.choices import LAW_CHOICES, laws_of_one_axis
from api.pages.drawing import MOST_MARKS, Drawn, drawn
from api.pages.page import Page
from api.pages.tab import Tab
from api.studies import answer_of, fits_of, frontier_of
from api.v1.resource import Resource
from orchestrator.store import queries
from scaling.errors import DataError, ScalingError, TooFewPoints

__all__ = ["TAB", "router"]

TAB = Tab(1, "/frontier", "Frontier")

ROWS_SHOWN = 500

PLAIN = "power"
"""The form of the study, which is shown beside the law."""

_POINT = {
    "family": "nfnet",
    "model": "nano-F1",
    "params": 61_034,
    "epochs": 4.0,
    "learning_rate": 0.8,
    "seeds": 2,
    "core_hours": 0.00061,
    "val_loss": 0.1402,
    "val_loss_min": 0.1384,
    "val_loss_max": 0.1420,
    "run_ids": ["3f9a0c52e1b7d604", "b01c6dd29fe84a17"],
    "on_frontier": True,
}
_EXAMPLE = {
    "schema_version": 1,
    "answer": {"sentence": "val_loss falls as core_hours^-0.905 (95 %: -0.995 … -0.815). …", "law": "power"},
    "metric": "val_loss",
    "x": "core_hours",
    "points": [_POINT],
    "best": [{"core_hours_from": 0.00061, "core_hours_to": None, "model": "nano-F1", "epochs": 4.0}],
    "runs_used": 2,
    "excluded": [],
}


def _context(database: Database, question: ViewQuestion, frontier: Frontier | None) -> dict[str, Any]:
    """Make the context of the page.

    Raises `UnknownName` and `UsageError`: a link to a law that does not exist, or is of other inputs, is a mistake in the link.
    """
    if question.law not in ("none", AUTO, CHOSEN):
        law_named(question.law)
    with database.read() as session:
        counts = queries.status_counts(session, question.experiment)
    fit: Fit | None = None
    plain: Fit | None = None
    law_trouble: ScalingError | None = None
    if frontier is not None and question.law != "none":
        try:
            fit, *others = fits_of(database, question.fits()).fits
            plain = next((other for other in others if fit.chosen and other.law == PLAIN), None)
        except (TooFewPoints, DataError) as error:
            law_trouble = error
    numbers: dict[str, Any] = {} if frontier is None else _numbers(frontier, fit, plain)
    if frontier is not None:
        numbers["figures"] = database.remember(("figures", question), lambda: _figures(question, numbers["drawn"], fit))
    asked = question.plain if question.law == "none" else question  # which resamples nothing
    return numbers | {
        "fit": fit,
        "plain": plain,
        "law_trouble": law_trouble,
        "choices": {"law": (*LAW_CHOICES, *laws_of_one_axis(), "none")},
        "shown": {"on": fit.on if fit is not None else question.on or "frontier"},
        "counts": counts,
        "command": command_line(asked.words(), database.url),
    }


def _numbers(frontier: Frontier, fit: Fit | None, plain: Fit | None) -> dict[str, object]:
    return {
        "drawn": drawn(frontier),
        "rows": frontier.points.head(ROWS_SHOWN).to_dict("records"),
        "best": frontier.best().to_dict("records"),
        "excluded": by_reason(fit.excluded if fit is not None else frontier.excluded),
        "against": compared(fit, plain) if fit is not None and plain is not None else "",
        "meanings": law_named(fit.law).meanings if fit is not None and not fit.members else {},
    }


def _figures(question: ViewQuestion, shown: Drawn, fit: Fit | None) -> dict[str, object]:
    figures = {
        "frontier": frontier_figure(
            shown.frontier, [fit] if fit is not None else [], x_scale=question.x_scale, y_scale=question.y_scale
        ),
    }
    if shown.frontier.points["on_frontier"].sum() > 1:
        figures["best"] = best_model_figure(shown.frontier, x_scale=question.x_scale, height=420)
    if fit is not None and fit.runs_used <= MOST_MARKS:
        residuals = residuals_figure(fit, x_scale=question.x_scale, height=230)
        residuals.update_layout(xaxis=figures["frontier"].layout.xaxis, yaxis_title_text="Residual (%)", showlegend=False)
        figures["residuals"] = residuals.update_layout(margin={"t": 10, "b": 50})
    return {name: figure_json(figure) for name, figure in figures.items()}


def _payload(database: Database, question: FrontierQuestion) -> dict[str, Any]:
    return payload(frontier_of(database, question), answer=answer_of(database, question))


router = Page(
    path=TAB.path,
    question=ViewQuestion,
    answer=frontier_of,
    context=_context,
    resource=Resource(
        path="frontier",
        question=FrontierQuestion,
        payload=_payload,
        summary="Cells in order of compute, and which of them no other beats",
        description="The object that `scaling frontier --json` prints, without `best_loss` and `frontier_share` of the points. `answer` is null where there is no law.",
        example=_EXAMPLE,
    ),
).router
