"""How the best learning rate falls with the epoch budget: one fit over all cells that tried several rates."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
import pandas as pd

from analysis.fitting.estimate import Precision
from analysis.fitting.shared_parabola import SharedParabola, shared_parabola
from analysis.learning_rate_grids import Grids, learning_rate_grids
from analysis.numbers import finite, records, significant, with_interval
from analysis.selection import Excluded, excluded_payload, excluded_words
from scaling.errors import DataError, UnknownName
from scaling.outcomes import FitStatus

__all__ = ["FORMULA", "LearningRateTrend", "learning_rate_trend"]

FORMULA = "learning_rate* = c·epochs^-s"


@dataclass(frozen=True, eq=False)
class LearningRateTrend:
    """`learning_rate* = c·epochs^-s`, with `c` of each model and a common `s`.

    slope, slope_low, slope_high: s and its interval; positive when the best rate falls with epochs.
    curvature: κ, how fast the log of the metric rises away from the optimum, per squared natural log of the rate.
    models: one row a model: `family`, `model`, `c` (best rate at one epoch) with `c_low`, `c_high`.
    optima: one row a cell: `family`, `model`, `epochs`, `learning_rate` (of the trend) with `low` and `high`, `best_tried` (lowest
        mean over seeds), `rates` (how many were tried) and `at_edge`: `lowest` or `highest` where the best of the grid is its last,
        so that the optimum may lie beyond it; a diverged run at a higher rate closes that side.
    points: the runs used, with `excess`: metric over their cell's fitted minimum, less 1, and `doublings`: log2 of rate over optimum.
    residual_std: of the log of the metric about the parabolas, so one of them is a factor of exp(residual_std).
    """

    metric: str
    slope: float
    slope_low: float
    slope_high: float
    curvature: float
    status: FitStatus
    models: pd.DataFrame
    optima: pd.DataFrame
    points: pd.DataFrame
    residual_std: float
    level: float
    excluded: tuple[Excluded, ...]

    @property
    def runs_used(self) -> int:
        return len(self.points)

    @property
    def at_edge(self) -> pd.DataFrame:
        """The rows of `optima` whose best rate is the last of their grid."""
        return self.optima[self.optima["at_edge"] != ""].reset_index(drop=True)

    @property
    def advice(self) -> str:
        """What the data allowed to say about s, in a sentence."""
        if self.status == FitStatus.EXPONENT_NOT_IDENTIFIED:
            return (
                "The interval of s includes zero: these runs do not show that the best learning rate changes with the epoch budget."
            )
        return f"The best learning rate {'falls' if self.slope > 0 else 'rises'} with the epoch budget."

    def predict(self, model: str, epochs: np.ndarray | float) -> np.ndarray:
        """The trend's best learning rate of `model` at each epoch budget."""
        rows = self.models[self.models["model"] == model]
        if rows.empty:
            raise UnknownName("model of the trend", model, self.models["model"])
        return float(rows["c"].iloc[0]) * np.asarray(epochs, dtype=float) ** -self.slope

    def summary(self) -> str:
        """Some lines for people."""
        low, high = significant(self.slope_low), significant(self.slope_high)
        lines = [FORMULA, f"  s = {significant(self.slope)}  ({100 * self.level:g} %: {low} … {high})"]
        for row in self.models.to_dict("records"):
            low, high = significant(row["c_low"]), significant(row["c_high"])
            lines.append(f"  c = {significant(row['c'])}  ({low} … {high})  {row['model']}")
        lines.append(f"  {self.status.value}: {self.advice}")
        for row in self.at_edge.to_dict("records"):
            lines.append(
                f"  {row['model']} at {row['epochs']:g} epochs: best at the {row['at_edge']} rate tried, {row['best_tried']:g}"
            )
        lines.append(f"  {self.runs_used} runs in {len(self.optima)} cells used, {excluded_words(self.excluded)}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The trend as JSON holds it, without `schema_version`: see `analysis.payloads`. `residual_std` is in log units."""
        return {
            "metric": self.metric,
            "formula": FORMULA,
            "status": self.status.value,
            "advice": self.advice,
            "level": self.level,
            "slope": with_interval(self.slope, self.slope_low, self.slope_high),
            "curvature": finite(self.curvature),
            "residual_std": finite(self.residual_std),
            "models": [
                {"family": row["family"], "model": row["model"], "c": with_interval(row["c"], row["c_low"], row["c_high"])}
                for row in self.models.to_dict("records")
            ],
            "optima": [_optimum(row) for row in self.optima.to_dict("records")],
            "points": records(self.points),
            "runs_used": self.runs_used,
            "excluded": excluded_payload(self.excluded),
            "version": metadata.version("scaling"),
        }


def learning_rate_trend(runs: pd.DataFrame, *, metric: str = "val_loss", level: float = 0.95) -> LearningRateTrend:
    """Fit the metric of every cell by a parabola in the log of the learning rate, with one law for where the minima lie.

        log metric = log L*(cell) + κ·(log rate − log rate*(cell))²,    log rate*(cell) = log c(model) − s·log epochs

    κ and s are shared by all cells and c by the cells of a model, so that a few cells with three rates each already say something
    about s. Multiplied out, the model is linear in κ, κ·log c, κ·s and a constant for each cell: one linear least squares gives the
    global optimum. The parabola is of the metric's log: a wrong rate costs a share of the loss, so that one κ can serve a cell
    whose loss is 1 and one whose loss is 0.05.

    s, c and the optima are ratios of coefficients; their intervals are Fieller's, with t quantiles of n − coefficients degrees of
    freedom. They take runs as independent, but the seeds of a cell share its misfit, so they are somewhat too narrow. They take the
    parabola as true: near the optimum it is, rates far from it bend it.

    Diverged runs say "too high": they are listed in `excluded`, and close the upper side of their cell's grid.

    Args:
        runs: one row a run with `epochs`, `learning_rate` and `metric`; `family`, `model`, `seed` and `status` where there are any.
        metric: what should be low.
        level: nominal coverage of the intervals.

    Raises:
        TooFewPoints: fewer than two epoch budgets with three finished learning rates; says how many more.
        DataError: the parabola opens downwards, so there is no optimum inside the grids.
        UsageError: no such column, or runs of several studies: see `analysis.frontier`.
    """
    grids = learning_rate_grids(runs, metric)
    parabola = _fit(grids, metric, level)
    cells = grids.cells
    models = cells[["family", "model", "line"]].drop_duplicates("line").reset_index(drop=True)
    c = np.exp([parabola.minimum_at(line, 0.0) for line in models["line"]])
    budgets = zip(cells["line"], np.log(cells["epochs"]), strict=True)
    optima = np.exp([parabola.minimum_at(line, log_epochs) for line, log_epochs in budgets])
    slope, low, high = parabola.slope()
    return LearningRateTrend(
        metric=metric,
        slope=slope,
        slope_low=low,
        slope_high=high,
        curvature=parabola.curvature,
        status=FitStatus.EXPONENT_NOT_IDENTIFIED if low <= 0 <= high else FitStatus.OK,
        models=models[["family", "model"]].assign(c=c[:, 0], c_low=c[:, 1], c_high=c[:, 2]),
        optima=cells[["family", "model", "epochs"]].assign(
            learning_rate=optima[:, 0], low=optima[:, 1], high=optima[:, 2], **cells[["best_tried", "rates", "at_edge"]]
        ),
        points=_points(grids.runs, metric, optima[:, 0], parabola.curvature),
        residual_std=parabola.residual_std,
        level=level,
        excluded=grids.excluded,
    )


def _fit(grids: Grids, metric: str, level: float) -> SharedParabola:
    runs, cells = grids.runs, grids.cells
    parabola = shared_parabola(
        np.log(runs["learning_rate"].to_numpy(float)),
        np.log(runs[metric].to_numpy(float)),
        runs["cell"].to_numpy(),
        v=np.log(cells["epochs"].to_numpy(float)),
        line=cells["line"].to_numpy(),
        precision=Precision(level=level),
    )
    if parabola.curvature <= 0:
        raise DataError(
            f"{metric} does not rise away from a learning rate (κ = {parabola.curvature:.3g}): no best one lies inside these grids",
            hint="try lower and higher learning rates: in an experiments file widen `learning_rate: {grid: […]}` and `scaling submit` it again",
        )
    return parabola


def _points(runs: pd.DataFrame, metric: str, optimum: np.ndarray, curvature: float) -> pd.DataFrame:
    named = [name for name in ("id", "family", "model", "epochs", "seed", "learning_rate", metric) if name in runs]
    off = np.log(runs["learning_rate"].to_numpy(float) / optimum[runs["cell"].to_numpy()])
    log_metric = np.log(runs[metric])
    lowest = (log_metric - curvature * off**2).groupby(runs["cell"]).transform("mean")
    points = runs[named].assign(excess=np.expm1(log_metric - lowest), doublings=off / np.log(2))
    return points.sort_values(["family", "model", "epochs", "learning_rate", "id"]).reset_index(drop=True)


def _optimum(row: dict[Any, Any]) -> dict[str, Any]:
    return {
        "family": row["family"],
        "model": row["model"],
        "epochs": float(row["epochs"]),
        "learning_rate": with_interval(row["learning_rate"], row["low"], row["high"]),
        "best_tried": float(row["best_tried"]),
        "rates": int(row["rates"]),
        "at_edge": row["at_edge"] or None,
    }
