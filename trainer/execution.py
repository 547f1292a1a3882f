"""How a run is computed, as opposed to what it computes.

These choices change speed and memory, and results by rounding only; so they are no part of a run's id. They are fixed for a run and
recorded with its attempts, since equal bits need equal choices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

__all__ = ["Execution"]


@dataclass(frozen=True)
class Execution:
    """Holds the choices of how a run is computed that leave the mathematics alone.

    micro_batch: examples that go through the network at once; gradients are accumulated over the batch. None is the whole batch.
    scan: blocks of a stage as one loop (`lax.scan`): compiles in less time (`docs/speed.md`). None: on TPU and GPU, not on CPU, where a
        scanned stage was seen to run five times slower than an unrolled one.
    remat: `none` keeps what the backward pass needs, `block` recomputes each block from its input, `dots` keeps what convolutions and
        matrix products gave.
    fsdp: parameters and optimiser state split over the devices as well as the batch.
    workers: processes that read and augment images; 0 does it in the trainer's own.
    on_out_of_memory: `fail`, or `halve` the micro-batch and go on.
    on_bad_example: `fail`, or `skip` a training image that cannot be read, and say so in the audit.
    """

    micro_batch: int | None = None
    scan: bool | None = None
    remat: str = "none"
    fsdp: bool = False
    workers: int = 0
    on_out_of_memory: str = "fail"
    on_bad_example: str = "fail"

    @property
    def computation(self) -> Execution:
        """Return the choices that a compiled program depends on; the rest at their defaults."""
        return replace(self, workers=0, on_bad_example="fail")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Execution:
        """Read what `to_dict` wrote."""
        return cls(**content)
