"""Turns one `TrainConfig` into one trained, evaluated, checkpointed model. Pure JAX; knows nothing of Ray, databases or pages.

| part | what it holds |
|---|---|
| `config`, `execution` | what a run computes, with run id and shape id; and how |
| `data/` | data sets, one file a format; the order in which a run sees them |
| `models/` | model families, one folder each |
| `optimizers/`, `schedules/` | optimisers and learning-rate schedules, one file each |
| `program` | the compiled step of a shape |
| `train` | a training told as steps |
| `start`, `loop`, `journal`, `evaluate` | where a training begins; its loop; what a run writes down; the held-out loss |
| `finetuning` | what a run takes over from the checkpoint of a pre-trained one |
| `events` | what `on_event` is told, a record for each kind |
| `packed` | the program of several runs of one shape at once, for `train_many` |
| `checkpoint/`, `storage` | atomic, verified checkpoints; on disk or on an object store |
| `typing` | names of types that many signatures share |
| `clock` | where the seconds go, and how fast that is |
| `distributed` | several processes that train together |

Importing this package loads no JAX; `train` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.config import (
    AugmentConfig,
    DataConfig,
    ModelConfig,
    NumericsConfig,
    ParentConfig,
    ProgramConfig,
    SamConfig,
    ScheduleConfig,
    TrainConfig,
)
from trainer.execution import Execution
from trainer.optimizers import OptimizerConfig
from trainer.result import Seconds, TrainResult

if TYPE_CHECKING:
    from trainer.train import train, train_many

__all__ = [
    "AugmentConfig",
    "DataConfig",
    "Execution",
    "ModelConfig",
    "NumericsConfig",
    "OptimizerConfig",
    "ParentConfig",
    "ProgramConfig",
    "SamConfig",
    "ScheduleConfig",
    "Seconds",
    "TrainConfig",
    "TrainResult",
    "train",
    "train_many",
]


def __getattr__(name: str) -> object:
    if name in ("train", "train_many"):
        from trainer.train import train, train_many

        globals().update(train=train, train_many=train_many)  # the function, not the module of the same name
        return globals()[name]
    raise AttributeError(f"module 'trainer' has no attribute {name!r}")
