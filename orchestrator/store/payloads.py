"""The JSON objects and tables about runs and experiments that commands print and the HTTP API returns: one function each, used by both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from scaling.columns import SCHEMA_VERSION
from scaling.formulas import csv_text
from scaling.outcomes import RunStatus

__all__ = ["experiment_payload", "experiments_csv", "experiments_payload", "run_payload", "runs_payload"]

_EXPERIMENT = (
    "name", "created_at", "revision", "file", "core_hours", "inherited_core_hours", "spent_core_hours", "allocated_core_hours",
    "estimated_core_hours", "cost", "allocated_cost", "estimated_cost", "currency", "best_val_loss",
)  # fmt: skip


def runs_payload(rows: Iterable[Mapping[str, Any]], *, total: int | None = None, next_page: str | None = None) -> dict[str, Any]:
    """Build `{"schema_version", "total", "next", "runs": [row with the keys of RUN_COLUMNS]}`.

    `total`: runs that match in all, when `rows` is one page of them; `next_page`: the opaque token of the page after this one.
    """
    runs = [_plain(row) for row in rows]
    return {"schema_version": SCHEMA_VERSION, "total": len(runs) if total is None else total, "next": next_page, "runs": runs}


def run_payload(
    detail: Mapping[str, Any],
    curves: Mapping[str, Iterable[tuple[int, float | None]]],
    forecast: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Build `{"schema_version", "run": {…, "attempt_rows", "evaluations", "metrics": {name: [[step, value], …]}, "forecast"}}`.

    `detail`: of `queries.run_detail`; `curves`: of `queries.metrics`. `forecast`: of the end of a run in training, as
    `analysis.EndForecast.to_dict` has it.
    """
    return {"schema_version": SCHEMA_VERSION, "run": _plain({**detail, "metrics": dict(curves), "forecast": forecast})}


def experiments_payload(
    rows: Iterable[Mapping[str, Any]], scheduler: Mapping[str, Any] | None, interrupted: int = 0
) -> dict[str, Any]:
    """Build `{"schema_version", "experiments": […], "scheduler": …, "interrupted": …}` from the results of the `queries` of these names."""
    plain = [_plain(row) for row in rows]
    return {"schema_version": SCHEMA_VERSION, "experiments": plain, "scheduler": scheduler, "interrupted": interrupted}


def experiments_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Write a line an experiment: what it cost and reached, and its runs by status. rows: of `queries.experiments`."""
    return csv_text([{**row, **row["runs"]} for row in rows], (*_EXPERIMENT, *(str(status) for status in RunStatus)))


def experiment_payload(row: Mapping[str, Any], run_ids: Iterable[str]) -> dict[str, Any]:
    """Build `{"schema_version", "experiment": row of queries.experiments, "run_ids": […]}`."""
    return {"schema_version": SCHEMA_VERSION, "experiment": _plain(row), "run_ids": list(run_ids)}


def _plain(value: Any) -> Any:
    """Replace tuples by lists, and NaN and infinity, which JSON does not know, by None."""
    if value is None or isinstance(value, (str, int)):  # most of the millions that a large table has
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value
