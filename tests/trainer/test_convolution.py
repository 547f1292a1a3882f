"""Each form of a convolution is the convolution: values and both gradients, for every stride, parity, kernel and group count."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from trainer.models.nfnet.convolution import FORMS, convolve

CASES = [
    # height, width, inputs, outputs, kernel, stride, groups
    (8, 8, 3, 8, 3, 1, 1),
    (8, 6, 4, 6, 3, 2, 1),
    (7, 8, 4, 6, 3, 2, 1),
    (5, 5, 6, 4, 1, 1, 1),
    (6, 6, 8, 8, 3, 1, 2),
    (6, 4, 24, 24, 3, 2, 6),
    (4, 4, 80, 80, 3, 1, 5),
]


def as_published(x, kernel, stride, groups):
    """The textbook sum, in float64, with TensorFlow's SAME padding."""
    (batch, height, width, _), (taps, _, inputs, outputs) = x.shape, kernel.shape
    rows, columns = -(-height // stride), -(-width // stride)
    pad = [max((n - 1) * stride + taps - size, 0) for n, size in ((rows, height), (columns, width))]
    padded = np.pad(x.astype(np.float64), [(0, 0), *[(p // 2, p - p // 2) for p in pad], (0, 0)])
    result = np.zeros((batch, rows, columns, outputs))
    for group in range(groups):
        out, into = slice(group * outputs // groups, (group + 1) * outputs // groups), slice(group * inputs, (group + 1) * inputs)
        for i in range(taps):
            for j in range(taps):
                seen = padded[:, i : i + (rows - 1) * stride + 1 : stride, j : j + (columns - 1) * stride + 1 : stride, into]
                result[..., out] += seen @ kernel[i, j, :, out].astype(np.float64)
    return result


@pytest.mark.parametrize(("height", "width", "inputs", "outputs", "taps", "stride", "groups"), CASES)
def test_values_and_gradients(height, width, inputs, outputs, taps, stride, groups):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, height, width, inputs)).astype(np.float32)
    kernel = rng.normal(size=(taps, taps, inputs // groups, outputs)).astype(np.float32)
    expected = as_published(x, kernel, stride, groups)
    gradient = rng.normal(size=expected.shape).astype(np.float32)

    def plain(x, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=numbers, feature_group_count=groups)

    @jax.jit
    def both(x, kernel, gradient):
        y, backward = jax.vjp(lambda x, kernel: convolve(x, kernel, stride=stride, groups=groups), x, kernel)
        return y, backward(gradient), jax.vjp(plain, x, kernel)[1](gradient)

    y, gradients, expected_gradients = both(x, kernel, gradient)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-4)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_grouped_convolution_is_the_same(form):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 5, 6, 24)).astype(np.float32), rng.normal(size=(3, 3, 4, 36)).astype(np.float32)
    answers = jax.jit(lambda x, kernel: [FORMS[form](x, kernel, stride=stride, groups=6) for stride in (1, 2)])(x, kernel)
    for stride, answer in zip((1, 2), answers, strict=True):
        np.testing.assert_allclose(answer, as_published(x, kernel, stride, 6), rtol=1e-5, atol=1e-4)


def test_bfloat16_stays_bfloat16():
    x, kernel = jnp.ones((2, 4, 4, 8), jnp.bfloat16), jnp.ones((3, 3, 4, 8), jnp.bfloat16)

    def both(x, kernel):
        y, backward = jax.vjp(lambda x, kernel: convolve(x, kernel, stride=2, groups=2), x, kernel)
        return y, *backward(y)

    assert {array.dtype for array in jax.eval_shape(both, x, kernel)} == {jnp.dtype("bfloat16")}


_SWEEP = """
import jax, jax.numpy as jnp
from trainer.models.nfnet.convolution import merged
for width in (24, 32, 48):
    for group_width in (8, 12, 16):
        if width > group_width and width % group_width == 0:
            print(f"{width} channels in groups of {group_width}", flush=True)
            x, kernel, groups = jnp.ones((2, 2, 2, width)), jnp.ones((3, 3, group_width, width)), width // group_width
            jax.block_until_ready(jax.jit(jax.grad(lambda k: (merged(x, k, stride=1, groups=groups) ** 2).sum()))(kernel))
print("done")
"""


def test_no_width_of_the_groups_kills_the_process():
    """In a process of its own: the gradient of some widths used to end in SIGSEGV, from two groups put together into one."""
    ended = subprocess.run([sys.executable, "-c", _SWEEP], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "done"), ended.stderr[-2000:]
