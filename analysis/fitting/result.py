"""What a fit says: coefficients and their intervals, how well the law holds, what it predicts, and what it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.fitting.estimate import Estimate, Precision
from analysis.laws import law_named
from analysis.numbers import as_factor, finite, significant, with_interval
from analysis.selection import Excluded, excluded_payload, excluded_words
from scaling.errors import UnknownName, UsageError
from scaling.outcomes import FitStatus

__all__ = ["Fit"]


@dataclass(frozen=True, eq=False)
class Fit:
    """A law fitted to runs.

    law, objective, on, metric, x: what was asked for.
    estimate: coefficients, intervals and the mean curve's band, as the estimator made them.
    runs: the rows used. cells: how many cells they are of. excluded: every row not used, with its reason.
    """

    law: str
    objective: str
    on: str
    metric: str
    x: str
    estimate: Estimate
    precision: Precision
    runs: pd.DataFrame
    cells: int
    excluded: tuple[Excluded, ...]

    @property
    def params(self) -> dict[str, float]:
        """Coefficient by its letter in the formula, in the units of `metric` and `x`."""
        return {name: self.estimate.values[name] for name in law_named(self.law).coefficients}

    @property
    def status(self) -> FitStatus:
        return self.estimate.status

    @property
    def runs_used(self) -> int:
        return len(self.runs)

    @property
    def run_ids(self) -> tuple[str, ...]:
        return tuple(self.runs["id"])

    @property
    def x_range(self) -> tuple[float, float]:
        """Smallest and largest x of the runs used; beyond it every prediction is an extrapolation."""
        return float(self.runs[self.x].min()), float(self.runs[self.x].max())

    @property
    def residuals(self) -> pd.DataFrame:
        """The runs used with `predicted` and `residual` = log(metric / predicted): log 2 is twice what the law says."""
        named = [name for name in ("id", "family", "model", "epochs", "seed", self.x, self.metric) if name in self.runs]
        table = self.runs[list(dict.fromkeys(named))].copy()
        table["predicted"] = self._curve(table[self.x].to_numpy(float))
        table["residual"] = np.log(table[self.metric] / table["predicted"])
        return table.reset_index(drop=True)

    @property
    def r_squared(self) -> float:
        """Share of the variance of log metric that the law explains."""
        log_y = np.log(self.runs[self.metric].to_numpy(float))
        total = float(np.sum((log_y - log_y.mean()) ** 2))
        return 1.0 - float(np.sum(self.residuals["residual"] ** 2)) / total if total > 0 else float("nan")

    @property
    def residual_std(self) -> float:
        """Residual standard deviation in log units, so one of them is a factor of exp(residual_std); degrees of freedom n − coefficients."""
        return float(np.sqrt(np.sum(self.residuals["residual"] ** 2) / max(1, self.runs_used - len(self.params))))

    def interval(self) -> pd.DataFrame:
        """Index `coefficient`, columns `low` and `high`, at the level that was asked for."""
        names = list(self.params)
        table = pd.DataFrame(
            {"low": [self.estimate.low[n] for n in names], "high": [self.estimate.high[n] for n in names]}, index=names
        )
        return table.rename_axis("coefficient")

    def predict(self, x: pd.DataFrame | Any, kind: Literal["mean", "new-run"] = "mean") -> pd.DataFrame:
        """The metric at each x, with its interval.

        Args:
            x: numbers in the unit of `self.x`, or a table with that column.
            kind: `mean`: the interval of the law itself. `new-run`: of one more run, i.e. the residual scatter added in quadrature.

        Returns:
            Columns `mean`, `low`, `high`; a table's index is kept.
        """
        if kind not in ("mean", "new-run"):
            raise UnknownName("kind of prediction", kind, ("mean", "new-run"))
        at = x[self.x] if isinstance(x, pd.DataFrame) else x
        index = x.index if isinstance(x, (pd.DataFrame, pd.Series)) else None
        values = np.atleast_1d(np.asarray(at, dtype=float))
        if not (np.isfinite(values) & (values > 0)).all():
            raise UsageError(f"{self.x} must be positive numbers to predict at", hint="the laws are of positive x")
        mean = np.log(self._curve(values))
        low, high = self.estimate.log_band(values)
        if kind == "new-run":
            scatter = self.precision.t(self.estimate.degrees_of_freedom) * self.residual_std
            low, high = mean - np.hypot(mean - low, scatter), mean + np.hypot(high - mean, scatter)
        with np.errstate(over="ignore"):
            return pd.DataFrame({"mean": np.exp(mean), "low": np.exp(low), "high": np.exp(high)}, index=index)

    def equation(self, digits: int = 3) -> str:
        """The formula with the numbers in it: `val_loss = 0.04127 · core_hours^-0.310`."""
        return law_named(self.law).equation({n: significant(v, digits) for n, v in self.params.items()}, self.metric, self.x)

    def summary(self) -> str:
        """Some lines for people: formula, coefficients ± interval, status, fit quality, runs used and left out."""
        lines = [f"{self.law} law of {self.metric} against {self.x}, on {self.on_words}", f"  {self.equation()}"]
        for name, value in self.params.items():
            low, high = significant(self.estimate.low[name]), significant(self.estimate.high[name])
            lines.append(f"  {name} = {significant(value)}  ({self.level_words}: {low} … {high})")
        lines.append(f"  {self.status.value}: {self.status.advice}")
        lines.append(f"  R² {self.r_squared:.4f} (log–log), residuals {as_factor(self.residual_std)} (one sd)")
        lines.append(f"  {self.runs_used} runs in {self.cells} cells used, {self.excluded_words}")
        return "\n".join(lines)

    @property
    def on_words(self) -> str:
        return "the frontier" if self.on == "frontier" else "all runs"

    @property
    def level_words(self) -> str:
        return f"{100 * self.precision.level:g} %"

    @property
    def excluded_words(self) -> str:
        """`3 left out: 2 diverged, 1 no val_loss`."""
        return excluded_words(self.excluded)

    def to_dict(self) -> dict[str, Any]:
        """One element of the list `fits` of the JSON that the command and the HTTP API return; `residual_std` is in log units."""
        return {
            "law": self.law,
            "formula": law_named(self.law).formula,
            "on": self.on,
            "metric": self.metric,
            "x": self.x,
            "objective": self.objective,
            "status": self.status.value,
            "advice": self.status.advice,
            "level": self.precision.level,
            "coefficients": {
                name: with_interval(value, self.estimate.low[name], self.estimate.high[name]) for name, value in self.params.items()
            },
            "runs_used": self.runs_used,
            "cells_used": self.cells,
            "run_ids": list(self.run_ids),
            "excluded": excluded_payload(self.excluded),
            "r_squared": finite(self.r_squared),
            "residual_std": finite(self.residual_std),
            "x_range": list(self.x_range),
            "version": metadata.version("scaling"),
        }

    def _curve(self, x: np.ndarray) -> np.ndarray:
        return law_named(self.law).curve(x, self.estimate.values)
