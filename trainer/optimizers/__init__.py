"""Optimisers, one file each: a file with a subclass of `OptimizerConfig` is all that another one takes.

Importing this package loads no JAX.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from scaling.errors import UnknownName, UsageError
from trainer.optimizers.protocol import REGISTERED, Optimizer, OptimizerConfig
from trainer.optimizers.users import UsersOptimizer

__all__ = ["Optimizer", "OptimizerConfig", "UsersOptimizer", "names", "optimizer_class", "optimizer_from", "with_weight_decay"]

_NO_OPTIMIZERS = ("clipping", "ema", "masks", "protocol", "users")


def names() -> list[str]:
    """List the optimisers that ship, by name."""
    for module in iter_modules(__path__):
        if module.name not in _NO_OPTIMIZERS:
            import_module(f"{__name__}.{module.name}")
    return sorted(REGISTERED)


def optimizer_class(name: str) -> type[OptimizerConfig]:
    """Return the class that holds an optimiser's options. Raises `UnknownName`."""
    if name not in REGISTERED and name not in names():
        raise UnknownName("optimizer", name, [*names(), "package.module:function"])
    return REGISTERED[name]


def optimizer_from(content: Mapping[str, Any]) -> OptimizerConfig:
    """Read what `OptimizerConfig.plain` holds: the name and its options. Raises `UnknownName`, `TypeError` for an unknown option."""
    options = dict(content)
    name = options.pop("name", "sgd-agc")
    return UsersOptimizer(name, options) if ":" in name else optimizer_class(name)(**options)


def with_weight_decay(optimizer: OptimizerConfig, value: float) -> OptimizerConfig:
    """Return the optimiser with another weight decay. Raises `UsageError` for one that has none."""
    try:
        changed = optimizer_from({**optimizer.plain, "weight_decay": float(value)})
        changed.check()
    except (TypeError, UnknownName) as error:
        raise UsageError(f"optimizer {optimizer.plain['name']} has no weight_decay") from error
    return changed
