"""The JSON objects that `--json` prints and the HTTP API returns: what a result's `to_dict` says, and in which version of the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from analysis.reading.source import source_of
from scaling.columns import SCHEMA_VERSION

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["payload", "with_input"]


class Result(Protocol):
    """Describes what an analysis found: anything with `to_dict`."""

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON holds it."""


def payload(found: Result, **more: Any) -> dict[str, Any]:
    """Make `{"schema_version", …}`: a result as `--json` prints it and the HTTP API returns it. more: of its `to_dict`."""
    return {"schema_version": SCHEMA_VERSION, **found.to_dict(**more)}


def with_input(payload: dict[str, object], runs: pd.DataFrame) -> dict[str, object]:
    """Add `input` to a payload: how the table of runs was read.

    It is `{"notes": [what was set aside and converted], "file", "sha256", "rows", "mapping", "units", "renamed", "converted"}`; of the
    store, `notes` alone.
    """
    return {**payload, "input": source_of(runs)}
