"""What the probes answer."""

from __future__ import annotations

from typing import Literal

from api.schemas.part import Part

__all__ = ["Health", "Readiness", "Version"]


class Health(Part):
    """Says that the process is up."""

    status: Literal["ok"]


class Readiness(Part):
    """Says that the store can be read, and how many runs it has."""

    status: Literal["ok"]
    runs: int


class Version(Part):
    """Names the software and its version, and the version of its JSON."""

    name: Literal["scaling"]
    version: str
    schema_version: int
