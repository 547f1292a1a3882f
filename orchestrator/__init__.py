"""Decides what to run, runs it, and remembers.

    experiments.yaml ─ spec ─> plan ─ store.grid ─> pending runs ─ scheduler + cluster ─> attempts ─ store.ledger ─> finished runs

| part | what it holds |
|---|---|
| `spec/` | the experiments file: fields, lines, errors |
| `plan` | its runs, with ids and estimates |
| `resources` | the hardware that a run holds, and how it is executed |
| `store/` | the database; knows neither Ray nor the trainer |
| `cluster/` | Ray, the worker actor, the trainer process |
| `messages` | what goes between these: assignments to them, events back |
| `scheduler`, `attempt`, `recovery` | what runs where; what an attempt's events mean; what a dead scheduler left |
| `submit` | all of it in one call |
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
