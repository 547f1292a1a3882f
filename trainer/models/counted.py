"""The cost of a module, counted from the module itself: its parameters from their shapes, its MACs from the traced forward pass.

Nothing is computed or compiled. The counts that a family states are compared with these: in tests for the families that ship, and when
its file is read for a user's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from scaling.errors import UsageError
from trainer.models.initial import variable_shapes
from trainer.models.nfnet.convolution import as_written
from trainer.models.protocol import Network
from trainer.models.state import forward_in_training
from trainer.typing import ImageShape
from trainer.users_code import told

__all__ = ["Counted", "counted"]

_OPAQUE = (
    "pallas_call",
    "ffi_call",
    "custom_call",
    "tpu_custom_call",
    "pure_callback",
    "io_callback",
    "ragged_dot",
    "ragged_dot_general",
)
"""Operations that do not say how many products they take."""


@dataclass(frozen=True)
class Counted:
    """Says what a module costs.

    params: trainable parameters. macs: multiply–accumulates of one image's forward pass; None where the program does not tell.
    state: collections that it keeps beside its parameters.
    """

    params: int
    macs: int | None
    state: tuple[str, ...] = ()


def counted(module: Network, *, image_shape: ImageShape) -> Counted:
    """Count a Flax module on images [H, W, C]: convolutions, with their padding, and matrix products are its MACs.

    Raises `UsageError` for a module that cannot be trained here: `variable_shapes` refuses it, or a forward pass as the trainer calls it fails
    or gives no logits. A `RuntimeError`, `ImportError`, `OSError` or `MemoryError` is raised as it came: other hosts may have what is
    missing.
    """
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    with as_written():
        with _named(module, "to start", "module.init(key, images): what else it takes needs a default, as train=False does"):
            variables = variable_shapes(module, image_shape=image_shape)
        in_training = partial(forward_in_training, module, rngs={"dropout": jax.random.key(0)})
        with _named(module, "in training", "module.apply(variables, images, train=True, rngs={'dropout': key})"):
            logits, _ = jax.eval_shape(in_training, variables, images, real=jax.ShapeDtypeStruct((1,), jnp.bool_))
        with _named(module, "in evaluation", "module.apply(variables, images, train=False)"):
            program = jax.make_jaxpr(partial(module.apply, train=False))(variables, images)
    if len(getattr(logits, "shape", ())) != 2:
        shape = list(logits.shape) if hasattr(logits, "shape") else f"a {type(logits).__name__}"
        raise UsageError(
            f"{type(module).__name__} gives {shape} for one image", hint="a forward pass gives logits [images, classes], one array"
        )
    try:
        macs: int | None = _macs(program.jaxpr)
    except _NotTold:
        macs = None
    params, *state = variables
    return Counted(sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables[params])), macs, tuple(state))


@contextmanager
def _named(module: Network, when: str, call: str) -> Iterator[None]:
    """Turn whatever the module's code raises into one line: a run would end by it. call: how the trainer calls it."""
    try:
        yield
    except (UsageError, RuntimeError, ImportError, OSError, MemoryError):
        raise
    except Exception as error:
        raise UsageError(
            f"{type(module).__name__} fails {when}: {told(error, type(module).__module__)}", hint=f"the trainer calls {call}"
        ) from error


class _NotTold(Exception):
    """Reports that the program does not say how much work it is."""


def _macs(jaxpr: Any) -> int:
    return sum(_macs_of(equation) for equation in jaxpr.eqns)


def _macs_of(equation: Any) -> int:
    """Count the MACs of one operation.

    Raises `_NotTold` for what is opaque, for a loop without a stated end and for branches that differ, if there are products in them.
    """
    name, given = equation.primitive.name, equation.params
    if name in _OPAQUE:
        raise _NotTold
    if name == "dot_general":
        (contracted, _), _ = given["dimension_numbers"]
        left = equation.invars[0].aval.shape
        return _size(equation.outvars[0]) * math.prod(left[axis] for axis in contracted)
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        taps = math.prod(kernel) // kernel[given["dimension_numbers"].rhs_spec[0]]  # input channels of a group × height × width
        return _size(equation.outvars[0]) * taps // math.prod(given["lhs_dilation"])
    inside = [_macs(part) for part in _parts(given)]
    if name == "scan":
        return given["length"] * sum(inside)
    if (name == "while" and any(inside)) or (name == "cond" and len(set(inside)) > 1):
        raise _NotTold
    return inside[0] if name == "cond" else sum(inside)


def _size(variable: Any) -> int:
    return math.prod(variable.aval.shape)


def _parts(given: dict[str, Any]) -> Iterator[Any]:
    """Yield the programs inside an operation's parameters."""
    for value in given.values():
        for part in value if isinstance(value, list | tuple) else (value,):
            part = getattr(part, "jaxpr", part)
            if hasattr(part, "eqns"):
                yield part
