"""Figures, one a file. They draw what the dataclasses hold and compute nothing that is not a matter of drawing.

Every figure has a transparent background and neutral text, so that one figure serves a light and a dark page; a colour *and* a
marker for each model; SVG `scatter`, which a strict content security policy allows; `uirevision`, so that an update keeps the zoom;
and the run id in `customdata`, so that a click can open the run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.figures.backtest import backtest_figure
    from analysis.figures.best_model import best_model_figure
    from analysis.figures.comparison import comparison_figure
    from analysis.figures.frontier import frontier_figure
    from analysis.figures.learning_rate import learning_rate_figure
    from analysis.figures.optimum import optimum_figure
    from analysis.figures.plan import plan_figure
    from analysis.figures.residuals import residuals_figure
    from analysis.figures.slices import slices_figure

__all__ = [
    "backtest_figure",
    "best_model_figure",
    "comparison_figure",
    "frontier_figure",
    "learning_rate_figure",
    "optimum_figure",
    "plan_figure",
    "residuals_figure",
    "slices_figure",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(import_module(f"{__name__}.{name.removesuffix('_figure')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
