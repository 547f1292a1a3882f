"""Kinds of devices: their cores, for accounting, and their peak speed, for estimates.

Peak FLOP/s are dense bfloat16, without sparsity, of one *core* as `core_hours` counts them. Sources: Google Cloud TPU system
architecture pages (v2 … v6e), NVIDIA A100/H100/H200 data sheets (SXM). TPU v2 … v5p have two TensorCores a chip, v5e and v6e one.
"""

from __future__ import annotations

from dataclasses import dataclass

from scaling.errors import UnknownName

__all__ = ["ACCELERATORS", "CONVERSIONS", "Accelerator", "HourConversion", "accelerator", "core_hours", "estimate_core_hours"]


@dataclass(frozen=True)
class Accelerator:
    """Describes a kind of device.

    `cores_per_chip`: accelerator cores a chip (a GPU counts as one; for `cpu` a chip *is* one core).
    `chips_per_host`: chips that one host holds on its own, the unit Ray hands out.
    `peak_flops_per_core`: FLOP/s of one core.
    """

    name: str
    cores_per_chip: int
    chips_per_host: int
    peak_flops_per_core: float

    def stated_rate(self, mfu: float) -> float:
        """Return the core-hours of one FLOP at this share of the peak, 0 … 1."""
        return core_hours(1.0, 1.0 / (self.peak_flops_per_core * mfu))


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


@dataclass(frozen=True)
class HourConversion:
    """Says that `factor` core-hours on `theirs` do what one core-hour on `ours` does, according to `source`.

    The factor is of a kind of model, not of the devices alone: measured speed-ups differ between families, and from the ratio of
    peak FLOP/s. `name` names a published one; those that a user gives have none.
    """

    name: str
    theirs: str
    ours: str
    factor: float
    source: str


CONVERSIONS = (
    HourConversion("nfnet", "TPU-v3", "TPU-v4", 2.27, "NFNet-F7+: 250k to 110k core-hours, Smith et al. 2023, arXiv 2310.16764"),
    HourConversion("vit", "TPU-v3", "TPU-v4", 1.77, "ViT: 1.75 to 1.79, Smith et al. 2023, arXiv 2310.16764"),
)
"""Published factors."""

ACCELERATORS: dict[str, Accelerator] = {entry.name: entry for entry in _TABLE}


def accelerator(name: str) -> Accelerator:
    """Return the accelerator called `name`. Raises `UnknownName` with the nearest name."""
    try:
        return ACCELERATORS[name]
    except KeyError:
        raise UnknownName("accelerator", name, ACCELERATORS) from None


def core_hours(cores: float, seconds: float) -> float:
    """Return core-hours: cores × seconds / 3600."""
    return cores * seconds / 3600.0


def estimate_core_hours(work: float, *rates: float | None) -> float | None:
    """Estimate the useful core-hours of a planned run: its work times the nearest rate that is known; None where none is.

    All estimates come from here: those of the plan and its price, of the scheduler and the budgets, of early stopping, and of the
    candidates for the next runs.

    Args:
        work: training FLOPs; or epochs, for runs of one model in a table that may not know FLOPs.
        rates: core-hours for one unit of that work, the nearest measurement first; None or 0 where nothing was measured.
            Of a store the order is (`orchestrator.store.estimates`): finished runs of the same shape on the same accelerator; the newest
            probe of that shape there; finished runs of the family there. The last one is what the file states, see
            `Accelerator.stated_rate`.
    """
    return next((rate * work for rate in rates if rate), None)
