"""Optimisers, one file each, the learning-rate schedules, and the moving average of the parameters."""

from trainer.optimizers.schedules import SCHEDULES, learning_rate_at
from trainer.optimizers.sgd_agc import sgd_agc

__all__ = ["SCHEDULES", "learning_rate_at", "sgd_agc"]
