"""Random numbers that belong to a row of the batch, not to the micro-batch it is computed in.

Dropout draws a mask of the shape it sees. Under gradient accumulation that is the shape of a micro-batch, so an ordinary key would give
an example other random numbers than in the whole batch. `key_of_rows` gives the numbers that the whole batch would have given: JAX's
counter-based generator (threefry, partitionable form) hashes (key, flat index), so a row's numbers need only the row's place.
Any module that draws through `jax.random`, Flax's `Dropout` among them, takes such a key as it takes an ordinary one.
"""

from __future__ import annotations

import math
from functools import cache

import jax
import jax.numpy as jnp
from jax.extend.random import define_prng_impl, threefry2x32_p, threefry_prng_impl

__all__ = ["key_of_rows"]


def key_of_rows(key: jax.Array, *, first: jax.Array | int, stride: jax.Array | int, rows: int) -> jax.Array:
    """Make a key for the rows `first, first + stride, …` (`rows` of them) of a larger batch.

    Arrays drawn with it whose first axis is `rows` long get the numbers that `key` draws for those rows of the whole batch; arrays of
    other shapes get what `key` gives them.
    """
    data = jnp.concatenate([jax.random.key_data(key), jnp.stack([jnp.uint32(first), jnp.uint32(stride)])])
    return jax.random.wrap_key_data(data, impl=_row_generator(rows))


@cache
def _row_generator(rows: int) -> object:
    """Define threefry whose key carries (first, stride) along: data is [key word, key word, first, stride] uint32."""
    inner = threefry_prng_impl

    def seed(value: jax.Array) -> jax.Array:
        return jnp.concatenate([inner.seed(value), jnp.array([0, 1], jnp.uint32)])

    def split(data: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        keys = inner.split(data[:2], shape)
        return jnp.concatenate([keys, jnp.broadcast_to(data[2:], (*shape, 2))], axis=-1)

    def fold_in(data: jax.Array, value: int) -> jax.Array:
        return jnp.concatenate([inner.fold_in(data[:2], value), data[2:]])

    def random_bits(data: jax.Array, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
        if not shape or shape[0] != rows or bit_width != 32:
            return inner.random_bits(data[:2], bit_width, shape)
        row = data[2] + data[3] * jnp.arange(rows, dtype=jnp.uint32)
        high, low = _flat_index(row, math.prod(shape[1:]))
        left, right = threefry2x32_p.bind(data[0], data[1], high, low)
        return (left ^ right).reshape(shape)

    return define_prng_impl(key_shape=(4,), seed=seed, split=split, random_bits=random_bits, fold_in=fold_in, name="threefry_rows")


def _flat_index(row: jax.Array, width: int) -> tuple[jax.Array, jax.Array]:
    """Return the high and low words of `row · width + column`, [rows, width] uint32 each; width < 2³²."""
    row, column = row[:, None], jnp.arange(width, dtype=jnp.uint32)[None, :]
    half = jnp.uint32(0xFFFF)
    width_high, width_low = jnp.uint32(width >> 16), jnp.uint32(width & 0xFFFF)
    row_high, row_low = row >> 16, row & half
    middle = row_high * width_low + (row_low * width_low >> 16)
    carried = row_low * width_high + (middle & half)
    high = row_high * width_high + (middle >> 16) + (carried >> 16)
    product = row * jnp.uint32(width)
    low = product + column
    return high + (low < product), low
