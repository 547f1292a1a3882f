"""The family of rehearsals: another family's sizes, a stated loss in place of a network. `trainer.simulated` "trains" it.

`options`: `of` (the family), `of_options` (that family's options of the model) and `surface` (the fields of `trainer.simulated.Surface`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from scaling.columns import SIMULATED
from scaling.errors import UsageError
from trainer.models.protocol import Counts, CountsParams, Family
from trainer.typing import ImageShape, Options

__all__ = ["FAMILY", "params_and_macs"]

FAMILY = SIMULATED


def params_and_macs(family: Callable[[str], Family]) -> tuple[CountsParams, Counts]:
    """`params` and `macs` of the family `simulated`, given the lookup of families: those of the family it stands for."""

    def params(name: str, options: Options, *, num_classes: int, channels: int, image_shape: ImageShape | None = None) -> int:
        of = family(options["of"])
        return of.params(name, options["of_options"], num_classes=num_classes, channels=channels, image_shape=image_shape)

    def macs(name: str, options: Options, *, num_classes: int, image_shape: ImageShape) -> int:
        return family(options["of"]).macs(name, options["of_options"], num_classes=num_classes, image_shape=image_shape)

    return params, macs


def build(name: str, **_: object) -> NoReturn:
    raise UsageError(f"{name} is simulated: there is no network to build", hint="leave out `simulate` to train it")
