"""`Fit` holds what a fit says: coefficients and their intervals, how well the law holds, what it predicts, and what it was made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.automatic import back_test, back_test_of, letters_of
from analysis.backtest.backtest import Backtest
from analysis.backtest.beyond import AveragedEstimate
from analysis.backtest.forecast import ForecastEstimate
from analysis.fitting.estimate import Estimate, Precision, Sample
from analysis.fitting.law_estimate import LawEstimate
from analysis.fitting.objective import objective_named
from analysis.laws import law_named
from analysis.laws.constrained import constrained
from analysis.laws.law import Law
from analysis.numbers import finite, with_interval
from analysis.reading.prices import currency_of
from analysis.selection import Excluded, excluded_payload, excluded_words
from scaling.errors import TooFewPoints, UnknownName, UsageError
from scaling.outcomes import NARROWLY, FitStatus
from scaling.rounding import as_factor, significant

if TYPE_CHECKING:
    from analysis.diagnostics import Diagnostic
    from analysis.fitting.lights import Lights
    from analysis.sentence import Answer

__all__ = ["Fit"]


@dataclass(frozen=True, eq=False)
class Fit:
    """Holds a law fitted to runs, with what it says and what it was made from.

    law: its name; `auto` for an average of several. objective, on, metric, x: what was asked for; x is a tuple of columns for a surface.
    estimate: coefficients, intervals and the mean curve's band, as the estimator made them.
    runs: the rows used. cells: how many cells they are of. excluded: every row not used, with its reason.
    diagnose, judge, say: what makes its `diagnostics`, `lights` and `answer`, each called once, when it is first asked for. Whoever makes
        the fit gives them. They cost about what the fit does (a back-test, fits without single cells). What they find depends on `forecast`
        and `known_test`.
    members: law → weight where several laws were averaged, the heaviest first; None for a single one.
    backtest: what the laws forecast, where it decided about this fit.
    chosen: whether it is the law of these runs, see `analysis.choose_law`. forecast: then, the fit that gives numbers beyond the runs.
    known_test: the back-test of these very runs, where somebody has made it already, see `tested`.
    pin, tie, without: coefficients that were held at numbers, sets of them that share one, and laws that took no part, as `analysis.fit` takes
        them.
    table, cell, clusters, envelope: the table as it was given, and settings as `analysis.fit` takes them. weights: of the runs used.
    clusters_used: how many clusters were resampled. notes: a sentence for each thing that was taken for granted.
    """

    law: str
    objective: str
    on: str
    metric: str
    x: str | tuple[str, ...]
    estimate: Estimate
    precision: Precision
    runs: pd.DataFrame
    cells: int
    excluded: tuple[Excluded, ...]
    diagnose: Callable[[Fit], tuple[Diagnostic, ...]]
    judge: Callable[[Fit], Lights]
    say: Callable[[Fit], Answer]
    members: Mapping[str, float] | None = None
    backtest: Backtest | None = None
    table: pd.DataFrame | None = None
    cell: Sequence[str] = ()
    clusters: Sequence[str] = ()
    weights: np.ndarray | float = 1.0
    envelope: float | None = None
    clusters_used: int = 0
    notes: tuple[str, ...] = ()
    chosen: bool = False
    forecast: Fit | None = None
    known_test: Backtest | TooFewPoints | None = None
    pin: Mapping[str, float] = field(default_factory=dict)
    tie: tuple[tuple[str, ...], ...] = ()
    without: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Name the law and its runs in a line; a session in Python prints it, so nothing is computed for it."""
        x = self.x if isinstance(self.x, str) else ", ".join(self.x)
        return f"<Fit of {self.metric} by {x}: {self.law}, {self.on}, {len(self.runs)} runs in {self.cells} cells>"

    @property
    def axes(self) -> tuple[str, ...]:
        """Return the columns that the law explains the metric by."""
        return (self.x,) if isinstance(self.x, str) else self.x

    @property
    def currency(self) -> str | None:
        """Return the label of the money that it is a law of, or that its runs cost; None where none or several are known."""
        return currency_of(self.runs)

    @property
    def form(self) -> Law:
        """Return the law that was fitted, with what was pinned and tied. Only of a single law."""
        return constrained(law_named(self.law), self.pin, self.tie)

    @property
    def params(self) -> dict[str, float] | None:
        """Return the coefficients by their letters in the formula, in the units of `metric` and `x`.

        None for an average, which has none of its own.
        """
        return self.coefficients or None

    @property
    def coefficients(self) -> dict[str, float]:
        """Return the same as `params`, but an empty dict for an average."""
        if self.members is not None:
            return {}
        return {name: self.estimate.values[name] for name in self.form.letters}

    @property
    def single_laws(self) -> list[tuple[Law, LawEstimate]]:
        """Return the law with its estimate; of an average, each law's that describes the runs, the heaviest first."""
        if self.members is None:
            return [(self.form, self._single)]
        return [(each.law, each) for each in self._averaged.members]

    @property
    def rows_of_heaviest(self) -> tuple[int, ...]:
        """Return the indices of the axes that the first of `single_laws` takes."""
        return tuple(range(len(self.axes))) if self.members is None else tuple(self._averaged.rows[0])

    @cached_property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return what is worth saying about this fit and the runs behind it, see `analysis.diagnostics`."""
        return self.diagnose(self)

    @cached_property
    def lights(self) -> Lights:
        """Say whether the runs determine its coefficients, and whether it forecasts well: two things, see `analysis.fitting.lights`."""
        return self.judge(self)

    @cached_property
    def answer(self) -> Answer:
        """Return what the fit says in a sentence, where it was `chosen`: see `analysis.sentence`."""
        return self.say(self)

    @property
    def tested(self) -> Backtest | None:
        """Return the back-test of all laws of these inputs on these runs, also where this one was named; None with too few budgets.

        Of a law with pinned or tied coefficients it is of that law alone: what was pinned may come from these very runs.
        The first to ask pays for it: up to 0.1 s for a law of compute.
        """
        return None if isinstance(self._test, TooFewPoints) else self._test

    @property
    def untested(self) -> TooFewPoints | None:
        """Return why there is no back-test; None where there is one."""
        return self._test if isinstance(self._test, TooFewPoints) else None

    @cached_property
    def _test(self) -> Backtest | TooFewPoints:
        if self.backtest is not None and isinstance(self.estimate, ForecastEstimate):
            return self.estimate.laws.test  # without laws whose fit to all runs is of no use, which `backtest` may not know yet
        known = self.backtest or self.known_test
        if known is not None:
            return known
        objective = objective_named(self.objective, self.envelope)
        letters = letters_of(self.axes) if self.members is not None else law_named(self.law).axes
        try:
            if self.pin or self.tie:
                return back_test_of(self.form, self.sample(), objective=objective)
            return back_test(self.sample(), letters, objective=objective)
        except TooFewPoints as error:
            return error

    def sample(self, kept: np.ndarray | None = None) -> Sample:
        """Return the runs used as arrays, or those of them where `kept` (runs_used,) is true."""
        runs = self.runs if kept is None else self.runs[kept]
        weights = np.broadcast_to(np.asarray(self.weights, dtype=float), len(self.runs))
        return Sample(
            inputs=runs[list(self.axes)].to_numpy(float).T,
            y=runs[self.metric].to_numpy(float),
            cell=np.unique(runs["cell"].to_numpy(), return_inverse=True)[1],
            weights=weights if kept is None else weights[kept],
        )

    @property
    def errs_in_clusters(self) -> bool:
        """Say whether clusters hold several cells, as the checkpoints of a run do.

        If so, tests that take cells as independent would see too much.
        """
        return bool(self.clusters) and self.clusters_used < self.cells

    @property
    def forecast_error(self) -> float | None:
        """Return the root mean square error of its forecasts in the back-test, in log metric; None where it was not tested."""
        if self.tested is None:
            return None
        return self.tested.average_error if self.members is not None else self.tested.forecast_errors.get(self.law)

    @property
    def further_diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return the diagnostics that do not repeat the status, for where people read both."""
        return tuple(
            found
            for found in self.diagnostics
            if self.members is not None or found.code.value != self.status.value or not set(found.about) <= set(self.status_about)
        )

    @property
    def status(self) -> FitStatus:
        return self.estimate.status

    @property
    def status_about(self) -> tuple[str, ...]:
        """Return the letters of the coefficients that the status is about."""
        return self.estimate.status_about

    @property
    def advice(self) -> str:
        """Say what the status means, in a sentence, after the letters it is about."""
        about = ", ".join(self.status_about)
        if about and self.status == FitStatus.OK:
            return f"{self.status.advice[:-1]}, {about} narrowly: {NARROWLY}"
        return f"{about}: {self.status.advice}" if len(self.status_about) and about != "E" else self.status.advice

    @property
    def runs_used(self) -> int:
        return len(self.runs)

    @property
    def run_ids(self) -> tuple[str, ...]:
        return tuple(self.runs["id"])

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Return column → (smallest, largest value) in the runs used; beyond them every prediction is an extrapolation."""
        return {name: (float(self.runs[name].min()), float(self.runs[name].max())) for name in self.axes}

    @property
    def x_range(self) -> tuple[float, float]:
        """Return the smallest and largest x of the runs used. Raises `UsageError` for a surface, which has no one range."""
        if len(self.axes) > 1:
            raise UsageError(f"law {self.law} is of {' and '.join(self.axes)}: it has no one range", hint="see `ranges`")
        return self.ranges[self.axes[0]]

    @property
    def residuals(self) -> pd.DataFrame:
        """Return the runs used with `predicted` and `residual` = log(metric / predicted): log 2 is twice what the law says."""
        named = [name for name in ("id", "family", "model", "epochs", "seed", *self.axes, self.metric) if name in self.runs]
        table = self.runs[list(dict.fromkeys(named))].copy()
        table["predicted"] = np.exp(self.log_mean(table))
        table["residual"] = np.log(table[self.metric] / table["predicted"])
        return table.reset_index(drop=True)

    @property
    def r_squared(self) -> float:
        """Return the share of the variance of log metric that the law explains; NaN where the metric does not vary."""
        log_y = np.log(self.runs[self.metric].to_numpy(float))
        total = float(np.sum((log_y - log_y.mean()) ** 2))
        return 1.0 - float(np.sum(self.residuals["residual"] ** 2)) / total if total > 0 else float("nan")

    @property
    def residual_std(self) -> float:
        """Return the residual standard deviation in log units, so one of them is a factor of exp(residual_std).

        Its degrees of freedom are n − coefficients.
        """
        return float(np.sqrt(np.sum(self.residuals["residual"] ** 2) / max(1, self.runs_used - len(self.single_laws[0][0].free))))

    def interval(self) -> pd.DataFrame:
        """Return the intervals: index `coefficient`, columns `low` and `high`, at the level that was asked for."""
        names = list(self.coefficients)
        table = pd.DataFrame(
            {"low": [self.estimate.low[n] for n in names], "high": [self.estimate.high[n] for n in names]}, index=names
        )
        return table.rename_axis("coefficient")

    def predict(self, x: pd.DataFrame | ArrayLike, kind: Literal["mean", "new-run"] = "mean") -> pd.DataFrame:
        """Predict the metric at each x, with its interval.

        Args:
            x: a table with the columns `self.axes`; or numbers in the unit of `self.x`, for a law of one axis.
            kind: `mean`: the interval of the law itself. `new-run`: of one more run, i.e. with the scatter of cells and seeds.

        Returns:
            Columns `mean`, `low`, `high`; a table's index is kept.
        """
        if kind not in ("mean", "new-run"):
            raise UnknownName("kind of prediction", kind, ("mean", "new-run"))
        inputs = self.inputs_at(x)
        index = x.index if isinstance(x, (pd.DataFrame, pd.Series)) else None
        low, high = self.estimate.log_band(inputs) if kind == "mean" else self.estimate.log_new_run(inputs)
        with np.errstate(over="ignore"):
            return pd.DataFrame(
                {"mean": np.exp(self.estimate.log_mean(inputs)), "low": np.exp(low), "high": np.exp(high)}, index=index
            )

    def log_mean(self, x: pd.DataFrame | ArrayLike) -> np.ndarray:
        """Return the log of the mean curve at each row of a table, or at numbers, (n,)."""
        return self.estimate.log_mean(self.inputs_at(x))

    def log_mean_draws(self, x: pd.DataFrame | ArrayLike) -> np.ndarray:
        """Return the log of the mean curve as its coefficients vary within their uncertainty, (draws, n).

        Row i is the same draw at every call.
        """
        return self.estimate.log_mean_draws(self.inputs_at(x))

    def log_mean_jacobian(self, x: pd.DataFrame | ArrayLike) -> np.ndarray:
        """Return the derivatives of `log_mean` by theta, (n, p). Only of a single law."""
        return self._single.log_mean_jacobian(self.inputs_at(x))

    @property
    def theta(self) -> np.ndarray:
        """Return the coefficients as `analysis.laws.law.Law` orders them, (p,), with logarithms where it has them. Only of a single law."""
        return self._single.theta

    @property
    def covariance(self) -> np.ndarray:
        """Return the covariance of theta, (p, p). Only of a single law."""
        return self._single.covariance

    @property
    def seed_std(self) -> float:
        """Return the standard deviation of log metric between runs of one cell; NaN when no cell has two."""
        return self.estimate.seed_std

    @property
    def lack_of_fit_std(self) -> float:
        """Return the standard deviation of cells about the law in log metric, beyond what seeds explain."""
        return self.estimate.lack_of_fit_std

    @property
    def residual_words(self) -> str:
        """Say how far runs scatter: `residuals ×/÷ 1.055 (one sd), of it seeds ×/÷ 1.006, lack of fit ×/÷ 1.055`.

        The parts are there only where seeds repeat a cell.
        """
        words = f"residuals {as_factor(self.residual_std)} (one sd)"
        if not np.isfinite(self.seed_std):
            return words
        return f"{words}, of it seeds {as_factor(self.seed_std)}, lack of fit {as_factor(self.lack_of_fit_std)}"

    @property
    def _single(self) -> LawEstimate:
        if not isinstance(self.estimate, LawEstimate):
            raise UsageError(f"{self.law} averages several laws: it has no one theta", hint="see `members`, or fit one of them")
        return self.estimate

    @property
    def _averaged(self) -> AveragedEstimate | ForecastEstimate:
        assert isinstance(self.estimate, (AveragedEstimate, ForecastEstimate))
        return self.estimate

    def inputs_at(self, x: pd.DataFrame | ArrayLike) -> np.ndarray:
        """Return the inputs of the law at each x, (k, n). Raises `UsageError` unless all are positive numbers."""
        if isinstance(x, pd.DataFrame):
            for name in self.axes:
                if name not in x:
                    raise UnknownName(
                        "column", name, [str(column) for column in x], hint=f"the law is of {' and '.join(self.axes)}"
                    )
            inputs = x[list(self.axes)].to_numpy(float).T
        else:
            inputs = np.asarray(x, dtype=float)
            inputs = np.atleast_1d(inputs)[None] if len(self.axes) == 1 else inputs.reshape(len(self.axes), -1)
        if not (np.isfinite(inputs) & (inputs > 0)).all():
            raise UsageError(f"{' and '.join(self.axes)} must be positive numbers to predict at", hint="the laws are of positive x")
        return inputs

    def equation(self, digits: int = 3) -> str:
        """Return the formula with the numbers in it: `val_loss = 0.04127 · core_hours^-0.310`.

        For an average, return its members with their weights.
        """
        if self.members is not None:
            return f"{self.metric} = exp({' + '.join(f'{weight:.2f} · log {law}' for law, weight in self.members.items())})"
        return self.form.equation({n: significant(v, digits) for n, v in self.coefficients.items()}, self.metric, self.axes)

    @property
    def name_words(self) -> str:
        """Return what it is called: `power-floor law`, `average of 3 laws`; of a forecast with one member, that."""
        if self.members is None or len(self.members) == 1:
            return f"{self.law if self.members is None else next(iter(self.members))} law"
        return f"average of {len(self.members)} laws"

    def summary(self) -> str:
        """Return some lines for people.

        They give the formula, coefficients ± interval, status, fit quality, back-test, diagnostics, and the runs used and left out.
        """
        lines = [f"{self.name_words} of {self.metric} against {self.x_words}, on {self.on_words}", f"  {self.equation()}"]
        for name, value in self.coefficients.items():
            lines.append(f"  {name} = {significant(value)}  ({self.interval_words(name)})")
        lines += [f"  {line}" for line in self.lights.lines()]
        lines.append(f"  R² {self.r_squared:.4f} (log–log), {self.residual_words}")
        if self.backtest is not None and self.tested is not None:
            lines.append(f"  {self.tested.summary()}")
        lines += [f"  {diagnostic}" for diagnostic in self.further_diagnostics]
        lines += [f"  note: {note}" for note in self.notes]
        lines.append(f"  {self.runs_words} used, {self.excluded_words}")
        return "\n".join(lines)

    def interval_words(self, name: str) -> str:
        """Say what a coefficient's interval is: `95 %: 1.72 … 1.91`, `pinned`, or the same after `as alpha`, which it is tied to."""
        form = self.form
        kept = form.copies.get(name, name)
        low, high = significant(self.estimate.low[name]), significant(self.estimate.high[name])
        words = "pinned" if kept in form.pinned else f"{self.level_words}: {low} … {high}"
        return words if kept == name else f"as {kept}, {words}"

    @property
    def x_words(self) -> str:
        return " and ".join(self.axes)

    @property
    def on_words(self) -> str:
        return "the frontier" if self.on == "frontier" else "all runs"

    @property
    def level_words(self) -> str:
        return f"{100 * self.precision.level:g} %"

    @property
    def runs_words(self) -> str:
        """Say how many runs were used: `14 runs in 7 cells`, `321 rows of 22 clusters, resampled by run`."""
        if not self.clusters:
            return f"{_count(self.runs_used, 'run')} in {_count(self.cells, 'cell')}"
        return f"{self.runs_used} rows of {self.clusters_used} clusters, resampled by {', '.join(self.clusters)}"

    @property
    def excluded_words(self) -> str:
        """Say how many rows were left out, and why: `3 left out: 2 diverged, 1 no val_loss`."""
        return excluded_words(self.excluded)

    def to_dict(self) -> dict[str, object]:
        """Return one element of the list `fits` of the JSON that the command and the HTTP API return.

        `residual_std` and `forecast_error` are in log units.
        """
        return {
            "law": self.law,
            "formula": law_named(self.law).formula if self.members is None else self.equation(),
            "on": self.on,
            "metric": self.metric,
            "x": self.x if isinstance(self.x, str) else list(self.x),
            "currency": self.currency,
            "objective": self.objective,
            "status": self.status.value,
            "status_about": list(self.status_about),
            "advice": self.advice,
            "lights": self.lights.to_dict(),
            "chosen": self.chosen,
            "chosen_of": self.on if self.chosen else None,
            "forecast_error": self.forecast_error,
            "level": self.precision.level,
            "coefficients": {
                name: with_interval(value, self.estimate.low[name], self.estimate.high[name])
                for name, value in self.coefficients.items()
            },
            "pinned": sorted(self.pin),
            "tied": [list(group) for group in self.tie],
            "members": [{"law": law, "weight": weight} for law, weight in (self.members or {}).items()],
            "backtest": self.tested.to_dict() if self.backtest is not None and self.tested is not None else None,
            "diagnostics": [diagnostic.to_dict() for diagnostic in self.diagnostics],
            "runs_used": self.runs_used,
            "cells_used": self.cells,
            "clusters": list(self.clusters),
            "clusters_used": self.clusters_used,
            "notes": list(self.notes),
            "run_ids": list(self.run_ids),
            "excluded": excluded_payload(self.excluded),
            "r_squared": finite(self.r_squared),
            "residual_std": finite(self.residual_std),
            "seed_std": finite(self.seed_std),
            "lack_of_fit_std": finite(self.lack_of_fit_std),
            "x_range": list(self.x_range) if isinstance(self.x, str) else {name: list(ends) for name, ends in self.ranges.items()},
            "version": metadata.version("scaling"),
        }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
