"""Decides what to run, runs it, and remembers.

    experiments.yaml ─ spec ─> plan ─ store.grid ─> pending runs ─ scheduler + cluster ─> attempts ─ store.ledger ─> finished runs

| part | what it holds |
|---|---|
| `spec/` | the experiments file: fields, lines, errors |
| `plan`, `priced` | its runs, with ids and estimates; what was measured, and what is done already |
| `resources` | the hardware that a run holds, and how it is executed |
| `store/` | the database; knows neither Ray nor the trainer |
| `cluster/` | Ray, the worker actor, the trainer process |
| `messages` | what goes between these: assignments to them, events back |
| `scheduler`, `attempt`, `recovery` | what runs where; what an attempt's events mean; what a dead scheduler left |
| `submit` | accept a plan, see it through |
| `main_job` | all of it in one call: `scaling.submit` |
| `candidates`, `registered` | what to run next; predictions that are kept until their run is done |
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what a type checker sees of `_EXPORTS`
    from orchestrator.plan import Plan as Plan
    from orchestrator.plan import make_plan as make_plan
    from orchestrator.spec import read_spec as read_spec
    from orchestrator.submit import accept_plan as accept_plan
    from orchestrator.submit import see_through as see_through

_EXPORTS = {
    "Plan": "orchestrator.plan",
    "make_plan": "orchestrator.plan",
    "read_spec": "orchestrator.spec",
    "accept_plan": "orchestrator.submit",
    "see_through": "orchestrator.submit",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> object:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'orchestrator' has no attribute {name!r}")
