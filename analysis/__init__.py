"""From a table of runs to a law: what compute buys, which model to train, at which learning rate.

>>> import analysis
>>> runs = analysis.read_runs("runs.csv", {"core_hours": "tpu_hours"})
>>> print(analysis.fit(runs, metric="val_loss", law="power").summary())

| file | what it holds |
|---|---|
| `reading/` | reading runs that were trained elsewhere: files, folders, units |
| `selection`, `cells` | which rows count, and why the others do not; seeds and learning rates of one cell |
| `laws/` | one law a file: formula, coefficients, citation |
| `fitting/` | estimators, their intervals, and `Fit` |
| `pareto` | the compute-optimal frontier |
| `learning_rate`, `learning_rate_grids` | how the best learning rate falls with the epoch budget |
| `figures/` | one figure a file; the only place that knows plotly |
| `payloads` | the JSON that the command and the HTTP API return |

Everything takes any table with the columns of `scaling.columns` and knows nothing of how the runs came about. Names are loaded when
they are first used, so that `import analysis` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.fitting.fit import fit
    from analysis.fitting.fit_all import fit_all
    from analysis.fitting.result import Fit
    from analysis.laws import law_names
    from analysis.learning_rate import LearningRateTrend, learning_rate_trend
    from analysis.pareto import Frontier, frontier
    from analysis.payloads import fits_payload, frontier_payload, learning_rate_payload
    from analysis.reading.accelerator_hours import convert_core_hours
    from analysis.reading.runs import read_runs
    from analysis.reading.source import source_of

_HOMES = {
    "Fit": "analysis.fitting.result",
    "Frontier": "analysis.pareto",
    "LearningRateTrend": "analysis.learning_rate",
    "fit": "analysis.fitting.fit",
    "fit_all": "analysis.fitting.fit_all",
    "fits_payload": "analysis.payloads",
    "frontier": "analysis.pareto",
    "frontier_payload": "analysis.payloads",
    "law_names": "analysis.laws",
    "learning_rate_payload": "analysis.payloads",
    "learning_rate_trend": "analysis.learning_rate",
    "convert_core_hours": "analysis.reading.accelerator_hours",
    "read_runs": "analysis.reading.runs",
    "source_of": "analysis.reading.source",
}

__all__ = [
    "Fit",
    "Frontier",
    "LearningRateTrend",
    "convert_core_hours",
    "fit",
    "fit_all",
    "fits_payload",
    "frontier",
    "frontier_payload",
    "law_names",
    "learning_rate_payload",
    "learning_rate_trend",
    "read_runs",
    "source_of",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
