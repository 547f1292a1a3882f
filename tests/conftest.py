"""Shared by all tests: strict JAX, a quiet Ray, and small ready-made configs."""

from __future__ import annotations

import os

os.environ.setdefault("NPROC", "1")  # before JAX starts: fixes its threads, and with them its bits
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.pop("SCALING_DB", None)
os.environ.pop("SCALING_HOME", None)

from pathlib import Path

REFERENCE = Path(__file__).parent / "reference"
