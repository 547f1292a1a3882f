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
| `sentence` | what the law says, in a sentence with its numbers |
| `unfinished` | runs of a store that are still to come: what is missing is them |
| `choice` | `choose_law`: the one form that forecasts best, whose coefficients are shown everywhere; `answer`: what it says |
| `pareto` | the compute-optimal frontier |
| `optimum/` | best size and epochs against compute, three approaches side by side; the frontier's band |
| `comparison/` | two families or recipes at equal compute |
| `prediction`, `scoring` | the metric at a budget, and what became of registered predictions |
| `planning/` | which next runs make a prediction surest |
| `downstream` | fine-tuned metric against pre-training compute |
| `learning_rate/` | how the best learning rate falls with the epoch budget and with size |
| `figures/` | one figure a file; the only place that knows plotly |
| `payloads` | the JSON that the command and the HTTP API return |

Everything takes any table with the columns of `scaling.columns` and knows nothing of how the runs came about. Names are loaded when
they are first used, so that `import analysis` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.choice import answer, choose_law
    from analysis.comparison.compare import compare
    from analysis.comparison.result import Comparison
    from analysis.downstream import Transfer, transfer, with_parents
    from analysis.fitting.fit import fit
    from analysis.fitting.fit_all import fit_all
    from analysis.fitting.result import Fit
    from analysis.laws import law_names
    from analysis.learning_rate import CellRate, LearningRateTrend, learning_rate_trend
    from analysis.optimum.allocate import compute_optimal
    from analysis.optimum.band import frontier_band
    from analysis.optimum.result import Optimum
    from analysis.pareto import Frontier, frontier
    from analysis.payloads import payload
    from analysis.planning.next_runs import plan
    from analysis.planning.result import NextRuns
    from analysis.prediction import Prediction, predict
    from analysis.reading.accelerator_hours import convert_core_hours
    from analysis.reading.runs import read_runs
    from analysis.reading.source import source_of
    from analysis.scoring import Scores, score
    from analysis.sentence import Answer

_HOMES = {
    "Answer": "analysis.sentence",
    "CellRate": "analysis.learning_rate.unseen",
    "Comparison": "analysis.comparison.result",
    "Fit": "analysis.fitting.result",
    "Frontier": "analysis.pareto",
    "LearningRateTrend": "analysis.learning_rate.trend",
    "NextRuns": "analysis.planning.result",
    "Optimum": "analysis.optimum.result",
    "Prediction": "analysis.prediction",
    "Scores": "analysis.scoring",
    "Transfer": "analysis.downstream",
    "answer": "analysis.choice",
    "choose_law": "analysis.choice",
    "compare": "analysis.comparison.compare",
    "compute_optimal": "analysis.optimum.allocate",
    "convert_core_hours": "analysis.reading.accelerator_hours",
    "fit": "analysis.fitting.fit",
    "fit_all": "analysis.fitting.fit_all",
    "frontier": "analysis.pareto",
    "frontier_band": "analysis.optimum.band",
    "law_names": "analysis.laws",
    "learning_rate_trend": "analysis.learning_rate.fit",
    "payload": "analysis.payloads",
    "plan": "analysis.planning.next_runs",
    "predict": "analysis.prediction",
    "read_runs": "analysis.reading.runs",
    "score": "analysis.scoring",
    "source_of": "analysis.reading.source",
    "transfer": "analysis.downstream",
    "with_parents": "analysis.downstream",
}

__all__ = [
    "Answer",
    "CellRate",
    "Comparison",
    "Fit",
    "Frontier",
    "LearningRateTrend",
    "NextRuns",
    "Optimum",
    "Prediction",
    "Scores",
    "Transfer",
    "answer",
    "choose_law",
    "compare",
    "compute_optimal",
    "convert_core_hours",
    "fit",
    "fit_all",
    "frontier",
    "frontier_band",
    "law_names",
    "learning_rate_trend",
    "payload",
    "plan",
    "predict",
    "read_runs",
    "score",
    "source_of",
    "transfer",
    "with_parents",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
