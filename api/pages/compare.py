"""`/compare`: families or recipes at equal compute."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analysis import Comparison, PairwiseComparison, compare_sides, payload
from analysis.comparison.pairwise import MOST_SIDES
from analysis.figures import comparison_figure, pairwise_figure
from analysis.finetuned import FINETUNED, of_stage
from analysis.presentation import figure_json
from analysis.questions import CompareQuestion
from api.database import Database
from api.pages.page import Page
from api.pages.tab import Tab
from api.schemas.comparison import CompareAnswer
from api.studies import runs_of
from api.v1.resource import Resource
from scaling.columns import RECIPE_COLUMNS
from scaling.errors import ScalingError

__all__ = ["TAB", "router"]

TAB = Tab(5, "/compare", "Compare")

SIDES = (
    *("family", "model", "dataset", "epochs", "batch_size", "learning_rate", "accelerator"),
    *(column.name for column in RECIPE_COLUMNS),
)
"""Columns that may tell two sides apart, where they have at least two values; a link may name any other."""

MOST_VALUES = 60

_EXAMPLE = {
    "schema_version": 1,
    "by": "family",
    "a": "nfnet",
    "b": "vit",
    "metric": "val_loss",
    "x": "core_hours",
    "design": "paired",
    "better": "nfnet",
    "withheld": None,
    "caveats": [],
    "at_largest": {
        "core_hours": 404.0,
        "log_ratio": {"value": -0.030, "low": -0.042, "high": -0.018},
        "p_value": 0.0002,
        "detectable": {"difference": 0.017, "power": 0.8},
    },
    "crossing": {
        "core_hours": {"value": 54.0, "low": 40.0, "high": 71.0},
        "overtakes": "nfnet",
        "proven": True,
        "reason": None,
    },
    "ratio": {"value": 0.971, "low": 0.960, "high": 0.983},
    "p_value": 0.0004,
    "speed_up": {"value": 0.78, "low": 0.70, "high": 0.87},
    "runs_used": 60,
    "excluded": [],
}


def _comparison(database: Database, question: CompareQuestion) -> Comparison | PairwiseComparison:
    return database.remember(question, lambda: compare_sides(runs_of(database, question), **question.settings))


def _context(database: Database, question: CompareQuestion, found: Comparison | PairwiseComparison | None) -> dict[str, Any]:
    of_all = isinstance(found, PairwiseComparison)
    figure = found and (pairwise_figure(found) if isinstance(found, PairwiseComparison) else comparison_figure(found))
    return {"of_all": of_all, "figure": figure and figure_json(figure), "choices": _choices(database, question)}


def _first_look(database: Database, question: CompareQuestion, given: frozenset[str]) -> CompareQuestion:
    """Choose what to compare when a page is opened without a question: several families in pairs; else two values of a column that tells runs apart.

    It is the first column with two values that share compute, since nothing else compares. They are of those with the most finished runs.
    """
    if given & {"by", "a", "b"}:
        return question
    runs = _asked(database, question)
    runs = runs[runs["status"] == "finished"]
    runs = runs if "params" in runs else runs.assign(params=0)  # imported runs may not say it
    first: CompareQuestion | None = None
    for name in (name for name in SIDES if name in runs):
        sides = runs.groupby(name)["params"].agg(["size", "max"]).sort_values("max")
        if name == "family" and 2 < len(sides) <= MOST_SIDES:
            return replace(question, by=name)
        if len(sides) < 2:
            continue
        most = sides.index[sides["size"] >= sides["size"].nlargest(2).iloc[-1]][:MOST_VALUES]
        shared, a, b = _apart(runs, name, list(most), question.x)
        opened = replace(question, by=name, a=_label(a), b=_label(b))
        if shared > 0:
            return opened
        first = first or opened
    return first or question


def _apart(runs: pd.DataFrame, by: str, values: list[object], x: str) -> tuple[float, object, object]:
    """Choose of values the two that stand furthest apart, among pairs that share at least half as wide a range of x as any.

    Returns the log of how wide that is, not positive where no pair shares any, and the two.
    """
    low = high = np.full(len(values), np.nan)
    if x in runs:
        spent = pd.to_numeric(runs[x], errors="coerce")
        ends = spent.where(spent > 0).groupby(runs[by]).agg(["min", "max"]).reindex(values)
        low, high = np.log(ends.to_numpy(float)).T
    shared = np.nan_to_num(np.minimum.outer(high, high) - np.maximum.outer(low, low), nan=-np.inf)
    pairs = list(combinations(range(len(values)), 2))
    widest = max(shared[pair] for pair in pairs)
    one, other = max(
        (pair for pair in pairs if shared[pair] >= 0.5 * widest or widest <= 0), key=lambda pair: (pair[1] - pair[0], shared[pair])
    )
    return float(widest), values[one], values[other]


def _asked(database: Database, question: CompareQuestion) -> pd.DataFrame:
    """Return the runs that the metric is of, pre-trained or fine-tuned; all where there are none of them, which the answer then says."""
    runs = database.runs_frame(question.experiment)
    try:
        return of_stage(runs, question.metric)
    except ScalingError:
        return runs


def _choices(database: Database, question: CompareQuestion) -> dict[str, object]:
    runs = _asked(database, question)  # all of them: a condition that fits none must not empty the form
    by = [name for name in (*SIDES, *(f"{FINETUNED}{side}" for side in SIDES)) if name in runs and runs[name].nunique() > 1]
    values = [_label(value) for value in runs[question.by].dropna().drop_duplicates()] if question.by in runs else []
    sides = sorted(values)[:MOST_VALUES]
    return {"by": by if question.by in by else [*by, question.by], "a": sides, "b": sides}


def _label(value: object) -> str:
    """Write a value as `analysis.compare` spells it: 64 for 64.0."""
    return f"{value:g}" if pd.api.types.is_float(value) else str(value)


router = Page(
    path=TAB.path,
    question=CompareQuestion,
    answer=_comparison,
    opened=_first_look,
    context=_context,
    resource=Resource(
        path="compare",
        question=CompareQuestion,
        payload=lambda database, question: payload(_comparison(database, question)),
        answers=CompareAnswer,
        summary="Is one side better at equal compute, and by how much",
        description="""The object that `scaling compare --json` prints. `better`: the side that is better at the largest shared
compute, null where that may be noise, and where `withheld` says why it tells what was tried instead. `caveats`: which compute and which learning rates the
answer is about. `crossing`: from which compute on the side `overtakes` is better; an end that is null is not bounded within
the shared compute. `ratio`, `p_value`: of the mean over the shared budgets. `speed_up`: how many times the compute of b side a needs to equal it; in `curve` at each compute.
`at_largest.detectable`: the least true difference that would have shown with this power. Of a column with 3 … 8 values, where `a` and `b` are not both given, the object has `pairs`. Each is
such an object with `p_adjusted` (Holm) and `better_of_all`, and `sides`, `best`, `sentence` and `missing` of all together.""",
        example=_EXAMPLE,
    ),
).router
