"""The 8 ways to turn a picture round and over by right angles, in the order in which PDQ gives their hashes."""

from __future__ import annotations

from typing import Final

import numpy as np

__all__ = ["FLIPPED_AND_QUARTERS", "ORIENTATIONS", "oriented"]

ORIENTATIONS: Final = (
    "as is",
    "rotated 90",
    "rotated 180",
    "rotated 270",
    "flipped upside down",
    "flipped",
    "flipped and rotated 90",
    "flipped and rotated 270",
)
"""Names the orientations, in the order of the rows of `pdqhash.compute_dihedral`. Rotations are in degrees, against the clock."""

FLIPPED_AND_QUARTERS: Final = ((False, 0), (False, 1), (False, 2), (False, 3), (True, 2), (True, 0), (True, 1), (True, 3))
"""Says of each whether left and right are swapped first, and by how many quarters against the clock it is rotated then."""


def oriented(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn pixels [H, W, …] to orientation 0 … 7 of `ORIENTATIONS`: left and right are swapped first, then the whole is rotated.

    Returns a view. Raises `IndexError` for another number.
    """
    is_flipped, quarters = FLIPPED_AND_QUARTERS[orientation]
    return np.rot90(pixels[:, ::-1] if is_flipped else pixels, quarters)
