"""`/plan`: which runs to do next, and how sure the prediction will be afterwards."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from analysis import law_names, payload
from analysis.figures import plan_figure
from analysis.presentation import figure_json
from api.database import TheDatabase
from api.pages.choices import analysis_choices
from api.pages.tab import Tab
from api.pages.trouble import attempt
from api.pages.welcome import no_store
from api.questions import PlanQuestion
from api.rendering import render
from api.studies import plan_of
from api.tables import csv_response

__all__ = ["TAB", "router"]

TAB = Tab(6, "/plan", "Plan")

router = APIRouter()

Asked = Annotated[PlanQuestion, Query()]


@router.get("/plan.json")
def plan_as_json(question: Asked, database: TheDatabase) -> dict[str, object]:
    return payload(plan_of(database, question).plan)


@router.get("/plan.csv")
def plan_as_csv(question: Asked, database: TheDatabase) -> Response:
    return csv_response(plan_of(database, question).plan.to_csv(), "plan")


@router.get("/plan")
def plan_page(question: Asked, database: TheDatabase, request: Request) -> Response:
    if (welcome := no_store(request, database)) is not None:
        return welcome
    planned, trouble = attempt(lambda: plan_of(database, question))
    return render(
        request,
        "plan.html",
        question=question,
        choices={**analysis_choices(database, question), "law": law_names()},
        planned=planned,
        trouble=trouble,
        figure=figure_json(plan_figure(planned.plan)) if planned is not None and len(planned.plan.chosen) else None,
        command=question.command(database.url, budget=planned.budget, target=planned.target) if planned is not None else "",
    )
