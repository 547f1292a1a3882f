"""Train a grid of small models, fit the law of loss against compute, decide what the big one should be.

>>> import scaling
>>> runs = scaling.read_runs("runs.csv")            # or scaling.Store.open("scaling.db").runs()
>>> scaling.answer(runs).sentence                   # scaling.fit(runs, law="power").summary() has all coefficients

The public functions live in four packages (`trainer`, `analysis`, `orchestrator`, `api`); this one re-exports them lazily, so that
`import scaling` costs nothing until a function is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what a type checker sees of `_EXPORTS`
    from analysis import Fit as Fit
    from analysis import Frontier as Frontier
    from analysis import answer as answer
    from analysis import choose_law as choose_law
    from analysis import fit as fit
    from analysis import frontier as frontier
    from analysis import learning_rate_trend as learning_rate_trend
    from analysis import read_runs as read_runs
    from orchestrator import read_spec as read_spec
    from orchestrator.store import Store as Store
    from scaling.errors import ScalingError as ScalingError
    from trainer import TrainConfig as TrainConfig
    from trainer import train as train

    __version__: str

_EXPORTS = {
    "Fit": "analysis",
    "Frontier": "analysis",
    "answer": "analysis",
    "choose_law": "analysis",
    "fit": "analysis",
    "frontier": "analysis",
    "learning_rate_trend": "analysis",
    "read_runs": "analysis",
    "TrainConfig": "trainer",
    "train": "trainer",
    "Store": "orchestrator.store",
    "read_spec": "orchestrator",
    "ScalingError": "scaling.errors",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib import metadata

        return metadata.version("scaling")
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'scaling' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
