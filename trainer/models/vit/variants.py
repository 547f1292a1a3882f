"""The Vision Transformers as dimensions: which shape a name stands for, and what dimensions fit together.

| names | shape from | pooling |
|---|---|---|
| `ViT-S/16` | Touvron et al. 2021 (arXiv 2012.12877), table 1, DeiT-S; Steiner et al. 2022 (arXiv 2106.10270), table 1 | class token |
| `ViT-B/16`, `ViT-L/16` | Dosovitskiy et al. 2021 (arXiv 2010.11929), table 1 | class token |
| `ViT-g/14`, `ViT-G/14` | Zhai et al. 2022 (arXiv 2106.04560), table 2 | attention (MAP) |
| `SoViT-400m/14` | Alabdulmohsin et al. 2023 (arXiv 2305.13035), sec. 4.1; heads from big_vision's `So400m` | attention (MAP) |

nano-ViT-Ti … nano-ViT-L are for images of 8 to 32 px: width and depth grow together, so that a size has 7 to 9 times the parameters of the
one before. A head has 8 channels and the MLP 4 times the width. They pool by the mean, as the plain ViTs of Beyer et al. 2022 (arXiv
2205.01580) do, but learn their positions: at such widths most channels of the sin-cos ones hardly change over a small grid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from scaling.errors import UnknownName, UsageError
from trainer.typing import ImageShape

__all__ = ["GELUS", "MAX_DIMENSION", "POOLS", "POSITIONS", "Variant", "checked", "custom", "names", "variant"]

POOLS = ("token", "average", "attention")
"""How one vector is made of all tokens: the class token's, their mean, or that of a learnt query (MAP: multi-head attention pooling)."""
POSITIONS = ("learned", "sincos")
GELUS = ("tanh", "exact")
MAX_DIMENSION = 1_000_000
"""Largest width, depth, MLP or patch."""
_NUMBERS = ("width", "depth", "heads", "patch")


@dataclass(frozen=True)
class Variant:
    """Holds the dimensions of one ViT.

    width: channels of a token. depth: blocks. heads: of each attention; they divide the width. patch: side of a patch in pixels.
    mlp: hidden channels of an MLP; None: 4 × width.
    pool: one of `POOLS`.
    positions: "learned", one vector a patch (and the class token), or "sincos", fixed.
    gelu: "tanh", the approximation that the released JAX code of all these papers computes, or "exact", as PyTorch and timm do.
    """

    name: str
    width: int
    depth: int
    heads: int
    patch: int
    mlp: int | None = None
    pool: str = "average"
    positions: str = "learned"
    gelu: str = "tanh"

    @property
    def hidden(self) -> int:
        """Return the hidden channels of an MLP."""
        return self.mlp or 4 * self.width

    @property
    def class_tokens(self) -> int:
        """Return how many tokens there are beside the patches: 1 or 0."""
        return int(self.pool == "token")

    def grid(self, image_shape: ImageShape) -> tuple[int, int]:
        """Return how many patches an image [H, W, C] has along each side. Raises `UsageError` where they do not fill it."""
        height, width, _ = image_shape
        if height % self.patch or width % self.patch:
            raise UsageError(
                f"{self.name}: patches of {self.patch} × {self.patch} px do not divide images of {height} × {width} px",
                hint=f"give images whose sides are multiples of {self.patch} px, or another patch",
            )
        return height // self.patch, width // self.patch


def _published(name: str, width: int, depth: int, heads: int, mlp: int, patch: int, pool: str) -> Variant:
    return Variant(name, width, depth, heads, patch, mlp, pool=pool)


def _nano(size: str, width: int, depth: int) -> Variant:
    return Variant(f"nano-ViT-{size}", width, depth, heads=width // 8, patch=2)


_VARIANTS = {
    entry.name: entry
    for entry in (
        _published("ViT-S/16", 384, 12, 6, 1536, 16, "token"),
        _published("ViT-B/16", 768, 12, 12, 3072, 16, "token"),
        _published("ViT-L/16", 1024, 24, 16, 4096, 16, "token"),
        _published("SoViT-400m/14", 1152, 27, 16, 4304, 14, "attention"),
        _published("ViT-g/14", 1408, 40, 16, 6144, 14, "attention"),
        _published("ViT-G/14", 1664, 48, 16, 8192, 14, "attention"),
        _nano("Ti", 8, 2),
        _nano("S", 16, 4),
        _nano("B", 40, 6),
        _nano("L", 96, 9),
    )
}


def names() -> tuple[str, ...]:
    """Return every name that `variant` knows."""
    return tuple(_VARIANTS)


def variant(name: str, **dimensions: Any) -> Variant:
    """Return the dimensions behind a name, with fields of `Variant` in place of the named ones. Raises `UnknownName`, `UsageError`.

    Another width has 4 times itself as its MLP, unless that is given too.
    """
    if name not in _VARIANTS:
        raise UnknownName("model", name, _VARIANTS)
    if "width" in dimensions:
        dimensions.setdefault("mlp", None)
    return checked(replace(_VARIANTS[name], **dimensions))


def custom(name: str, **dimensions: Any) -> Variant:
    """Make a ViT by numbers: width, depth, heads and patch, and any other field of `Variant`. Raises `UnknownName`, `UsageError`."""
    if missing := [number for number in _NUMBERS if number not in dimensions]:
        raise UsageError(
            f"{name}: {missing[0]} is missing: a ViT by numbers has {', '.join(_NUMBERS)}",
            hint="e.g. width: 192, depth: 6, heads: 3, patch: 4",
        )
    return checked(Variant(name, **dimensions))


def checked(candidate: Variant) -> Variant:
    """Return `candidate` if its dimensions fit together. Raises `UnknownName`, `UsageError`."""
    for number in (*_NUMBERS, "mlp"):
        value = getattr(candidate, number)
        if value is None and number == "mlp":
            continue
        if not (type(value) is int and 0 < value <= MAX_DIMENSION):
            raise UsageError(
                f"{candidate.name}: {number} {value!r} is not a whole number from 1 to {MAX_DIMENSION:,}",
                hint="e.g. width: 192, depth: 6, heads: 3, patch: 4",
            )
    for choice, known in (("pool", POOLS), ("positions", POSITIONS), ("gelu", GELUS)):
        value = getattr(candidate, choice)
        if value not in known:
            raise UnknownName(choice, str(value), known)
    if candidate.width % candidate.heads:
        raise UsageError(
            f"{candidate.name}: {candidate.heads} heads do not divide a width of {candidate.width}",
            hint="give a width that is a multiple of heads, e.g. 64 channels a head",
        )
    if candidate.positions == "sincos" and candidate.width % 4:
        raise UsageError(
            f"{candidate.name}: sin-cos positions need a width that 4 divides, not {candidate.width}",
            hint="sine and cosine of two coordinates; or positions: learned",
        )
    return candidate
