"""Convolutions, each in the form that its backend computes fastest: the one place where that is decided.

TPU and GPU take the convolution as it is, groups included (not measured here yet: `benchmarks/gpu_train_step.py` times the forms).
On a CPU XLA is quick at some convolutions and slow at others, so there a convolution is spelled by those it is quick at. The sums are the
same ones. Measured on two cores with AVX-512, `docs/speed.md`:

- groups: one convolution a group and a concatenation, 10 to 40 times faster than `feature_group_count`, which takes a generic path. Narrow
  groups are first put together, as blocks on the diagonal of a kernel about `WIDE` channels wide. A convolution of 8 channels runs at a
  sixth of the speed of one of 32, so the zeros cost less than they save.
- gradient of the kernel: a convolution that contracts over the batch, so it wants the batch innermost. XLA gets it there by an
  element-wise copy, fused with the activation before it, that strides through memory by whole images. A product with the identity matrix
  moves the same numbers, exactly, at the speed of a matrix product.
- gradient of a 1×1 kernel: one product of two matrices over all pixels; the transposed product that differentiation gives is copied first.
- gradient of the input at stride 2: XLA dilates the incoming gradient with zeros and multiplies by them. Here the four phases of the
  result are output channels of one 2×2 convolution at the small resolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

__all__ = ["FORMS", "as_written", "convolve"]

WIDE = 32
"""Channels up to which groups are put together on a CPU."""

_NHWC = ("NHWC", "HWIO", "NHWC")


_as_written: ContextVar[bool] = ContextVar("as_written", default=False)


@contextmanager
def as_written() -> Iterator[None]:
    """Trace convolutions inside this context as they are, on every backend.

    Counting needs this: there the zeros between groups are no work.
    """
    token = _as_written.set(True)
    try:
        yield
    finally:
        _as_written.reset(token)


def convolve(x: jax.Array, kernel: jax.Array, *, stride: int = 1, groups: int = 1) -> jax.Array:
    """Convolve `x` [B, H, W, I] with `kernel` [K, K, I / groups, O], SAME padding → [B, ⌈H/stride⌉, ⌈W/stride⌉, O]."""
    if _as_written.get() or jax.default_backend() != "cpu":
        return native(x, kernel, stride=stride, groups=groups)
    return merged(x, kernel, stride=stride, groups=groups)


def native(x: jax.Array, kernel: jax.Array, *, stride: int, groups: int) -> jax.Array:
    """Convolve as XLA does, by `feature_group_count`."""
    return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=_NHWC, feature_group_count=groups)


def split(x: jax.Array, kernel: jax.Array, *, stride: int, groups: int) -> jax.Array:
    """Convolve each group by itself, and concatenate."""
    if groups > 1:
        inputs, kernels = jnp.split(x, groups, axis=-1), jnp.split(kernel, groups, axis=-1)
        return jnp.concatenate(
            [split(part, weights, stride=stride, groups=1) for part, weights in zip(inputs, kernels, strict=True)], axis=-1
        )
    if kernel.shape[:2] == (1, 1) and stride == 1:
        return _pointwise(x, kernel[0, 0])
    return _with_own_gradients(x, kernel, stride) if jax.default_backend() == "cpu" else native(x, kernel, stride=stride, groups=1)


def merged(x: jax.Array, kernel: jax.Array, *, stride: int, groups: int) -> jax.Array:
    """Put groups together up to `WIDE` channels, zeros off the diagonal; then convolve as `split`."""
    height, width, inputs, outputs = kernel.shape
    together = max((n for n in range(1, groups + 1) if groups % n == 0 and n * inputs <= WIDE), default=1)
    if together > 1:
        # Rows and columns of the kernel are one dimension, so that there are six. The gradient is a sum of products over the second one. Of
        # seven or eight dimensions, one of them 1, such a sum over an axis of 2 ends in SIGSEGV: YNNPACK of jaxlib 0.10.2.
        blocks = kernel.reshape(height * width, 1, inputs, groups // together, together, outputs // groups)
        diagonal = jnp.eye(together, dtype=kernel.dtype)[:, None, None, :, None]
        kernel = (blocks * diagonal).reshape(height, width, together * inputs, outputs)
    return split(x, kernel, stride=stride, groups=groups // together)


def matmul(x: jax.Array, kernel: jax.Array, *, stride: int, groups: int) -> jax.Array:
    """Multiply patches with kernels, a matrix product a group."""
    taps, _, inputs, outputs = kernel.shape
    patches = lax.conv_general_dilated_patches(x, (taps, taps), (stride, stride), "SAME", dimension_numbers=_NHWC)
    patches = patches.reshape(*patches.shape[:3], groups, inputs * taps * taps)  # channels outermost
    weights = kernel.transpose(2, 0, 1, 3).reshape(inputs * taps * taps, groups, outputs // groups)
    return jnp.einsum("bhwgk,kgo->bhwgo", patches, weights).reshape(*patches.shape[:3], outputs)


FORMS = {"native": native, "split": split, "merged": merged, "matmul": matmul}
"""Every form of a grouped convolution: `form(x, kernel, stride=, groups=)`."""


@jax.custom_vjp
def _pointwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolve with a 1×1 kernel: [B, H, W, I] × [I, O]."""
    return x @ kernel


def _pointwise_forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return x @ kernel, (x, kernel)


def _pointwise_backward(kept: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = kept
    rows, outputs = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
    return gradient @ kernel.T, lax.dot_general(rows, outputs, (((0,), (0,)), ((), ())))


_pointwise.defvjp(_pointwise_forward, _pointwise_backward)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _with_own_gradients(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Convolve without groups, with the gradients that are spelled out below."""
    return native(x, kernel, stride=stride, groups=1)


def _forward(x: jax.Array, kernel: jax.Array, stride: int) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return native(x, kernel, stride=stride, groups=1), (x, kernel)


def _backward(stride: int, kept: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = kept
    return _input_gradient(x, kernel, stride, gradient), _kernel_gradient(x, kernel, stride, gradient)


_with_own_gradients.defvjp(_forward, _backward)


def _input_gradient(x: jax.Array, kernel: jax.Array, stride: int, gradient: jax.Array) -> jax.Array:
    batch, height, width, channels = x.shape
    if stride != 2 or kernel.shape[:2] != (3, 3) or height % 2 or width % 2:
        return jax.vjp(lambda x: native(x, kernel, stride=stride, groups=1), x)[1](gradient)[0]
    # Row 2m + p of x meets tap k = 2a + p of the kernel in row m − a of the gradient (SAME pads below and to the right alone).
    outputs = kernel.shape[-1]
    taps = jnp.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0))).reshape(2, 2, 2, 2, channels, outputs)  # [a, p, b, q, I, O]
    phases = taps[::-1, :, ::-1].transpose(0, 2, 5, 1, 3, 4).reshape(2, 2, outputs, 4 * channels)
    result = lax.conv_general_dilated(gradient, phases, (1, 1), ((1, 0), (1, 0)), dimension_numbers=_NHWC)
    result = result.reshape(batch, height // 2, width // 2, 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    return result.reshape(x.shape)


def _kernel_gradient(x: jax.Array, kernel: jax.Array, stride: int, gradient: jax.Array) -> jax.Array:
    pads = []
    for size, taps, steps in zip(x.shape[1:3], kernel.shape[:2], gradient.shape[1:3], strict=True):
        spanned = (steps - 1) * stride + 1
        before = max(spanned - 1 + taps - size, 0) // 2
        pads.append((before, spanned + taps - 1 - before - size))
    result = lax.conv_general_dilated(
        _batch_last(x), gradient, (1, 1), pads, rhs_dilation=(stride, stride), dimension_numbers=("HWNC", "IHWO", "NHWC")
    )
    return result.transpose(1, 2, 0, 3)


def _batch_last(x: jax.Array) -> jax.Array:
    """Move the batch last, [B, …] → […, B], by a product with the identity: the same numbers, and no copy that strides through memory."""
    batch = x.shape[0]
    moved = lax.dot_general(x.reshape(batch, -1), jnp.eye(batch, dtype=x.dtype), (((0,), (0,)), ((), ())))
    return moved.reshape(*x.shape[1:], batch)
