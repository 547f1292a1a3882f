"""`/plan`: which runs to do next, and how sure the prediction will be afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from analysis import NextRuns, frontier, law_names, payload, plan
from analysis.figures import plan_figure
from analysis.planning.budget import budget_in
from analysis.planning.neighbours import a_tenth_and_ten_times, neighbouring_cells
from analysis.presentation import figure_json
from analysis.questions import PlanQuestion
from analysis.reading.prices import MONEY
from api.asking import command_line
from api.database import Database
from api.pages.page import Page
from api.pages.tab import Tab
from api.schemas.planning import PlanAnswer
from api.studies import runs_of
from api.v1.resource import Resource

__all__ = ["TAB", "router"]

TAB = Tab(6, "/plan", "Plan")

_EXAMPLE = {
    "schema_version": 1,
    "metric": "val_loss",
    "target": "0.1 core_hours",
    "law": "power",
    "criterion": "c",
    "budget_core_hours": 0.01,
    "budget_cost": None,
    "core_hours": 0.0098,
    "now": {"mean": {"value": 0.102, "low": 0.087, "high": 0.119}},
    "after": {"mean": {"value": 0.102, "low": 0.092, "high": 0.113}},
    "chosen": [{"model": "nano-F3", "epochs": 16.0, "core_hours": 0.0098, "mean_low": 0.092, "mean_high": 0.113}],
}


@dataclass(frozen=True)
class Planned:
    """Holds a plan, and the budget and target that it was made for, also where the link left them open."""

    plan: NextRuns
    budget: float | str
    target: float


def _planned(database: Database, question: PlanQuestion) -> Planned:
    """Plan the next runs, of cells like those that were run. Raises what `analysis.plan` raises."""

    def made() -> Planned:
        runs = runs_of(database, question)
        usual = a_tenth_and_ten_times(frontier(runs, metric=question.metric, x=question.x))
        budget, target = question.budget or usual[0], question.target or usual[1]
        in_money = question.x in MONEY or budget_in(budget).currency is not None
        candidates = neighbouring_cells(runs, metric=question.metric, in_money=in_money)
        asked = {**question.settings, "budget": budget, "target": target}
        return Planned(plan(runs, candidates, **asked), budget, target)

    return database.remember(question, made)


def _context(database: Database, question: PlanQuestion, found: Planned | None) -> dict[str, Any]:
    if found is None:
        return {"choices": {"law": law_names(), "budget": "", "target": ""}, "command": ""}
    return {
        "choices": {"law": law_names(), "budget": str(found.budget), "target": f"{found.target:g}"},
        "figure": figure_json(plan_figure(found.plan)) if len(found.plan.chosen) else None,
        "command": command_line(question.words(budget=found.budget, target=found.target), database.url),
    }


router = Page(
    path=TAB.path,
    question=PlanQuestion,
    answer=_planned,
    context=_context,
    csv=lambda database, question: _planned(database, question).plan.to_csv(),
    resource=Resource(
        path="plan",
        question=PlanQuestion,
        payload=lambda database, question: payload(_planned(database, question).plan),
        answers=PlanAnswer,
        summary="The next runs that most reduce the uncertainty of a prediction",
        description="""The object that `scaling plan --json` prints; the candidates are the models that were run, at their epoch budgets and up to four times the
largest, priced by what their runs took.""",
        example=_EXAMPLE,
    ),
).router
