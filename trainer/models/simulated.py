"""The family of rehearsals: another family's sizes, a stated loss in place of a network. `trainer.simulated` "trains" it.

`options`: `of` (the family), `of_options` (that family's options of the model) and `surface` (the fields of `trainer.simulated.Surface`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from scaling.columns import SIMULATED
from scaling.errors import UsageError

__all__ = ["FAMILY", "params_and_macs"]

FAMILY = SIMULATED


def params_and_macs(family: Callable[[str], Any]) -> tuple[Callable[..., int], Callable[..., int]]:
    """`params` and `macs` of the family `simulated`, given the lookup of families: those of the family it stands for."""

    def params(name: str, options: Mapping[str, Any], *, num_classes: int, channels: int, image_shape: Any = None) -> int:
        shape = {"num_classes": num_classes, "channels": channels, "image_shape": image_shape}
        return family(options["of"]).params(name, options["of_options"], **shape)

    def macs(name: str, options: Mapping[str, Any], **shape: Any) -> int:
        return family(options["of"]).macs(name, options["of_options"], **shape)

    return params, macs


def build(name: str, **_: Any) -> Any:
    raise UsageError(f"{name} is simulated: there is no network to build", hint="leave out `simulate` to train it")
