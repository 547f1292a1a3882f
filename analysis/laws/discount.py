"""What repeats are worth: each further one less than the one before, `U·(1 + R*·(1 − exp(−(D/U − 1)/R*)))` (arXiv 2305.16264, equation 5)."""

from __future__ import annotations

import numpy as np

__all__ = ["bounds_of_scale", "discounted"]


def discounted(log_all: np.ndarray, log_unique: np.ndarray, log_scale: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the log of what `all` are worth of which `unique` are new, and its derivatives by log R* and by log unique."""
    repeats, scale = np.expm1(log_all - log_unique), np.exp(log_scale)
    left = np.exp(-repeats / scale)
    worth = -scale * np.expm1(-repeats / scale)  # R*·(1 − exp(−R/R*))
    return log_unique + np.log1p(worth), (worth - repeats * left) / (1 + worth), 1 - left * (repeats + 1) / (1 + worth)


def bounds_of_scale(logs: np.ndarray) -> tuple[float, float]:
    """Return the bounds of log R*.

    A number of repeats has no unit, so the bounds need not look at the runs: one run of many repeats must not move them. Below, not even a
    hundredth of an epoch counts beyond the first; above, a million count in full.
    """
    return float(np.log(1e-2)), float(np.log(1e6))
