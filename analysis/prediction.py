"""`predict`: the metric at a budget, with its interval and how far beyond the data that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np
import pandas as pd

from analysis.as_csv import as_csv
from analysis.diagnostics import Diagnostic, far_extrapolation
from analysis.fitting.fit import FitSettings, fit
from analysis.fitting.result import Fit
from analysis.interval import Interval
from analysis.laws import law_named
from analysis.numbers import finite
from analysis.reading.prices import currency_of, rate_of
from analysis.unfinished import takes_runs
from scaling.errors import UsageError
from scaling.rounding import significant

if TYPE_CHECKING:
    from analysis.selection import Excluded

__all__ = ["Prediction", "predict", "runs_to_predict_from"]

_SLOPE_STEP = 1e-3


@dataclass(frozen=True, eq=False)
class Prediction:
    """Holds what a law predicts at some budgets.

    fit: the law, with the runs behind it.
    table: a row a budget, with these columns:
    - the law's inputs;
    - `value`; `low`, `high` of the mean; `run_low`, `run_high` of one more run;
    - `beyond`, the factor by which the budget lies outside the runs (1 inside, 4 is four times the largest);
    - `slope_<input>`, d log value / d log input;
    - `cost`, what that many core-hours cost, for a law of core-hours of runs that all have one price.
    """

    fit: Fit
    table: pd.DataFrame

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [{str(name): float(value) for name, value in row.items()} for row in self.table.to_dict("records")]

    @property
    def currency(self) -> str | None:
        """Return the label of `cost` in the table; None where the table has none."""
        return currency_of(self.fit.runs) if "cost" in self.table else None

    def mean(self, row: int = 0) -> Interval:
        """Return the interval of the law itself at a budget."""
        return Interval(*(float(self.table[name].iloc[row]) for name in ("value", "low", "high")))

    def new_run(self, row: int = 0) -> Interval:
        """Return the interval of one more run at a budget."""
        return Interval(*(float(self.table[name].iloc[row]) for name in ("value", "run_low", "run_high")))

    def where(self, row: int = 0) -> str:
        """Say how far a budget lies from the runs: `1.47 times beyond the largest core_hours of the runs`, or `within the runs`."""
        beyond = float(self.table["beyond"].iloc[row])
        if beyond <= 1:
            return "within the runs"
        at, ranges = self.table.iloc[row], self.fit.ranges
        furthest = max(self.fit.axes, key=lambda name: _beyond(float(at[name]), ranges[name]))
        side = "largest" if at[furthest] > ranges[furthest][1] else "smallest"
        return f"{significant(beyond, 3)} times beyond the {side} {furthest} of the runs"

    @property
    def excluded(self) -> tuple[Excluded, ...]:
        """Return the runs that the law left out."""
        return self.fit.excluded

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return a diagnostic where a budget is further from the runs than anything tests, see `analysis.diagnostics`.

        Those of the fit are in `fit`.
        """
        return tuple(far_extrapolation(self.fit, self.table[list(self.fit.axes)]))

    def to_dict(self, *, registered: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        """Return the prediction as JSON holds it, without `schema_version`. registered: rows of the store, where it was registered."""
        described = self.fit.to_dict()
        return {
            "metric": self.fit.metric,
            "x": described["x"],
            "level": self.fit.precision.level,
            "currency": self.currency,
            "predictions": [
                {
                    "at": {name: row[name] for name in self.fit.axes},
                    "mean": self.mean(number).to_dict(),
                    "new_run": self.new_run(number).to_dict(),
                    "beyond": finite(row["beyond"]),
                    "where": self.where(number),
                    "cost": finite(row.get("cost", float("nan"))),
                }
                for number, row in enumerate(self.rows)
            ],
            "diagnostics": [diagnostic.to_dict() for diagnostic in self.diagnostics],
            "fit": described,
            "registered": list(registered),
        }

    def to_csv(self) -> str:
        """Write `table` as CSV."""
        return as_csv(self.table)


def runs_to_predict_from(runs: pd.DataFrame, x: str | Sequence[str] | None, law: str) -> Literal["all", "frontier"]:
    """Choose the cells that a prediction is fitted to when nobody says.

    It is `frontier` for a law of one input and a grid (several sizes or models, each at several epoch budgets). What a budget buys is
    what its best cell reaches, and cells far from the best do not lie on a law of compute. It is `all` for a surface, which needs every
    cell, and for a bare table: there the frontier would be the points that are low by chance.
    """
    if (law != "auto" and law_named(law).is_surface) or not (x is None or isinstance(x, str) or len(x) == 1):
        return "all"
    size = next((name for name in ("params", "model") if name in runs and runs[name].nunique() > 1), None)
    if size is None or "epochs" not in runs:
        return "all"
    several = runs.groupby(size)["epochs"].nunique() > 1
    return "frontier" if several.sum() > 1 else "all"


@takes_runs
def predict(
    runs: pd.DataFrame,
    at: Sequence[float] | pd.DataFrame,
    *,
    law: str = "auto",
    x: str | Sequence[str] | None = None,
    on: Literal["all", "frontier"] | None = None,
    **settings: Unpack[FitSettings],
) -> Prediction:
    """Fit a law and predict the metric at budgets, with intervals.

    >>> found = scaling.predict(runs, [1e11], x="train_flops", law="power", on="frontier")
    >>> found.where()
    '4.77 times beyond the largest train_flops of the runs'
    >>> bool(found.new_run().low < found.mean().low < found.mean().value)
    True

    Args:
        at: numbers in the unit of `x`, or a table with a column for each input of the law.
        law: a name, or `auto`. on: None: see `runs_to_predict_from`.
        x, settings: of `analysis.fit`: metric, level …

    Raises: what `analysis.fit` raises; UsageError for budgets that are not positive numbers.
    """
    found = fit(runs, law=law, x=x, on=on or runs_to_predict_from(runs, x, law), **settings)
    inputs = _inputs(at, found.axes)
    mean, run = found.predict(inputs), found.predict(inputs, kind="new-run")
    table = inputs.assign(value=mean["mean"], low=mean["low"], high=mean["high"], run_low=run["low"], run_high=run["high"])
    ranges = found.ranges
    table["beyond"] = np.max([[_beyond(value, ranges[name]) for value in inputs[name]] for name in found.axes], axis=0)
    here = found.log_mean(inputs)
    for name in found.axes:
        moved = inputs.assign(**{name: inputs[name] * np.exp(_SLOPE_STEP)})
        table[f"slope_{name}"] = (found.log_mean(moved) - here) / _SLOPE_STEP
    if found.axes == ("core_hours",) and (rate := rate_of(found.runs)) is not None:
        table["cost"] = rate[0] * inputs["core_hours"]
    return Prediction(found, table)


def _inputs(at: Sequence[float] | pd.DataFrame, axes: tuple[str, ...]) -> pd.DataFrame:
    if isinstance(at, pd.DataFrame):
        missing = [name for name in axes if name not in at]
        if missing:
            raise UsageError(
                f"to predict, the law needs {' and '.join(missing)} too", hint=f"give a value for each of {', '.join(axes)}"
            )
        return at[list(axes)].astype(float).reset_index(drop=True)
    if len(axes) != 1:
        raise UsageError(
            f"the law is of {' and '.join(axes)}: one number does not say where", hint="give a table with these columns"
        )
    return pd.DataFrame({axes[0]: np.atleast_1d(np.asarray(at, dtype=float))})


def _beyond(value: float, ends: tuple[float, float]) -> float:
    return max(value / ends[1], ends[0] / value, 1.0) if value > 0 else float("inf")
