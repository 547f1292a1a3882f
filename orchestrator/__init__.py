"""Decides what to run, runs it, and remembers.

    experiments.yaml ─ spec ─> plan ─ store.grid ─> pending runs ─ scheduler + cluster ─> attempts ─ store.ledger ─> finished runs

| part | what it holds |
|---|---|
| `spec/` | the experiments file: fields, lines, errors |
| `plan`, `priced` | its runs, with ids and estimates; what was measured, and what is done already |
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
from typing import Any

_EXPORTS = {
    "Plan": "orchestrator.plan",
    "make_plan": "orchestrator.plan",
    "read_spec": "orchestrator.spec",
    "accept_plan": "orchestrator.submit",
    "see_through": "orchestrator.submit",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'orchestrator' has no attribute {name!r}")
