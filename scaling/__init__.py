"""Train a grid of small models, fit the law of loss against compute, decide what the big one should be.

>>> import scaling
>>> runs = scaling.read_runs("docs/default_study.csv")      # or scaling.runs("scaling.db")
>>> print(scaling.answer(runs).sentence)
val_loss falls as core_hours^-1... (95 %: ...

`submit` is the main job; `runs` and `read_runs` give a table, and the others are questions about one: `scaling docs python`. They live in four
packages (`trainer`, `analysis`, `orchestrator`, `api`); this one re-exports them lazily, so that `import scaling` costs nothing until one is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_EXPORTS = {
    "Fit": "analysis:Fit",
    "Frontier": "analysis:Frontier",
    "ScalingError": "scaling.errors:ScalingError",
    "Store": "orchestrator.store:Store",
    "Submitted": "orchestrator.main_job:Submitted",
    "TrainConfig": "trainer:TrainConfig",
    "answer": "analysis:answer",
    "choose_law": "analysis:choose_law",
    "compare": "analysis:compare",
    "fit": "analysis:fit",
    "frontier": "analysis:frontier",
    "learning_rate_trend": "analysis:learning_rate_trend",
    "optimum": "analysis:compute_optimal",
    "plan": "orchestrator.candidates:plan",
    "predict": "analysis:predict",
    "read_runs": "analysis:read_runs",
    "read_spec": "orchestrator:read_spec",
    "report": "analysis.report:write_report",
    "runs": "orchestrator.store:runs",
    "submit": "orchestrator.main_job:submit",
    "train": "trainer:train",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
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
