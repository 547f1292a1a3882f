"""Random numbers that belong to an example and not to the process that reads it.

They are keyed by (seed, epoch, id, copy), so that workers, hosts and restarts do not change them.
"""

from __future__ import annotations

import numpy as np

__all__ = ["BATCH", "EXAMPLE", "generator"]

EXAMPLE, BATCH = 1, 2
"""Purposes: streams of two purposes are independent."""


def generator(seed: int, epoch: int, number: int, *, copy: int = 0, purpose: int = EXAMPLE) -> np.random.Generator:
    """Make a Philox generator, which is counter-based: its 128-bit key is (seed, purpose), its counter starts at (epoch, copy, number).

    Args:
        number: id of an example, or a step.
        copy: which of the repeats of the example, below 2³².
    """
    counter = np.array([0, number, copy, epoch], np.uint64)  # the first word counts the draws
    return np.random.Generator(np.random.Philox(counter=counter, key=np.array([seed, purpose], np.uint64)))
