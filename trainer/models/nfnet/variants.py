"""The NFNet-F family as dimensions: which widths and depths a name stands for.

F0 … F7 and F0+ … F7+: Brock, De, Smith, Simonyan 2021 (arXiv 2102.06171), sec. 4 and table 1. Depth grows as N·[1, 2, 6, 3] with
N = 1 … 8; the "+" variants are wider at the same depth and are those of Smith et al. 2023 (arXiv 2310.16764).

nano-F0 … nano-F7+: the same rules at widths that train in seconds on one CPU core, with a stem that does not shrink small images. The
rules are depth N·[1, 1], "+" is wider, a bottleneck of half the width, groups of a fixed width, WS, SkipInit and SE.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from scaling.errors import UnknownName, UsageError

__all__ = ["MAX_DIMENSION", "STEMS", "Stem", "Variant", "checked", "custom", "names", "variant"]


@dataclass(frozen=True)
class Stem:
    """Lists the convolutions before the first block: (channels, stride) each, 3×3; None stands for half the first stage's width."""

    convolutions: tuple[tuple[int | None, int], ...]


STEMS = {
    "imagenet": Stem(((16, 2), (32, 1), (64, 1), (None, 2))),
    "small": Stem(((None, 1),)),  # for images of about 8 px
    "medium": Stem(((None, 2),)),  # for images of about 32 px
}


@dataclass(frozen=True)
class Variant:
    """Holds the dimensions of one NFNet.

    width: output channels of each stage.
    depth: blocks of each stage.
    strides: stride of the first block of each stage.
    group_width: channels of one group of the 3×3 convolutions; one number, or one a stage.
    stem: a key of `STEMS`.
    floor_bottleneck: round the bottleneck down to a multiple of `group_width`, as the released code does. The published figures of the
        "+" variants match only the other reading (192 channels in one group in stage 1), which is therefore the default.
    expansion: channels inside a block, relative to its width. se_ratio: channels inside squeeze-and-excite, relative to the width.
    dropout: rate before the classifier. train_px, test_px: as published for ImageNet; the data set's options say what is used.
    """

    name: str
    width: tuple[int, ...]
    depth: tuple[int, ...]
    strides: tuple[int, ...] = (1, 2, 2, 2)
    group_width: int | tuple[int, ...] = 128
    stem: str = "imagenet"
    floor_bottleneck: bool = False
    expansion: float = 0.5
    se_ratio: float = 0.5
    dropout: float = 0.0
    train_px: int | None = None
    test_px: int | None = None

    @property
    def stem_convolutions(self) -> tuple[tuple[int, int], ...]:
        """Return (channels, stride) of each convolution of the stem."""
        return tuple((channels or self.width[0] // 2, stride) for channels, stride in STEMS[self.stem].convolutions)

    @property
    def total_stride(self) -> int:
        """Return how many pixels of the image, along each side, one pixel of the last feature map stands for."""
        return math.prod([stride for _, stride in self.stem_convolutions] + list(self.strides))

    @property
    def head_width(self) -> int:
        """Return the channels of the last convolution, before pooling."""
        return 2 * self.width[-1]

    def groups_and_bottleneck(self, stage: int) -> tuple[int, int]:
        """Return the number of groups and the channels of the 3×3 convolutions of a stage."""
        bottleneck = int(self.width[stage] * self.expansion)
        group_width = self.group_width if isinstance(self.group_width, int) else self.group_width[stage]
        groups = max(1, bottleneck // group_width)
        return groups, groups * group_width if self.floor_bottleneck else bottleneck


MAX_DIMENSION = 1_000_000
"""Largest number of blocks, channels or stride of one stage."""
_TRAIN_PX = (192, 224, 256, 320, 384, 416, 448, 480)
_TEST_PX = (256, 320, 352, 416, 512, 544, 576, 608)
_DROPOUT = (0.2, 0.3, 0.4, 0.4, 0.5, 0.5, 0.5, 0.5)
_DEPTH = (1, 2, 6, 3)

_NANO_DEPTH = (1, 1)
_NANO_WIDTH = (8, 16)
_NANO_PLUS_WIDTH = (12, 24)


def _published(index: int, *, plus: bool) -> Variant:
    return Variant(
        name=f"F{index}{'+' if plus else ''}",
        width=(384, 768, 2048, 2048) if plus else (256, 512, 1536, 1536),
        depth=tuple(blocks * (index + 1) for blocks in _DEPTH),
        dropout=_DROPOUT[index],
        train_px=_TRAIN_PX[index],
        test_px=_TEST_PX[index],
    )


def _nano(index: int, *, plus: bool) -> Variant:
    return Variant(
        name=f"nano-F{index}{'+' if plus else ''}",
        width=_NANO_PLUS_WIDTH if plus else _NANO_WIDTH,
        depth=tuple(blocks * (index + 1) for blocks in _NANO_DEPTH),
        strides=(1, 2),
        group_width=4,
        stem="small",
    )


_VARIANTS = {
    entry.name: entry
    for make in (_published, _nano)
    for plus in (False, True)
    for index in range(8)
    for entry in [make(index, plus=plus)]
}


def names() -> tuple[str, ...]:
    """Return every name that `variant` knows."""
    return tuple(_VARIANTS)


def variant(name: str, *, width: str = "paper", **dimensions: Any) -> Variant:
    """Return the dimensions behind a name.

    Args:
        name: F0 … F7+, nano-F0 … nano-F7+.
        width: "paper" or "released_code"; see `Variant.floor_bottleneck`.
        dimensions: fields of `Variant` to put in place of the named ones.

    Raises:
        UnknownName: no such variant, width rule or stem.
        UsageError: dimensions that do not fit together.
    """
    if name not in _VARIANTS:
        raise UnknownName("model", name, _VARIANTS)
    if width not in ("paper", "released_code"):
        raise UnknownName("width rule", width, ("paper", "released_code"))
    return checked(replace(_VARIANTS[name], floor_bottleneck=width == "released_code", **dimensions))


def custom(name: str, **dimensions: Any) -> Variant:
    """Make an NFNet of given `width` and `depth` (and any other field of `Variant`)."""
    depth = tuple(dimensions.get("depth", ()))
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in dimensions.items()}
    given.setdefault("strides", (1, *(2,) * (len(depth) - 1)))
    return checked(Variant(name=name, **given))


def checked(candidate: Variant) -> Variant:
    """Return `candidate` if its dimensions fit together. Raises `UnknownName` for the stem, `UsageError`."""
    if candidate.stem not in STEMS:
        raise UnknownName("stem", candidate.stem, STEMS)
    for name in ("width", "depth", "strides", "group_width"):
        given = getattr(candidate, name)
        entries = given if isinstance(given, tuple) else (given,)
        if not all(type(entry) is int and entry > 0 for entry in entries):
            raise UsageError(
                f"{candidate.name}: {name} {given!r} is not made of whole numbers above 0", hint="e.g. width: [64, 128]"
            )
        if name != "group_width" and max(entries) > MAX_DIMENSION:
            raise UsageError(
                f"{candidate.name}: {name} has an entry above {MAX_DIMENSION:,}", hint="F7 has 48 blocks in its longest stage"
            )
    for name in ("expansion", "se_ratio"):
        if not getattr(candidate, name) > 0:
            raise UsageError(f"{candidate.name}: {name} {getattr(candidate, name)!r} is not above 0", hint="published: 0.5")
    if not len(candidate.width) == len(candidate.depth) == len(candidate.strides) > 0:
        raise UsageError(
            f"{candidate.name}: width {candidate.width}, depth {candidate.depth} and strides {candidate.strides} need one entry a stage each",
            hint="give three lists of the same length",
        )
    for stage, width in enumerate(candidate.width):
        groups, bottleneck = candidate.groups_and_bottleneck(stage)
        if bottleneck < 1 or bottleneck % groups:
            raise UsageError(
                f"{candidate.name}: a bottleneck of {bottleneck} channels (stage {stage + 1}, width {width}) does not split into {groups} groups",
                hint=f"make half the width a multiple of group_width ({candidate.group_width})",
            )
    return candidate
