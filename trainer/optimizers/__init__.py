"""Optimisers, one file each, and the moving average of the parameters."""

from trainer.optimizers.protocol import Optimizer
from trainer.optimizers.sgd_agc import sgd_agc

__all__ = ["Optimizer", "sgd_agc"]
