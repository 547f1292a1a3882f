"""What the backward pass keeps of a block's forward pass, and what it computes again: memory against time, the same values.

| policy | kept of a block | computed again |
|---|---|---|
| `none` | everything the gradients need | nothing |
| `dots` | what convolutions and dense layers gave (`PRODUCT`) | the rest: activations, weight standardisation, attention |
| `block` | its input | the whole block: about a third more FLOPs |
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax

from scaling.errors import UnknownName
from trainer.models.protocol import REMAT
from trainer.typing import PyTree

__all__ = ["PRODUCT", "rematerialised", "rematerialised_function"]

PRODUCT = "product"
"""Name that a block gives, by `checkpoint_name`, to what its convolutions and dense layers give: the policy `dots` keeps those."""


def rematerialised(module: type[nn.Module], remat: str) -> type[nn.Module]:
    """Return the module class under a policy; parameters keep their names. Raises `UnknownName`."""
    return module if _known(remat) == "none" else nn.remat(module, policy=_policy(remat))


def rematerialised_function(function: Callable[..., PyTree], remat: str) -> Callable[..., PyTree]:
    """Return a function of arrays, the body of a loop, under a policy. Raises `UnknownName`."""
    return function if _known(remat) == "none" else jax.checkpoint(function, policy=_policy(remat), prevent_cse=False)


def _policy(remat: str) -> Callable[..., bool] | None:
    return jax.checkpoint_policies.save_only_these_names(PRODUCT) if remat == "dots" else None


def _known(remat: str) -> str:
    if remat not in REMAT:
        raise UnknownName("rematerialisation policy", remat, REMAT)
    return remat
