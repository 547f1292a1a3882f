"""Positions of the patches: fixed sines and cosines, and positions of one grid of patches resampled for another."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["resampled", "sincos"]

_TEMPERATURE = 10_000.0


def sincos(grid: tuple[int, int], width: int) -> np.ndarray:
    """Make sin-cos positions of a grid of patches [rows, columns] → [rows · columns, width] float32, row by row.

    A quarter of the channels each: sin(x·ω), cos(x·ω), sin(y·ω), cos(y·ω), with x the column, y the row, and ω from 1 to 1/10,000 in equal
    ratios. As in MoCo v3 (Chen et al. 2021, arXiv 2104.02057) and big_vision's `posemb_sincos_2d`.
    """
    quarter = width // 4
    omega = _TEMPERATURE ** -(np.arange(quarter) / max(1, quarter - 1))
    y, x = (coordinates.reshape(-1, 1) * omega for coordinates in np.mgrid[: grid[0], : grid[1]])
    return np.concatenate([np.sin(x), np.cos(x), np.sin(y), np.cos(y)], axis=1).astype(np.float32)


def resampled(positions: jax.Array, before: tuple[int, int], after: tuple[int, int]) -> jax.Array:
    """Interpolate positions [rows · columns, width] of grid `before` for grid `after`, so that both span the whole image.

    Bicubic with antialiasing, as DeiT's code and timm's `resample_abs_pos_embed` do, with which tests compare it. The paper of ViT (sec.
    3.2) says "2D interpolation", and its code is bilinear with the corners aligned.
    """
    if before == after:
        return positions
    grid = positions.reshape(*before, -1)
    return (
        jax.image.resize(grid, (*after, grid.shape[-1]), "bicubic", antialias=True)
        .reshape(after[0] * after[1], -1)
        .astype(jnp.float32)
    )
