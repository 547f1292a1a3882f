"""ResNets as dimensions: which widths and depths a name stands for.

ResNet-18 … ResNet-152: He et al. 2015 (arXiv 1512.03385), table 1. The stride of a bottleneck is on its 3×3 convolution ("v1.5", as
torchvision and timm have it), not on the first 1×1 as in the paper.

nano-ResNet-8 … nano-ResNet-38: the networks of the paper's section 4.2 for small images (three stages of n basic blocks, a 3×3 stem that
does not shrink, 6n + 2 layers), with shortcuts by projection as in ResNet-50. Width grows with depth, from 1,000 to 900,000 parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from scaling.errors import UnknownName, UsageError

__all__ = ["BLOCKS", "MAX_DIMENSION", "STEMS", "Variant", "custom", "names", "variant"]

STEMS = {"imagenet": 4, "medium": 2, "small": 1}
"""Total stride by name. imagenet: 7×7 at stride 2, then 3×3 pooling at stride 2. medium: 3×3 at stride 2. small: 3×3 at stride 1."""

BLOCKS = ("bottleneck", "basic")

MAX_DIMENSION = 1_000_000
"""Largest number of blocks, channels or stride of one stage."""


@dataclass(frozen=True)
class Variant:
    """Holds the dimensions of one ResNet.

    width: output channels of each stage. depth: blocks of each stage. strides: of the first block of each stage.
    block: `bottleneck` (1×1, 3×3, 1×1) or `basic` (two 3×3). expansion: channels inside a bottleneck, relative to the width.
    stem: a key of `STEMS`; it has as many channels as the inside of the first block.
    """

    name: str
    width: tuple[int, ...]
    depth: tuple[int, ...]
    strides: tuple[int, ...]
    block: str = "bottleneck"
    expansion: float = 0.25
    stem: str = "imagenet"

    @property
    def inside(self) -> tuple[int, ...]:
        """Return the channels inside the blocks of each stage."""
        return self.width if self.block == "basic" else tuple(int(width * self.expansion) for width in self.width)

    @property
    def total_stride(self) -> int:
        """Return how many pixels of the image, along each side, one pixel of the last feature map stands for."""
        return STEMS[self.stem] * math.prod(self.strides)


_PUBLISHED = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}
_WIDTH = {"basic": (64, 128, 256, 512), "bottleneck": (256, 512, 1024, 2048)}
_NANO_WIDTH = (2, 3, 5, 8, 12, 20)


def _published(layers: int) -> Variant:
    block, depth = _PUBLISHED[layers]
    return Variant(f"ResNet-{layers}", _WIDTH[block], depth, (1, 2, 2, 2), block)


def _nano(blocks: int, width: int) -> Variant:
    name, widths = f"nano-ResNet-{6 * blocks + 2}", (width, 2 * width, 4 * width)
    return Variant(name, widths, (blocks,) * 3, (1, 2, 2), "basic", stem="small")


_VARIANTS = {
    entry.name: entry
    for entry in (*map(_published, _PUBLISHED), *(_nano(blocks, width) for blocks, width in enumerate(_NANO_WIDTH, start=1)))
}


def names() -> tuple[str, ...]:
    """Return every name that `variant` knows."""
    return tuple(_VARIANTS)


def variant(name: str, **dimensions: Any) -> Variant:
    """Return the dimensions behind a name. dimensions: fields of `Variant` to put in place of the named ones.

    Raises:
        UnknownName: no such variant, block or stem.
        UsageError: dimensions that do not fit together.
    """
    if name not in _VARIANTS:
        raise UnknownName("model", name, _VARIANTS)
    return _checked(replace(_VARIANTS[name], **dimensions))


def custom(name: str, **dimensions: Any) -> Variant:
    """Make a ResNet of given `width` and `depth` (and any other field of `Variant`)."""
    depth = dimensions["depth"]
    dimensions.setdefault("strides", (1, *(2,) * (len(depth) - 1)) if isinstance(depth, tuple) else ())
    return _checked(Variant(name=name, **dimensions))


def _checked(candidate: Variant) -> Variant:
    """Return `candidate` if its dimensions fit together. Raises `UnknownName` for block and stem, `UsageError`."""
    for kind, value, known in (("block", candidate.block, BLOCKS), ("stem", candidate.stem, tuple(STEMS))):
        if value not in known:
            raise UnknownName(kind, value, known)
    for name in ("width", "depth", "strides"):
        given = getattr(candidate, name)
        if not (isinstance(given, tuple) and all(type(entry) is int and entry > 0 for entry in given)):
            raise UsageError(
                f"{candidate.name}: {name} {given!r} is no list of whole numbers above 0", hint="e.g. width: [64, 128]"
            )
        if given and max(given) > MAX_DIMENSION:
            raise UsageError(
                f"{candidate.name}: {name} has an entry above {MAX_DIMENSION:,}", hint="ResNet-152 has 36 blocks in a stage"
            )
    if not len(candidate.width) == len(candidate.depth) == len(candidate.strides) > 0:
        raise UsageError(
            f"{candidate.name}: width {candidate.width}, depth {candidate.depth} and strides {candidate.strides} need one entry a stage each",
            hint="give three lists of the same length",
        )
    expansion = candidate.expansion
    if not (type(expansion) in (int, float) and 0 < expansion <= MAX_DIMENSION and min(candidate.inside) >= 1):
        raise UsageError(
            f"{candidate.name}: expansion {expansion!r} leaves a block of width {min(candidate.width)} no channel inside",
            hint="published: 0.25 of the width, which then is 4 or more",
        )
    return candidate
