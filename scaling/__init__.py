"""Train a grid of small models, fit the law of loss against compute, decide what the big one should be.

>>> import scaling
>>> runs = scaling.read_runs("docs/default_study.csv")      # or scaling.runs("scaling.db")
>>> print(scaling.answer(runs).sentence)
val_loss falls as core_hours^-1... (95 %: ...

`submit` is the main job; `runs` and `read_runs` give a table, and the others are questions about one: `scaling docs python`. They are in
four packages (`trainer`, `analysis`, `orchestrator`, `api`). This one re-exports them lazily, so that `import scaling` costs nothing until
one is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what a type checker sees of `_EXPORTS`
    from analysis import Fit as Fit
    from analysis import Frontier as Frontier
    from analysis import answer as answer
    from analysis import choose_law as choose_law
    from analysis import compare as compare
    from analysis import compute_optimal
    from analysis import fit as fit
    from analysis import frontier as frontier
    from analysis import learning_rate_trend as learning_rate_trend
    from analysis import predict as predict
    from analysis import read_runs as read_runs
    from analysis import regret as regret
    from analysis.report.document import write_report
    from orchestrator.duplicates import dedup as dedup
    from orchestrator.experiments_file import read_spec as read_spec
    from orchestrator.imports import import_runs as import_runs
    from orchestrator.main_job import Submitted as Submitted
    from orchestrator.main_job import submit as submit
    from orchestrator.planning.candidates import halve as halve
    from orchestrator.planning.candidates import plan as plan
    from orchestrator.running import forecast_run as forecast_run
    from orchestrator.scheduling.policy import SchedulingPolicy as SchedulingPolicy
    from orchestrator.store import Store as Store
    from orchestrator.store import runs as runs
    from scaling.errors import ScalingError as ScalingError
    from trainer import TrainConfig as TrainConfig
    from trainer import train as train

    __version__: str
    optimum, report = compute_optimal, write_report

_EXPORTS = {
    "Fit": "analysis:Fit",
    "Frontier": "analysis:Frontier",
    "ScalingError": "scaling.errors:ScalingError",
    "SchedulingPolicy": "orchestrator.scheduling.policy:SchedulingPolicy",
    "Store": "orchestrator.store:Store",
    "Submitted": "orchestrator.main_job:Submitted",
    "TrainConfig": "trainer:TrainConfig",
    "answer": "analysis:answer",
    "choose_law": "analysis:choose_law",
    "compare": "analysis:compare",
    "dedup": "orchestrator.duplicates:dedup",
    "fit": "analysis:fit",
    "forecast_run": "orchestrator.running:forecast_run",
    "frontier": "analysis:frontier",
    "halve": "orchestrator.planning.candidates:halve",
    "import_runs": "orchestrator.imports:import_runs",
    "learning_rate_trend": "analysis:learning_rate_trend",
    "optimum": "analysis:compute_optimal",
    "plan": "orchestrator.planning.candidates:plan",
    "predict": "analysis:predict",
    "read_runs": "analysis:read_runs",
    "read_spec": "orchestrator.experiments_file:read_spec",
    "regret": "analysis:regret",
    "report": "analysis.report.document:write_report",
    "runs": "orchestrator.store:runs",
    "submit": "orchestrator.main_job:submit",
    "train": "trainer:train",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib import metadata

        return metadata.version("scaling")
    if name in _EXPORTS:
        from scaling.packages import check_packages

        module, _, attribute = _EXPORTS[name].partition(":")
        check_packages(module.partition(".")[0])
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module 'scaling' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
