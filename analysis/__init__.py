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

if TYPE_CHECKING:  # what a type checker sees of `_HOMES`
    from analysis.choice import answer as answer
    from analysis.choice import choose_law as choose_law
    from analysis.comparison.compare import compare as compare
    from analysis.comparison.result import Comparison as Comparison
    from analysis.downstream import Transfer as Transfer
    from analysis.downstream import transfer as transfer
    from analysis.downstream import with_parents as with_parents
    from analysis.fitting.fit import fit as fit
    from analysis.fitting.fit_all import fit_all as fit_all
    from analysis.fitting.result import Fit as Fit
    from analysis.laws import law_names as law_names
    from analysis.learning_rate import CellRate as CellRate
    from analysis.learning_rate import LearningRateTrend as LearningRateTrend
    from analysis.learning_rate import learning_rate_trend as learning_rate_trend
    from analysis.optimum.allocate import compute_optimal as compute_optimal
    from analysis.optimum.band import frontier_band as frontier_band
    from analysis.optimum.result import Optimum as Optimum
    from analysis.pareto import Frontier as Frontier
    from analysis.pareto import frontier as frontier
    from analysis.payloads import payload as payload
    from analysis.planning.next_runs import plan as plan
    from analysis.planning.result import NextRuns as NextRuns
    from analysis.prediction import Prediction as Prediction
    from analysis.prediction import predict as predict
    from analysis.reading.accelerator_hours import convert_core_hours as convert_core_hours
    from analysis.reading.runs import read_runs as read_runs
    from analysis.reading.source import source_of as source_of
    from analysis.scoring import Scores as Scores
    from analysis.scoring import score as score
    from analysis.sentence import Answer as Answer

_HOMES = {
    name: f"analysis.{module}"
    for module, names in {
        "choice": "answer choose_law",
        "comparison.compare": "compare",
        "comparison.result": "Comparison",
        "downstream": "Transfer transfer with_parents",
        "fitting.fit": "fit",
        "fitting.fit_all": "fit_all",
        "fitting.result": "Fit",
        "laws": "law_names",
        "learning_rate.fit": "learning_rate_trend",
        "learning_rate.trend": "LearningRateTrend",
        "learning_rate.unseen": "CellRate",
        "optimum.allocate": "compute_optimal",
        "optimum.band": "frontier_band",
        "optimum.result": "Optimum",
        "pareto": "Frontier frontier",
        "payloads": "payload",
        "planning.next_runs": "plan",
        "planning.result": "NextRuns",
        "prediction": "Prediction predict",
        "reading.accelerator_hours": "convert_core_hours",
        "reading.runs": "read_runs",
        "reading.source": "source_of",
        "scoring": "Scores score",
        "sentence": "Answer",
    }.items()
    for name in names.split()
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
