"""`/learning-rate`: how the best learning rate falls with the epoch budget and with size."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from analysis import CellRate, LearningRateTrend, payload
from analysis.figures import learning_rate_figure
from analysis.presentation import figure_json
from analysis.presentation.left_out import by_reason
from api.database import TheDatabase
from api.pages.choices import METRICS
from api.pages.tab import Tab
from api.pages.welcome import no_store
from api.questions import LearningRateQuestion
from api.rendering import render
from api.studies import cell_rate, trend_of
from api.tables import csv_response
from orchestrator.store import queries
from scaling.errors import DataError, ScalingError, TooFewPoints, UnknownName, UsageError

__all__ = ["TAB", "router"]

TAB = Tab(4, "/learning-rate", "Learning rate")

router = APIRouter()


@router.get("/learning-rate.json")
def learning_rate_as_json(question: Annotated[LearningRateQuestion, Query()], database: TheDatabase) -> dict[str, object]:
    return payload(trend_of(database, question), cell=cell_rate(database, question))


@router.get("/learning-rate.csv")
def learning_rate_as_csv(question: Annotated[LearningRateQuestion, Query()], database: TheDatabase) -> Response:
    return csv_response(trend_of(database, question).to_csv(), "learning-rate")


@router.get("/learning-rate")
def learning_rate_page(question: Annotated[LearningRateQuestion, Query()], database: TheDatabase, request: Request) -> Response:
    if (welcome := no_store(request, database)) is not None:
        return welcome
    with database.read() as session:
        experiments = queries.experiments(session)
    trend: LearningRateTrend | None = None
    cell: CellRate | None = None
    trouble: ScalingError | None = None
    cell_trouble: ScalingError | None = None
    try:
        trend = trend_of(database, question)
    except UnknownName:
        raise
    except (TooFewPoints, DataError, UsageError) as error:
        trouble = error
    else:
        try:
            cell = cell_rate(database, question)
        except UnknownName:
            raise
        except UsageError as error:  # half a cell: the form was sent before it was filled in
            cell_trouble = error
    return render(
        request,
        "learning_rate.html",
        question=question,
        choices={
            "experiment": [row["name"] for row in experiments],
            "metric": METRICS,
            "at_model": [] if trend is None else trend.models["model"].tolist(),
        },
        trend=trend,
        cell=cell,
        trouble=trouble,
        cell_trouble=cell_trouble,
        excluded=by_reason(trend.excluded) if trend is not None else [],
        figure=figure_json(learning_rate_figure(trend, cell)) if trend is not None else None,
        command=question.command(database.url),
    )
