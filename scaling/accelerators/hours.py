"""Core-hours: how they are counted and estimated, and what those of one accelerator are worth on another."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CONVERSIONS", "MEASURED", "HourConversion", "core_hours", "estimate_core_hours"]

MEASURED = "measured"
"""Name of a factor that a store has by probes of one model on both accelerators."""


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
