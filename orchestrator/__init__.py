"""Decides what to run, runs it, and remembers.

    experiments.yaml ─ experiments_file ─> planning ─ store ─> pending runs ─ scheduling + cluster ─> attempts ─ store ─> finished runs

| part | what it holds |
|---|---|
| `main_job` | all of it in one call: `scaling.submit` |
| `experiments_file/` | the experiments file: fields, lines, errors; files to begin with |
| `planning/` | its runs, with ids and a price |
| `scheduling/` | what runs where, and what came of it |
| `search/` | learning rates that are found on the way |
| `cluster/` | the only door to Ray: workers and their trainer processes |
| `store/` | the only door to SQL; knows neither Ray nor the trainer |
| `messages` | what goes between processes: assignments there, events back |
| `resources` | the hardware that a run holds, and how it is executed |
| `home`, `provenance` | the folder of runs; which code ran |
| `detach`, `registered` | a scheduler that stays on the cluster; predictions that are kept until their run is done |
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what a type checker sees of `_EXPORTS`
    from orchestrator.experiments_file import read_spec as read_spec
    from orchestrator.planning.accept import accept_plan as accept_plan
    from orchestrator.planning.plan import Plan as Plan
    from orchestrator.planning.plan import make_plan as make_plan
    from orchestrator.scheduling.see_through import see_through as see_through

_EXPORTS = {
    "Plan": "orchestrator.planning.plan",
    "make_plan": "orchestrator.planning.plan",
    "read_spec": "orchestrator.experiments_file",
    "accept_plan": "orchestrator.planning.accept",
    "see_through": "orchestrator.scheduling.see_through",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> object:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'orchestrator' has no attribute {name!r}")
