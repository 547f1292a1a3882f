"""`score`: what became of registered predictions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.as_csv import as_csv
from analysis.distributions import normal_quantile
from analysis.finetuned import of_stage
from analysis.numbers import finite, records, with_interval
from analysis.pareto import frontier
from scaling.errors import ScalingError
from scaling.rounding import percent

__all__ = ["Scores", "score"]

NEAR = 0.15
"""A run counts for a prediction when each of its inputs is within this share of the predicted one; the prediction is moved there along
the law's own slope."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Compares registered predictions with runs that were done since.

    `table`: a row for each registered prediction and cell that was run since. It has what was predicted there, what was observed,
    `hit`, `z` and `log_error`.
    `waiting`: registered predictions without such a run, with the reason.
    """

    table: pd.DataFrame
    waiting: tuple[dict[str, Any], ...]

    @property
    def hits(self) -> int:
        return int(self.table["hit"].sum()) if len(self.table) else 0

    def sentence(self) -> str:
        """Say how many predictions were hit, of how many."""
        if not len(self.table):
            return (
                f"Nothing to score yet: {len(self.waiting)} registered and no run near them since."
                if self.waiting
                else "Nothing is registered."
            )
        error = float(np.sqrt(np.mean(self.table["log_error"] ** 2)))
        level = self.table["level"].mean()
        return (
            f"{self.hits} of {len(self.table)} inside the interval ({100 * level:g} % expected); off by {percent(math.expm1(error))} (root mean square); "
            f"{len(self.waiting)} still waiting."
        )

    def to_dict(self) -> dict[str, object]:
        """Return the scores as JSON holds them, without `schema_version`."""
        return {
            "sentence": self.sentence(),
            "hits": self.hits,
            "scored": len(self.table),
            "scores": [
                {name: value for name, value in row.items() if name not in ("value", "low", "high")}
                | {"predicted": with_interval(row["value"], row["low"], row["high"])}
                for row in records(self.table)
            ],
            "waiting": list(self.waiting),
        }

    def to_csv(self) -> str:
        """Write `table` as CSV."""
        return as_csv(self.table.drop(columns=["at", "run_ids"], errors="ignore"))


def score(registered: Iterable[Mapping[str, Any]], runs: pd.DataFrame) -> Scores:
    """Compare registered predictions with runs that were done since.

    A run counts when it ended after the registration, was not among the runs behind the prediction, is of their data set and families,
    and its inputs are near the predicted ones (`NEAR`). Seeds of a cell are averaged at its best learning rate. A prediction of the
    frontier is compared with the best cell there; one of all cells with each.

    Args:
        registered: rows as the store keeps them: `name`, `metric`, `at` (input → number), `value`, `low`, `high` of a new run, `level`,
            `slope` (input → d log value / d log input), `on`, `run_ids`, `created_at`.
        runs: the table of runs, with `id` and `ended_at`.
    """
    rows, waiting = [], []
    for prediction in registered:
        found = _observed(prediction, runs)
        if isinstance(found, str):
            waiting.append({"name": prediction["name"], "at": dict(prediction["at"]), "reason": found})
            continue
        rows += [_scored(prediction, cell) for cell in found.to_dict("records")]
    return Scores(pd.DataFrame(rows), tuple(waiting))


def _observed(prediction: Mapping[str, Any], runs: pd.DataFrame) -> pd.DataFrame | str:
    """Find the cells to compare with, or say why there are none."""
    try:
        runs = of_stage(runs, prediction["metric"])
    except ScalingError as error:
        return str(error)
    behind = runs["id"].isin(list(prediction["run_ids"]))
    since = ~behind & (pd.to_datetime(runs["ended_at"], utc=True) > pd.Timestamp(prediction["created_at"]))
    for column in ("dataset", "family"):
        if column in runs and behind.any():
            since &= runs[column].isin(runs.loc[behind, column].unique())
    for name, at in prediction["at"].items():
        if name not in runs:
            return f"the runs have no {name}"
        since &= (pd.to_numeric(runs[name], errors="coerce") / at - 1).abs() <= NEAR
    new = runs[since]
    if new.empty:
        return "no run near it has ended since"
    try:
        points = frontier(new, metric=prediction["metric"], x=next(iter(prediction["at"]))).points
    except ScalingError as error:
        return str(error)
    for name in prediction["at"]:
        if name not in points:
            points[name] = [new.loc[new["id"].isin(ids), name].mean() for ids in points["run_ids"]]
    return points.nsmallest(1, prediction["metric"]) if prediction["on"] == "frontier" else points


def _scored(prediction: Mapping[str, Any], cell: Mapping[object, Any]) -> dict[str, object]:
    moved = sum(prediction["slope"][name] * math.log(cell[name] / at) for name, at in prediction["at"].items())
    value, low, high = (prediction[name] * math.exp(moved) for name in ("value", "low", "high"))
    observed = float(cell[prediction["metric"]])
    error = math.log(observed / value)
    spread = math.log(high / low) / (2 * normal_quantile(0.5 + prediction["level"] / 2))
    return {
        "name": prediction["name"],
        "registered_at": str(prediction["created_at"]),
        "metric": prediction["metric"],
        "at": dict(prediction["at"]),
        **{name: float(cell[name]) for name in prediction["at"]},
        "value": value,
        "low": low,
        "high": high,
        "level": float(prediction["level"]),
        "observed": observed,
        "hit": bool(low <= observed <= high),
        "z": finite(error / spread) if spread > 0 else None,
        "log_error": error,
        "model": cell.get("model"),
        "epochs": cell.get("epochs"),
        "seeds": int(cell["seeds"]),
        "run_ids": list(cell["run_ids"]),
    }
