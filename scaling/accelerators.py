"""What a device is: its cores, for accounting, and its peak speed, for estimates.

Peak FLOP/s are dense bfloat16, without sparsity, of one *core* as `core_hours` counts them. Sources: Google Cloud TPU system
architecture pages (v2 … v6e), NVIDIA A100/H100/H200 data sheets (SXM). TPU v2 … v5p have two TensorCores a chip, v5e and v6e one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from scaling.errors import UnknownName

__all__ = ["ACCELERATORS", "SIMULATED", "Accelerator", "accelerator", "core_hours"]


@dataclass(frozen=True)
class Accelerator:
    """A kind of device.

    `cores_per_chip`: accelerator cores a chip (a GPU counts as one; for `cpu` a chip *is* one core).
    `chips_per_host`: chips that one host holds on its own, the unit Ray hands out.
    `peak_flops_per_core`: FLOP/s of one core.
    """

    name: str
    cores_per_chip: int
    chips_per_host: int
    peak_flops_per_core: float

    @property
    def is_simulated(self) -> bool:
        """A rehearsal's: nothing is trained on it, and its core-hours are those of a stated speed."""
        return self.name.startswith(SIMULATED)


SIMULATED = "simulated "
"""`simulated TPU-v4` counts and costs as a TPU-v4; the name keeps its runs apart from real ones wherever they are shown or fitted."""

_TABLE = (
    # ASSUMPTION: 100 GFLOP/s a core: 32 float32 FLOP a cycle (AVX2, two FMA units) at about 3 GHz. CPUs differ by 4x either way;
    # estimates on CPU are refined by what has been measured.
    Accelerator("cpu", 1, 1, 100e9),
    Accelerator("TPU-v2", 2, 4, 45e12 / 2),
    Accelerator("TPU-v3", 2, 4, 123e12 / 2),
    Accelerator("TPU-v4", 2, 4, 275e12 / 2),
    Accelerator("TPU-v5e", 1, 4, 197e12),
    Accelerator("TPU-v5p", 2, 4, 459e12 / 2),
    Accelerator("TPU-v6e", 1, 4, 918e12),
    Accelerator("A100", 1, 8, 312e12),
    Accelerator("H100", 1, 8, 989e12),
    Accelerator("H200", 1, 8, 989e12),
)

ACCELERATORS: dict[str, Accelerator] = {entry.name: entry for entry in _TABLE}


def accelerator(name: str) -> Accelerator:
    """The accelerator called `name`, or `simulated <name>`. Raises `UnknownName` with the nearest name."""
    if name.startswith(SIMULATED):
        return replace(accelerator(name.removeprefix(SIMULATED)), name=name)
    try:
        return ACCELERATORS[name]
    except KeyError:
        raise UnknownName("accelerator", name, ACCELERATORS) from None


def core_hours(cores: float, seconds: float) -> float:
    """Cores × seconds / 3600."""
    return cores * seconds / 3600.0
