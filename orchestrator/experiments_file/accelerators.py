"""Accelerators that a user declares: `accelerators:` in the experiments file, or in a file of settings that all experiments share."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from orchestrator.experiments_file.document import Document
from scaling.accelerators import ACCELERATORS, Accelerator
from scaling.errors import Fault

__all__ = ["SETTINGS", "AcceleratorField", "accelerator_faults", "settings_path"]

SETTINGS = "SCALING_ACCELERATORS"
"""The environment variable that names the file of settings."""
_SLOWEST, _FASTEST = 1e9, 1e18
_OF_THE_TABLE = ("peak_flops", "cores_per_chip")

_Name = Annotated[str, Field(min_length=1, max_length=100)]


def _in_flops(value: float) -> float:
    if not _SLOWEST <= value <= _FASTEST:
        meant = f"; {value:g} TFLOP/s are {value * 1e12:.4g}" if value < 1e6 else ""
        raise ValueError(f"{value:g} is not allowed: peak_flops is in FLOP/s, {_SLOWEST:g} … {_FASTEST:g}{meant}")
    return value


class AcceleratorField(BaseModel):
    """Declares an accelerator, or changes one of the table: see `scaling.accelerators.Accelerator`.

    name: as `resources` and the column `accelerator` have it. peak_flops: of one chip, dense bfloat16, without sparsity; required of a new name.
    cores_per_chip: what core-hours count, by default 1. chips_per_host: more are spread over hosts, by default 8.
    aliases: other names that `resources` may use. device_names: what its driver calls it, or words of that, by default name and aliases.
    memory_gb: 10⁹ bytes. price: of an hour of one chip.
    ray_type: what Ray has after `accelerator_type:`. An accelerator of the table keeps its peak and its cores: the same may be stated again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=40)]
    peak_flops: Annotated[float, Field(gt=0, allow_inf_nan=False), AfterValidator(_in_flops)] | None = None
    cores_per_chip: Annotated[int, Field(ge=1, le=1024, strict=True)] | None = None
    chips_per_host: Annotated[int, Field(ge=1, le=1024, strict=True)] | None = None
    memory_gb: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = None
    price: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    aliases: list[_Name] = []
    device_names: list[_Name] = []
    ray_type: _Name | None = None

    @property
    def card(self) -> Accelerator:
        """Return the accelerator: what is stated here, else what the table has, else the default."""
        known = ACCELERATORS.get(self.name) or Accelerator(name=self.name, peak_flops=self.peak_flops or _SLOWEST)
        told: dict[str, Any] = {
            "peak_flops": self.peak_flops,
            "cores_per_chip": self.cores_per_chip,
            "chips_per_host": self.chips_per_host,
            "memory_bytes": None if self.memory_gb is None else round(self.memory_gb * 1e9),
            "aliases": tuple(self.aliases),
            "device_names": tuple(self.device_names),
            "ray_type": self.ray_type,
        }
        return replace(known, **{name: value for name, value in told.items() if value})


def settings_path() -> Path | None:
    """Return the user's file of settings: as SCALING_ACCELERATORS names it, else the one in the usual folder, if it is there."""
    if named := os.environ.get(SETTINGS):
        return Path(named).expanduser()
    usual = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "scaling" / "accelerators.yaml"
    return usual if usual.is_file() else None


def accelerator_faults(fields: Sequence[AcceleratorField], document: Document) -> Iterator[Fault]:
    """Yield the faults of declared accelerators: one declared twice, a peak that is missing, and a table's that would change."""
    taken: dict[str, str] = {}
    for kind in ACCELERATORS.values():
        taken |= dict.fromkeys(kind.aliases, kind.name)
    declared: set[str] = set()
    for index, field in enumerate(fields):
        place, known = ("accelerators", index), ACCELERATORS.get(field.name)
        if field.name in declared:
            yield document.fault(place, f"accelerator {field.name!r} is declared twice")
            continue
        declared.add(field.name)
        if field.name in taken:
            yield document.fault(
                (*place, "name"), f"{field.name!r} is another name of {taken[field.name]}; give your own card another"
            )
        for alias_index, alias in enumerate(field.aliases):
            owner = taken.get(alias) or (alias if alias in ACCELERATORS else None)
            if owner not in (None, field.name):
                yield document.fault((*place, "aliases", alias_index), f"{alias!r} is a name of {owner}")
        taken |= dict.fromkeys((field.name, *field.aliases), field.name)
        if known is None and field.name.lower().startswith("tpu"):
            yield document.fault(
                (*place, "name"), "a TPU is asked for by its slice, which only the table's have; name a card otherwise"
            )
        if known is None and field.peak_flops is None:
            yield document.fault(place, "key 'peak_flops' is missing: FLOP/s of one chip in dense bfloat16, from its data sheet")
        if known is not None:
            for name in _OF_THE_TABLE:
                if getattr(field, name) not in (None, getattr(known, name)):
                    yield document.fault(
                        (*place, name),
                        f"{field.name} is in the table, and its {name} is fixed; declare your card under another name",
                    )
