"""`/compare`: two families or recipes at equal compute."""

from __future__ import annotations

from typing import Annotated

import pandas as pd
from fastapi import APIRouter, Query, Request, Response

from analysis import payload
from analysis.figures import comparison_figure
from analysis.presentation import figure_json
from analysis.presentation.left_out import by_reason
from api.database import Database, TheDatabase
from api.pages.choices import analysis_choices
from api.pages.tab import Tab
from api.pages.trouble import attempt
from api.pages.welcome import no_store
from api.questions import CompareQuestion
from api.rendering import render
from api.studies import comparison_of
from api.tables import csv_response

__all__ = ["TAB", "router"]

TAB = Tab(5, "/compare", "Compare")

SIDES = ("family", "model", "dataset", "epochs", "batch_size", "learning_rate", "accelerator")
"""Columns that may tell two sides apart, where they have at least two values; a link may name any other."""

MOST_VALUES = 60

router = APIRouter()

Asked = Annotated[CompareQuestion, Query()]


@router.get("/compare.json")
def comparison_as_json(question: Asked, database: TheDatabase) -> dict[str, object]:
    return payload(comparison_of(database, question))


@router.get("/compare.csv")
def comparison_as_csv(question: Asked, database: TheDatabase) -> Response:
    return csv_response(comparison_of(database, question).to_csv(), "compare")


@router.get("/compare")
def comparison_page(question: Asked, database: TheDatabase, request: Request) -> Response:
    if (welcome := no_store(request, database)) is not None:
        return welcome
    question = _first_look(database, question)
    comparison, trouble = attempt(lambda: comparison_of(database, question))
    return render(
        request,
        "compare.html",
        question=question,
        choices=_choices(database, question),
        comparison=comparison,
        trouble=trouble,
        excluded=by_reason(comparison.excluded) if comparison is not None else [],
        figure=figure_json(comparison_figure(comparison)) if comparison is not None else None,
        command=question.command(database.url),
    )


def _first_look(database: Database, question: CompareQuestion) -> CompareQuestion:
    """A page that is opened without a question compares, of the first column that tells finished runs apart, the two values with the most runs; where
    several have as many, those with the smallest and the largest models."""
    if question.model_fields_set & {"by", "a", "b"}:
        return question
    runs = database.runs_frame(question.experiment)
    runs = runs[runs["status"] == "finished"]
    for name in SIDES:
        sides = runs.groupby(name)["params"].agg(["size", "max"])
        if len(sides) > 1:
            most = sides[sides["size"] >= sides["size"].nlargest(2).iloc[-1]].sort_values("max")
            return question.model_copy(update={"by": name, "a": _label(most.index[0]), "b": _label(most.index[-1])})
    return question


def _choices(database: Database, question: CompareQuestion) -> dict[str, object]:
    runs = database.runs_frame(question.experiment)  # all of them: a condition that fits none must not empty the form
    by = [name for name in SIDES if runs[name].nunique() > 1]
    values = [_label(value) for value in runs[question.by].dropna().drop_duplicates()] if question.by in runs else []
    return {
        **analysis_choices(database, question),
        "by": by if question.by in by else [*by, question.by],
        "side": sorted(values)[:MOST_VALUES],
    }


def _label(value: object) -> str:
    """As `analysis.compare` spells it: 64 for 64.0."""
    return f"{value:g}" if pd.api.types.is_float(value) else str(value)
