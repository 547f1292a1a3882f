"""Optimisers, one file each, and the moving average of the parameters."""

from trainer.optimizers.sgd_agc import sgd_agc

__all__ = ["sgd_agc"]
