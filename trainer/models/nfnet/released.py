"""Reads the parameters released with the paper (Haiku names) as variables of this project's module."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from scaling.errors import DataError
from trainer.typing import PyTree

if TYPE_CHECKING:
    from jax.typing import ArrayLike

__all__ = ["load_released", "released_path"]

_LEAF = {"w": "kernel", "gain": "gain", "bias": "bias", "b": "bias", "skip_gain": "skip_gain"}


def released_path(module: str, name: str) -> tuple[str, ...]:
    """Return where a released parameter lives here: `("NFNet/~/nf_block_3/~/conv1b", "w")` → `("block3", "conv1b", "kernel")`.

    Raises `DataError` for a name that no NFNet has.
    """
    parts = [part for part in module.split("/") if part != "~"][1:]
    path: list[str] = []
    for part in parts:
        if match := re.fullmatch(r"nf_block(?:_(\d+))?", part):
            path.append(f"block{match[1] or 0}")
        elif match := re.fullmatch(r"stem_conv(\d+)", part):
            path.append(part)
        elif path[-1:] == ["squeeze_excite"] and part in ("linear", "linear_1"):
            path.append("squeeze" if part == "linear" else "excite")
        elif part == "linear":
            path.append("classifier")
        elif part in ("final_conv", "conv0", "conv1", "conv1b", "conv2", "conv_shortcut", "squeeze_excite"):
            path.append(part)
        else:
            raise DataError(
                f"released parameter {module}/{name}: no part of an NFNet is called {part!r}", hint="are these NFNet-F parameters?"
            )
    return (*path, _LEAF[name])


def load_released(params: Mapping[str, Mapping[str, ArrayLike]]) -> dict[str, PyTree]:
    """Convert `{module: {name: array}}` as released to `{"params": …}` for `NFNet.apply`. Shapes are the same (kernels HWIO)."""
    tree: dict[str, PyTree] = {}
    for module, leaves in params.items():
        for name, value in leaves.items():
            *parents, leaf = released_path(module, name)
            node = tree
            for parent in parents:
                node = node.setdefault(parent, {})
            node[leaf] = value
    return {"params": tree}
