"""`report_html`: a study as one HTML file."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from analysis.choice import compared
from analysis.comparison.pairwise import PairwiseComparison
from analysis.comparison.result import Comparison
from analysis.figures import (
    backtest_figure,
    best_model_figure,
    comparison_figure,
    frontier_figure,
    learning_rate_figure,
    optimum_figure,
    plan_figure,
    residuals_figure,
    slices_figure,
)
from analysis.figures.script import plotly_js
from analysis.fitting.result import Fit
from analysis.headline import headline
from analysis.laws import law_named
from analysis.learning_rate import LearningRateTrend
from analysis.optimum.regret import Regret
from analysis.optimum.result import Optimum
from analysis.pareto import Frontier
from analysis.planning.neighbours import a_tenth_and_ten_times
from analysis.planning.result import NextRuns
from analysis.presentation import environment, figure_json, static
from analysis.presentation.left_out import by_reason
from analysis.report.commands import commands
from analysis.report.study import BEYOND, Study, study_of
from scaling.errors import UsageError

__all__ = ["report_html", "write_report"]

MOST_MARKS = 2_000
"""The most markers that an SVG chart redraws smoothly; with more runs than that, cells are drawn alone."""

RUNS_SHOWN = 2_000
"""Rows of the table of runs; the report names how many there are."""


def write_report(runs: pd.DataFrame, file: str | Path = "report.html", **settings: Any) -> Study:
    """Write all that a table of runs says into one HTML file that loads nothing, and return the numbers in it.

    >>> study = scaling.report(runs, "report.html", x="train_flops", bootstrap=100)
    >>> study.law.law, len(study.frontier.points)
    ('power', 24)

    Args:
        settings: of `analysis.report.study_of`: metric, x, law, on, level, bootstrap, seed, pin, tie, title.

    Raises: UsageError, the folder does not exist; what `study_of` raises.
    """
    file = Path(file)
    if not file.absolute().parent.is_dir():  # before the work, not after it
        raise UsageError(f"{file}: there is no folder {file.parent}", hint="name a file in a folder that exists: -o report.html")
    study = study_of(runs, **settings)
    file.write_text(report_html(study), encoding="utf-8")
    return study


def report_html(study: Study) -> str:
    """Render the whole document: figures, tables, style and scripts are in it. A content security policy forbids it to load anything."""
    return _environment().get_template("report.html").render(study=study, **_context(study))


def _context(study: Study) -> dict[str, object]:
    law = study.law if isinstance(study.law, Fit) else None
    used = law.residuals if law is not None else study.frontier.runs
    return {
        "law": law,
        "answer": law.answer if law is not None and law.chosen else None,
        "headline": headline(law.answer, study.regret if isinstance(study.regret, Regret) else None)
        if law is not None and law.chosen
        else "",
        "compared": compared,
        "meanings": law_named(law.law).meanings if law is not None and not law.members else {},
        "test": study.automatic.tested if isinstance(study.automatic, Fit) else None,
        "plain": next((fit for fit in study.laws if law is not None and law.chosen and fit.law == "power" != law.law), None),
        "optima": [(family, entry) for family, entry in study.optima.items() if isinstance(entry, Optimum)],
        "no_optima": [(family, entry) for family, entry in study.optima.items() if not isinstance(entry, Optimum)],
        "comparisons": [entry for entry in study.comparisons if isinstance(entry, Comparison)],
        "together": _together(study),
        "no_comparisons": [entry for entry in study.comparisons if not isinstance(entry, Comparison)],
        "plan": study.plan if isinstance(study.plan, NextRuns) else None,
        "trend": study.learning_rate if isinstance(study.learning_rate, LearningRateTrend) else None,
        "best": study.frontier.best().to_dict("records"),
        "predictions": study.predictions.to_dict("records"),
        "laws": [_law_row(fit) for fit in study.laws],
        "excluded": by_reason(law.excluded if law is not None else study.frontier.excluded),
        "used": used.head(RUNS_SHOWN).to_dict("records"),
        "used_in_all": len(used),
        "points": study.frontier.points.head(RUNS_SHOWN).to_dict("records"),
        "figures": _figures(study, law),
        "commands": commands(study.source, _asked(study)),
    }


def _asked(study: Study) -> dict[str, object]:
    asked: dict[str, object] = {
        "metric": study.metric,
        "x": study.x,
        "law": study.asked,
        "pin": study.pin,
        "tie": study.tie,
        "on": study.on,
        "families": list(study.optima),
    }
    if isinstance(study.plan, NextRuns):
        budget, target = a_tenth_and_ten_times(study.frontier)
        asked |= {"budget": budget, "target": target}
    return asked


def _law_row(fit: Fit) -> dict[str, object]:
    end = fit.predict([BEYOND[-1] * fit.x_range[1]], kind="new-run").iloc[0]
    return {
        "law": fit.law,
        "equation": fit.equation(),
        "lights": fit.lights,
        "forecast_error": fit.forecast_error,
        "residual_std": fit.residual_std,
        "runs_used": fit.runs_used,
        **{name: float(end[name]) for name in ("mean", "low", "high")},
    }


def _together(study: Study) -> PairwiseComparison | None:
    """Return the families' comparisons as one, which is corrected for their number; None of fewer than two."""
    pairs = tuple(entry for entry in study.comparisons if isinstance(entry, Comparison))
    sides = tuple(sorted({name for pair in pairs for name in (pair.a, pair.b)}))
    return PairwiseComparison("family", sides, study.metric, study.x, study.level, pairs) if len(pairs) > 1 else None


def _figures(study: Study, law: Fit | None) -> dict[str, object]:
    shown = _drawn(study.frontier)
    figures = {"frontier": frontier_figure(shown, [law] if law is not None else [], extrapolate=10.0, height=520)}
    if study.frontier.points["on_frontier"].sum() > 1:
        figures["best"] = best_model_figure(study.frontier, height=440)
    if law is not None and law.runs_used <= MOST_MARKS:
        figures["residuals"] = residuals_figure(law, height=300)
    if isinstance(study.automatic, Fit) and study.automatic.tested is not None:
        figures["backtest"] = backtest_figure(study.automatic.tested)
    for number, (family, optimum) in enumerate(study.optima.items()):
        if isinstance(optimum, Optimum):
            if optimum.recommended is not None:
                figures[f"optimum-{number}"] = optimum_figure(optimum, height=540)
            if len(study.slices[family].table):
                figures[f"slices-{number}"] = slices_figure(study.slices[family], height=420)
    for number, comparison in enumerate(entry for entry in study.comparisons if isinstance(entry, Comparison)):
        figures[f"comparison-{number}"] = comparison_figure(comparison, height=500)
    if isinstance(study.plan, NextRuns) and len(study.plan.chosen):
        figures["plan"] = plan_figure(study.plan)
    if isinstance(study.learning_rate, LearningRateTrend):
        figures["learning_rate"] = learning_rate_figure(study.learning_rate, height=420)
    return {name: figure_json(figure) for name, figure in figures.items()}


def _drawn(frontier: Frontier) -> Frontier:
    if len(frontier.runs) + len(frontier.points) <= MOST_MARKS:
        return frontier
    optimal = frontier.points["on_frontier"]
    others = frontier.points[~optimal]
    kept = others.iloc[:: max(1, len(others) // (MOST_MARKS // 2))]
    points = pd.concat([frontier.points[optimal], kept]).sort_values([frontier.x, frontier.metric], kind="stable")
    return replace(frontier, points=points.reset_index(drop=True), runs=frontier.runs.iloc[:0])


@cache
def _environment() -> Environment:
    made = environment(PackageLoader("analysis.report"), runs="#run-")
    style = "\n".join(static(name).decode() for name in ("look.css", "parts.css"))
    own, _, _ = PackageLoader("analysis.report").get_source(made, "report.css")
    made.globals |= {
        "style": Markup(f"{style}\n{own}"),
        "plotly": lambda: Markup(plotly_js()),  # a function, so that it is not kept in memory twice
        "scripts": Markup("\n".join(static(name).decode() for name in ("charts.js", "tables.js"))),
    }
    return made
