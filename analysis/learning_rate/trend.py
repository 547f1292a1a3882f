"""What `learning_rate_trend` found: the law with its exponents, each cell's optimum, and the rate of cells that were not run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.as_csv import as_csv
from analysis.fitting.shared_parabola import SharedParabola
from analysis.learning_rate.law import RateLaw
from analysis.learning_rate.monotone import MOST_CELLS
from analysis.learning_rate.unseen import CellRate, trials_needed
from analysis.numbers import finite, records, with_interval
from analysis.selection import Excluded, excluded_payload, excluded_words
from scaling.errors import UnknownName, UsageError
from scaling.outcomes import FitStatus
from scaling.rounding import significant

if TYPE_CHECKING:
    from analysis.learning_rate.besides import SettingTrend

__all__ = ["Exponent", "LearningRateTrend"]

_MEANINGS = {
    "s": "twice the epochs: best rate / 2^s",
    "t": "twice the parameters: best rate / 2^t, at one epoch",
    "u": "twice the parameters: s grows by u·ln 2",
}
_MOST_LOG_RATE = 700.0
"""The largest log rate for which e^x is finite in double precision, less some."""


@dataclass(frozen=True)
class Exponent:
    """Holds an exponent of the law with its interval, and the two-sided p-value of its being 0."""

    value: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, eq=False)
class LearningRateTrend:
    """Holds the law of the best learning rate, `law.formula`, as fitted to runs.

    exponents: s, t and u by name, those that the cells tell. s is that of a model of `law.reference_params`.
    curvature: κ, how fast the log of the metric rises away from the optimum, per squared natural log of the rate.
    monotone_p_value: of "each cell's best rate is no higher than that of a smaller cell", without a law: small where the runs contradict
        it; NaN where they cannot tell.
    models: one row a model: `family`, `model`, `params`, `c` (best rate at one epoch) and `slope` (its own exponent in epochs). `c` and
        `slope` have `_low` and `_high`.
    optima: one row a cell: `family`, `model`, `epochs`, `learning_rate` (of the trend) with `low` and `high`, `best_tried` (lowest
        mean over seeds), `rates` (how many were tried) and `at_edge`. That is `lowest` or `highest` where the best of the grid is its last,
        so that the optimum may lie beyond it. A diverged run at a higher rate closes that side, and so may other cells
        (`analysis.closed_edges`).
    points: the runs used, with `excess`: metric over their cell's fitted minimum, less 1, and `doublings`: log2 of rate over optimum.
    residual_std: of the log of the metric about the parabolas, so one of them is a factor of exp(residual_std).
    cell_std: of the cells' own optima about the law, in log units, beyond what noise explains; NaN where the runs cannot tell.
    settings: the columns, batch size or optimiser, in which cells differ beside model and epochs; `optima` has them.
    notes: a sentence for each thing that was taken for granted.
    besides: the trends of the best weight decay and batch size, of those that some cell tried several values of.
    """

    metric: str
    law: RateLaw
    exponents: Mapping[str, Exponent]
    curvature: float
    status: FitStatus
    monotone_p_value: float
    models: pd.DataFrame
    optima: pd.DataFrame
    points: pd.DataFrame
    residual_std: float
    cell_std: float
    level: float
    excluded: tuple[Excluded, ...]
    parabola: SharedParabola
    settings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    besides: tuple[SettingTrend, ...] = ()

    @property
    def slope(self) -> float:
        """Return the exponent s."""
        return self.exponents["s"].value

    @property
    def slope_low(self) -> float:
        return self.exponents["s"].low

    @property
    def slope_high(self) -> float:
        return self.exponents["s"].high

    @property
    def runs_used(self) -> int:
        return len(self.points)

    @property
    def errors(self) -> str:
        """Say how the runs are taken to err, for the intervals: `by cell` or `independent`."""
        return "independent" if self.parabola.clusters is None else "by cell"

    @property
    def at_edge(self) -> pd.DataFrame:
        """Return the rows of `optima` whose best rate is the last of their grid."""
        return self.optima[self.optima["at_edge"] != ""].reset_index(drop=True)

    @property
    def advice(self) -> str:
        """Say what the data show of s, in a sentence."""
        if self.status == FitStatus.EXPONENT_NOT_IDENTIFIED:
            return (
                "The interval of s includes zero: these runs do not show that the best learning rate changes with the epoch budget."
            )
        return f"The best learning rate {'falls' if self.slope > 0 else 'rises'} with the epoch budget."

    @property
    def evidence(self) -> tuple[str, ...]:
        """Say what the data show of the effect of size, and of whether best rates ever rise, a sentence each."""
        said = []
        if (u := self.exponents.get("u")) is not None:
            told = (
                "falls faster with epochs for larger models" if u.value > 0 else "falls more slowly with epochs for larger models"
            )
            if u.low <= 0 <= u.high:
                told = "is not shown to fall faster with epochs for larger models, nor more slowly"
            caveat = (
                ""
                if self.parabola.clusters is not None
                else f"; both hold only where the {len(self.optima)} cells do not scatter about the law"
            )
            said.append(f"The best learning rate {told}: u = {_ends(u)}, p = {significant(u.p_value, 2)}{caveat}.")
        if math.isfinite(self.monotone_p_value):
            verdict = "contradict" if self.monotone_p_value < 1 - self.level else "do not contradict"
            said.append(
                f"The cells {verdict} that it never rises with epochs{' or size' if self.law.reference_params else ''}: "
                f"p = {significant(self.monotone_p_value, 2)}."
            )
        elif len(self.optima) > MOST_CELLS:
            said.append(
                f"Whether the {len(self.optima):,} cells contradict that it never rises is not tested: they are more than {MOST_CELLS}."
            )
        return tuple(said)

    def meaning(self, name: str) -> str:
        """Return an exponent in words."""
        reference = self.law.reference_params
        of_size = f", for N0 = {reference:,.0f} parameters" if name == "s" and reference is not None else ""
        return f"{_MEANINGS[name]}{of_size}"

    def predict(self, model: str, epochs: np.ndarray | float) -> np.ndarray:
        """Return the trend's best learning rate of `model`, one of those fitted, at each epoch budget."""
        row = self._model(model)
        line = self.law.line_of(row["family"], row["model"])
        budgets = np.atleast_1d(np.asarray(epochs, dtype=float))
        log_rates = [self.parabola.minimum_at(self.law.row(line, budget, row["params"]))[0] for budget in budgets]
        return np.exp(np.asarray(log_rates).reshape(np.shape(epochs)))

    def predict_cell(
        self, *, epochs: float | None, model: str | None = None, params: float | None = None, family: str | None = None
    ) -> CellRate:
        """Predict the best rate of a cell, run or not: of a fitted `model`, or of any size by its `params`.

        family: whose law, where several families were fitted.

        Raises: UnknownName, no such model or family; UsageError, neither or both are given, the law has no size in it, or its rate there
        is not finite (it is far beyond any cell).
        """
        if epochs is None:
            raise UsageError("a cell is a model at an epoch budget, and no budget is given", hint="--at-epochs 4")
        if not epochs > 0 or not (params is None or params > 0):
            raise UsageError("epochs and params of a cell are above 0", hint="--at-epochs 4 --at-params 1e7")
        if (model is None) == (params is None):
            raise UsageError("a cell is named by a model or by its parameters", hint="--at-model nano-F1, or --at-params 1e7")
        if model is not None:
            row = self._model(model)
            line, params = self.law.line_of(row["family"], row["model"]), row["params"]
        else:
            line = self._line(family)
        value, low, high = self.parabola.minimum_at(self.law.row(line, epochs, params))
        wider = self.parabola.precision.t(self.parabola.degrees_left) * (self.cell_std if math.isfinite(self.cell_std) else 0.0)
        low, high = value - math.hypot(value - low, wider), value + math.hypot(high - value, wider)
        if not abs(value) < _MOST_LOG_RATE:
            raise UsageError(
                f"the law gives no rate for {model or f'{params:g} parameters'} at {epochs:g} epochs",
                hint="ask nearer to the cells that were run",
            )
        rate, lowest, highest = math.exp(value), math.exp(low), math.exp(high) if high < _MOST_LOG_RATE else math.inf
        known = params if params is not None and math.isfinite(params) else None
        return CellRate(line[0], model or "", known, float(epochs), rate, lowest, highest, trials_needed(rate, lowest))

    def _model(self, model: str) -> dict[str, Any]:
        rows = self.models[self.models["model"] == model]
        if rows.empty:
            hint = "a model that was not run: --at-params with its number of parameters" if self.law.reference_params else ""
            raise UnknownName("model of the trend", model, self.models["model"], hint=hint)
        return {str(name): value for name, value in rows.iloc[0].items()}

    def _line(self, family: str | None) -> tuple[str, ...]:
        if self.law.reference_params is None:
            raise UsageError(
                "these runs do not tell how the best rate goes with size",
                hint="runs of two sizes with `params` would; or --at-model",
            )
        families = [line[0] for line in self.law.lines]
        if family is None and len(families) > 1:
            raise UsageError(f"the trend is of {len(families)} families ({', '.join(families)})", hint="--at-family chooses one")
        if family is not None and family not in families:
            raise UnknownName("family of the trend", family, families)
        return (family or families[0],)

    def summary(self) -> str:
        """Return some lines for people: the law, its exponents with intervals, what they mean, and the runs used."""
        lines = [self.law.formula]
        for name, exponent in self.exponents.items():
            lines.append(
                f"  {name} = {_ends(exponent, level=self.level)}, p = {significant(exponent.p_value, 2)}  {self.meaning(name)}"
            )
        for row in self.models.to_dict("records"):
            low, high = significant(row["c_low"]), significant(row["c_high"])
            lines.append(f"  c = {significant(row['c'])}  ({low} … {high})  {row['model']}")
        lines.append(f"  {self.status.value}: {self.advice}")
        lines += [f"  {sentence}" for sentence in self.evidence]
        lines += [f"  {trend.sentence}" for trend in self.besides]
        for row in self.at_edge.to_dict("records"):
            at = ", ".join([f"{row['model']} at {row['epochs']:g} epochs", *(f"{name} {row[name]}" for name in self.settings)])
            lines.append(f"  {at}: best at the {row['at_edge']} rate tried, {row['best_tried']:g}")
        lines += [f"  note: {note}" for note in self.notes]
        lines.append(f"  {self.runs_used} runs in {len(self.optima)} cells used, {excluded_words(self.excluded)}")
        return "\n".join(lines)

    def to_dict(self, *, cell: CellRate | None = None) -> dict[str, Any]:
        """Return the trend as JSON holds it, without `schema_version`. `residual_std` and `cell_std` are in log units.

        cell: the rate of a cell that was asked for, of `predict_cell`.
        """
        return {
            "metric": self.metric,
            "formula": self.law.formula,
            "reference_params": self.law.reference_params,
            "status": self.status.value,
            "advice": self.advice,
            "evidence": list(self.evidence),
            "level": self.level,
            "errors": self.errors,
            "slope": self._exponent("s"),
            "size_slope": self._exponent("t"),
            "interaction": self._exponent("u"),
            "monotone_p_value": finite(self.monotone_p_value),
            "curvature": finite(self.curvature),
            "residual_std": finite(self.residual_std),
            "cell_std": finite(self.cell_std),
            "models": [
                {
                    "family": row["family"],
                    "model": row["model"],
                    "params": finite(row["params"]),
                    "c": with_interval(row["c"], row["c_low"], row["c_high"]),
                    "slope": with_interval(row["slope"], row["slope_low"], row["slope_high"]),
                }
                for row in self.models.to_dict("records")
            ],
            "optima": [_optimum(row, self.settings) for row in records(self.optima)],
            "notes": list(self.notes),
            "besides": [trend.to_dict() for trend in self.besides],
            "points": records(self.points),
            "runs_used": self.runs_used,
            "excluded": excluded_payload(self.excluded),
            "version": metadata.version("scaling"),
            "cell": None if cell is None else cell.to_dict(),
        }

    def to_csv(self) -> str:
        """Return `optima` as CSV."""
        return as_csv(self.optima)

    def _exponent(self, name: str) -> dict[str, float | None] | None:
        exponent = self.exponents.get(name)
        if exponent is None:
            return None
        return with_interval(exponent.value, exponent.low, exponent.high) | {"p_value": finite(exponent.p_value)}


def _ends(exponent: Exponent, *, level: float | None = None) -> str:
    percent = "" if level is None else f"{100 * level:g} %: "
    return f"{significant(exponent.value)} ({percent}{significant(exponent.low)} … {significant(exponent.high)})"


def _optimum(row: Mapping[str, Any], settings: Sequence[str]) -> dict[str, object]:
    return {
        "family": row["family"],
        "model": row["model"],
        "epochs": float(row["epochs"]),
        "settings": {name: row[name] for name in settings},
        "learning_rate": {name: row[column] for name, column in (("value", "learning_rate"), ("low", "low"), ("high", "high"))},
        "best_tried": float(row["best_tried"]),
        "rates": int(row["rates"]),
        "at_edge": row["at_edge"] or None,
    }
