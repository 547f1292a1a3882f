"""`/frontier`: loss against compute, the law, and which model to train for how long."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastapi import Response

from analysis import Answer, Fit, Frontier, Regret, payload
from analysis.automatic import AUTO
from analysis.choice import compared
from analysis.figures import best_model_figure, frontier_figure, residuals_figure
from analysis.figures.style import looks
from analysis.headline import headline
from analysis.laws import law_named
from analysis.presentation import figure_json
from analysis.presentation.left_out import by_reason
from analysis.questions import CHOSEN, BesideQuestion, ClusteredQuestion, HalvingQuestion, ViewQuestion
from analysis.reference_points.beside import References
from analysis.reference_points.read import NAMES, TOP1
from api.answered import of_results
from api.asking import asking, command_line
from api.database import Database, TheDatabase
from api.pages.choices import LAW_CHOICES, laws_of_one_axis
from api.pages.drawing import MOST_MARKS, Drawn, drawn
from api.pages.page import Page
from api.pages.tab import Tab
from api.pages.target import AHEAD, target
from api.pages.trouble import attempt
from api.schemas.frontier import FrontierAnswer
from api.studies import answer_of, fits_of, frontier_of, references_beside, regret_of
from api.tables import csv_response, csv_route
from api.v1.resource import Resource
from orchestrator.store import queries
from scaling.errors import DataError, ScalingError, TooFewPoints, UnknownName

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TAB", "router"]

TAB = Tab(1, "/frontier", "Frontier")

ROWS_SHOWN = 150

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
    "headline": "val_loss falls as core_hours^-0.905 (95 %: -0.995 … -0.815). … Best there: nano-F3 at 32 epochs; choosing it costs at most 0.40 % …",
    "answer": {"sentence": "val_loss falls as core_hours^-0.905 (95 %: -0.995 … -0.815). …", "law": "power"},
    "regret": {"sentence": "Choosing nano-F1 at 4 epochs costs at most 0.40 % of val_loss …", "level": 0.95, "choices": []},
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
    cost = _regret(database, question) if frontier is not None else None
    said = _said(database, question, fit)
    references, no_references = attempt(lambda: references_beside(database, question) if frontier is not None else None)
    numbers: dict[str, Any] = {} if frontier is None else _numbers(frontier, fit, plain)
    if frontier is not None:
        seen, among = replace(question, at=None, focus=None), database.runs_frame(question.experiment)
        numbers["figures"] = database.remember(("figures", seen), lambda: _figures(seen, numbers["drawn"], fit, references, among))
        numbers["models"] = list(looks(frontier.points, among))
        if question.focus not in (None, *numbers["models"]):
            raise UnknownName("model", str(question.focus), numbers["models"])
    if fit is not None and frontier is not None and cost is not None:
        numbers |= {"target": target(question, fit, frontier, cost), "laws": _laws(fit)}
    asked = question.plain if question.law == "none" else question  # which resamples nothing
    return numbers | {
        "fit": fit,
        "said": said,
        "headline": "" if said is None else headline(said, cost),
        "halving": _halving(question),
        "plain": plain,
        "law_trouble": law_trouble,
        "references": references,
        "no_references": no_references,
        "reference_command": _reference_command(database, question),
        "choices": {"law": (*LAW_CHOICES, *laws_of_one_axis(), "none"), **_without_references(question)},
        "shown": {"on": fit.on if fit is not None else question.on or "frontier"},
        "counts": counts,
        "command": command_line(asked.words(), database.url),
    }


def _said(database: Database, question: ViewQuestion, fit: Fit | None) -> Answer | None:
    """Return what the law says that is drawn; of the forecast, which has no exponent, what the law of these runs says. None without one."""
    if fit is None:
        return None
    return fit.answer if fit.members is None else answer_of(database, replace(question, law=CHOSEN))


def _regret(database: Database, question: ViewQuestion) -> Regret | None:
    try:
        return regret_of(database, question)
    except (TooFewPoints, DataError):
        return None


def _laws(fit: Fit) -> list[dict[str, Any]]:
    """List the laws to switch to, the one that forecasts best first, each with the error of its forecasts in the back-test."""
    test = fit.tested
    errors: Mapping[str, float] = {} if test is None else test.forecast_errors
    names = sorted(laws_of_one_axis(), key=lambda name: errors.get(name, math.inf))
    known = [
        {"law": name, "words": name, "error": errors.get(name), "is_shown": fit.law == name and fit.members is None}
        for name in names
    ]
    forecast = {
        "law": AUTO,
        "words": "forecast",
        "error": None if test is None else test.average_error,
        "is_shown": fit.members is not None,
    }
    return [*known, forecast]


def _halving(question: ViewQuestion) -> HalvingQuestion:
    return HalvingQuestion(**vars(question.narrowed(ClusteredQuestion)), target=question.at)


def _without_references(question: ViewQuestion) -> dict[str, None]:
    """Leave the choice of reference points out of the form where the package has none of the metric."""
    return {} if question.metric.endswith(TOP1) or question.reference else {"reference": None}


def _reference_command(database: Database, question: ViewQuestion) -> str | None:
    if question.reference is None:
        return None
    names = NAMES if question.reference == "all" else (question.reference,)
    words = ["scaling", "frontier", *question.plain.words()[2:]]
    return command_line([*words, *(word for name in names for word in ("--reference", name))], database.url)


def _references_csv(question: ViewQuestion, database: TheDatabase) -> Response:
    """Answer the reference points of a link as CSV, with their sources; a head alone where it asks for none."""
    found = references_beside(database, question)
    return csv_response(found.to_csv() if found is not None else "name\n", "reference-points")


def _numbers(frontier: Frontier, fit: Fit | None, plain: Fit | None) -> dict[str, object]:
    return {
        "drawn": drawn(frontier),
        "rows": frontier.points.head(ROWS_SHOWN).to_dict("records"),
        "best": frontier.best().to_dict("records"),
        "excluded": by_reason(fit.excluded if fit is not None else frontier.excluded),
        "against": compared(fit, plain) if fit is not None and plain is not None else "",
        "meanings": law_named(fit.law).meanings if fit is not None and not fit.members else {},
    }


def _figures(
    question: ViewQuestion, shown: Drawn, fit: Fit | None, references: References | None, among: pd.DataFrame
) -> dict[str, object]:
    figures = {
        "frontier": frontier_figure(
            shown.frontier,
            [fit] if fit is not None else [],
            references=references,
            among=among,
            extrapolate=AHEAD,
            x_scale=question.x_scale,
            y_scale=question.y_scale,
        ),
    }
    if shown.frontier.points["on_frontier"].sum() > 1:
        figures["best"] = best_model_figure(shown.frontier, among=among, x_scale=question.x_scale, height=420)
    if fit is not None and fit.runs_used <= MOST_MARKS:
        residuals = residuals_figure(fit, x_scale=question.x_scale, height=230)
        residuals.update_layout(xaxis=figures["frontier"].layout.xaxis, yaxis_title_text="Residual (%)", showlegend=False)
        figures["residuals"] = residuals.update_layout(margin={"t": 10, "b": 50})
    return {name: figure_json(figure) for name, figure in figures.items()}


def _payload(database: Database, question: BesideQuestion) -> dict[str, Any]:
    beside = references_beside(database, question)
    cost = regret_of(database, question)
    return payload(frontier_of(database, question), answer=answer_of(database, question), regret=cost, references=beside)


router = Page(
    path=TAB.path,
    question=ViewQuestion,
    answer=frontier_of,
    context=_context,
    resource=Resource(
        path="frontier",
        question=BesideQuestion,
        payload=_payload,
        answers=FrontierAnswer,
        summary="Cells in order of compute, and which of them no other beats",
        description="The object that `scaling frontier --json` prints, without `best_loss` and `frontier_share` of the points. `answer` is null where there is no law. "
        "With `reference`, `reference_points` are results of others, each with its compute as stated and as converted, and its source.",
        example=_EXAMPLE,
    ),
).router

_POINTS = f"{TAB.path}/reference-points.csv"
router.add_api_route(_POINTS, of_results(asking(ViewQuestion, _references_csv)), **csv_route(_POINTS))
