"""Kinds of devices: their cores, for accounting, and their peak speed, for estimates.

To add one, add a row to `table.py`, with its source beside it; `tests/test_accelerators.py` asks for the numbers, and
`python docs/refresh.py` renews the table in docs/experiments.md. A user adds one by `accelerators:` in the experiments file.

| file | what it has |
|---|---|
| `accelerator.py` | `Accelerator`: what is known of a kind of device |
| `table.py` | the rows that are shipped |
| `lookup.py` | finding one by its name, its aliases, or what the driver calls it |
| `hours.py` | core-hours, their estimate, and what those of one kind are worth on another |
"""

from __future__ import annotations

from scaling.accelerators.accelerator import Accelerator
from scaling.accelerators.hours import CONVERSIONS, HourConversion, core_hours, estimate_core_hours
from scaling.accelerators.lookup import ACCELERATORS, accelerator, accelerator_of_device, canonical, how_to_add

__all__ = [
    "ACCELERATORS",
    "CONVERSIONS",
    "Accelerator",
    "HourConversion",
    "accelerator",
    "accelerator_of_device",
    "canonical",
    "core_hours",
    "estimate_core_hours",
    "how_to_add",
]
