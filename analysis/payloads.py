"""The JSON objects that `--json` prints and the HTTP API returns: one function each, used by both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from analysis.reading.source import source_of
from scaling.columns import SCHEMA_VERSION

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fitting.result import Fit
    from analysis.learning_rate import LearningRateTrend
    from analysis.pareto import Frontier

__all__ = ["fits_payload", "frontier_payload", "learning_rate_payload", "with_input"]


def fits_payload(fits: Iterable[Fit], not_fitted: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
    """`{"schema_version", "fits": [Fit.to_dict()], "not_fitted": [{"law", "on", "reason"}]}`."""
    return {"schema_version": SCHEMA_VERSION, "fits": [fit.to_dict() for fit in fits], "not_fitted": list(not_fitted)}


def frontier_payload(frontier: Frontier) -> dict[str, Any]:
    """`{"schema_version", "metric", "x", "points", "best", "runs_used", "excluded"}`."""
    return {"schema_version": SCHEMA_VERSION, **frontier.to_dict()}


def learning_rate_payload(trend: LearningRateTrend) -> dict[str, Any]:
    """`{"schema_version", "metric", "formula", "status", "slope", "models", "optima", "points", …}`."""
    return {"schema_version": SCHEMA_VERSION, **trend.to_dict()}


def with_input(payload: dict[str, Any], runs: pd.DataFrame) -> dict[str, Any]:
    """The payload with `input`: `{"notes": [what was converted], "file", "sha256", "rows", "mapping", "units"}`; of the store, `notes` alone."""
    return {**payload, "input": source_of(runs)}
