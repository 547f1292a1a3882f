"""`Accelerator`: what is known of a kind of device."""

from __future__ import annotations

import re
from math import prod
from typing import ClassVar

from scaling.accelerators.hours import core_hours
from scaling.records import Record

__all__ = ["Accelerator"]

_PART = re.compile(r"\bMIG\b|-\d+[ABCQ]\b", re.IGNORECASE)
"""What a driver adds to the name of a card for a part of it."""
_OTHER_CARDS = {"ti", "super", "d", "laptop", "nvl", "mi250"}
"""Words that make another card of the name before them: `RTX 3090 Ti`, `RTX 4090 D`, `H200 NVL`; `MI250X/MI250` may be either."""


class Accelerator(Record):
    """Describes a kind of device.

    name: as files, tables and core-hours call it. aliases: other names that a file may use.
    peak_flops: FLOP/s of one chip, dense bfloat16, without sparsity (float16 where there is none); None for `gpu`, which stands for any. memory_bytes: of one chip; None where no source was read.
    cores_per_chip: accelerator cores a chip, as core-hours count them (a GPU counts as one; for `cpu` a chip *is* one core).
    chips_per_host: chips that one host holds on its own, the unit Ray hands out.
    device_names: as JAX's `device_kind` calls it; none is the name and its aliases. Of a TPU it is the whole text, else words of it.
    ray_type: as Ray calls it, after `accelerator_type:`; None is the name. devices_per_chip: how many devices JAX shows of a chip.
    generation: of a TPU, as Ray's labels spell it; None for all else. topologies: the usual slices of a TPU, one for a number of chips.
    one_host_topologies: slices that one host holds though they have more than `chips_per_host`, or fewer.
    source: where the numbers were read.
    """

    name: str
    peak_flops: float | None = None
    cores_per_chip: int = 1
    chips_per_host: int = 8
    memory_bytes: int | None = None
    aliases: tuple[str, ...] = ()
    device_names: tuple[str, ...] = ()
    ray_type: str | None = None
    devices_per_chip: int = 1
    generation: str | None = None
    topologies: tuple[str, ...] = ()
    one_host_topologies: tuple[str, ...] = ()
    source: str | None = None
    _read: ClassVar = dict.fromkeys(("aliases", "device_names", "topologies", "one_host_topologies"), tuple)

    @property
    def peak_flops_per_core(self) -> float | None:
        """Return the peak FLOP/s of one core; None where it is not known."""
        return self.peak_flops / self.cores_per_chip if self.peak_flops else None

    @property
    def peak_flops_per_device(self) -> float | None:
        """Return the peak FLOP/s of what JAX shows as one device; None where it is not known."""
        return self.peak_flops / self.devices_per_chip if self.peak_flops else None

    @property
    def is_tpu(self) -> bool:
        """Say whether it comes in slices, as TPUs do."""
        return self.generation is not None

    @property
    def is_any(self) -> bool:
        """Say whether it stands for whatever GPU there is, which its driver names."""
        return self.name == "gpu"

    @property
    def on_ray(self) -> str:
        """Return the name that Ray has for it."""
        return self.ray_type or self.name

    def stated_rate(self, mfu: float) -> float | None:
        """Return the core-hours of one FLOP at this share of the peak, 0 … 1; None where the peak is not known."""
        peak = self.peak_flops_per_core
        return core_hours(1.0, 1.0 / (peak * mfu)) if peak else None

    def usual_topology(self, chips: int) -> str | None:
        """Return the usual topology of a slice of so many chips; None where there is none."""
        return next((each for each in self.topologies if prod(map(int, each.split("x"))) == chips), None)

    def fit(self, device_kind: str) -> int:
        """Return how many characters of `device_kind` are a name of this accelerator, 0 where none is: the more, the surer.

        A GPU's driver adds to its name, `NVIDIA A100-SXM4-80GB`, so words are compared; `GB200` is no `B200`, and a 4090 Laptop no 4090.
        A part of a card, which the driver calls `… MIG 1g.5gb` or, of a virtual one, `A40-24Q`, is no whole one.
        """
        if self.is_tpu:
            return len(device_kind) if device_kind in self.device_names else 0
        if self.is_any or _PART.search(device_kind):
            return 0
        found = _words(device_kind)
        other = _OTHER_CARDS & set(found.split())
        names = [_words(name) for name in (self.device_names or (self.name, *self.aliases))]
        return max((len(name) for name in names if name.strip() and name in found and other <= set(name.split())), default=0)


def _words(text: str) -> str:
    """Return the words of a name in lower case, each between spaces."""
    return f" {' '.join(re.findall(r'[a-z0-9.]+', text.lower()))} "
