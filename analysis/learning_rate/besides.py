"""How the best weight decay, or the best batch size, changes with epochs and size: where cells of the table tried several values of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analysis.cells import best_learning_rates
from analysis.design_columns import alike
from analysis.fitting.estimate import Precision
from analysis.fitting.shared_parabola import Curves, is_identified, shared_parabola
from analysis.learning_rate.grids import LEAST_RATES, RATES_FOR_CURVATURE, Grids
from analysis.learning_rate.law import RateLaw, lines_of
from analysis.learning_rate.trend import Exponent
from analysis.numbers import finite, records, with_interval
from analysis.searched import SEARCHABLE
from scaling.outcomes import FitStatus
from scaling.rounding import significant

__all__ = ["SettingTrend", "setting_trends"]

_OF = {"s": ("with the epoch budget", "epochs"), "t": ("with size", "size")}
_STEPS = {"batch_size": ("steps",)}
"""Columns that follow from a setting, and tell cells apart no more than it does."""


@dataclass(frozen=True, eq=False)
class SettingTrend:
    """Holds the trend of the best value of a setting, `setting* = c·epochs^-s·(N/N0)^-t`, by the estimator of the rates' trend.

    setting: `weight_decay` or `batch_size`. trouble: why there is no trend; empty where there is one.
    exponents: s and t by name, those that the cells tell. Either may have any sign: above 0 the best value falls.
    optima: one row a cell: `family`, `model`, `epochs`, `value` (of the trend) with `low` and `high` (NaN without one), `best_tried`, `values`
        (how many were tried), and `at_edge`: `lowest` or `highest` where the best is the last of those.
    """

    setting: str
    status: FitStatus
    trouble: str
    optima: pd.DataFrame
    runs_used: int
    level: float
    formula: str = ""
    reference_params: float | None = None
    exponents: Mapping[str, Exponent] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return self.setting.replace("_", " ")

    @property
    def sentence(self) -> str:
        """Say what the data show of the best value, with intervals, or why they do not tell."""
        if self.trouble:
            return f"The trend of the best {self.label} is not identified: {self.trouble}."
        told = []
        for name, exponent in self.exponents.items():
            moves = "falls" if exponent.value > 0 else "rises"
            shown = moves if _is_shown(exponent) else "is not shown to change"
            ends = f"{significant(exponent.low)} … {significant(exponent.high)}"
            told.append(f"{shown} {_OF[name][0]} ({name} = {significant(exponent.value)}, {100 * self.level:g} %: {ends})")
        edges = int((self.optima["at_edge"] != "").sum())
        beyond = f" In {edges} of {len(self.optima)} cells the best is the last tried, and may lie beyond." if edges else ""
        return f"The best {self.label} {' and '.join(told)}.{beyond}"

    def to_dict(self) -> dict[str, Any]:
        """Return the trend as JSON holds it."""
        return {
            "setting": self.setting,
            "status": self.status.value,
            "sentence": self.sentence,
            "trouble": self.trouble or None,
            "formula": self.formula or None,
            "reference_params": self.reference_params,
            "slope": self._exponent("s"),
            "size_slope": self._exponent("t"),
            "optima": records(self.optima),
            "runs_used": self.runs_used,
        }

    def _exponent(self, name: str) -> dict[str, float | None] | None:
        if (found := self.exponents.get(name)) is None:
            return None
        return with_interval(found.value, found.low, found.high) | {"p_value": finite(found.p_value)}


def setting_trends(grids: Grids, metric: str, *, level: float) -> tuple[SettingTrend, ...]:
    """Fit the trend of each setting of `SEARCHABLE` of which some cell tried several values.

    A value counts at its own best learning rate, and at the best of what else was searched. A value of 0 has no place on a log axis.
    """
    found = []
    for setting in SEARCHABLE:
        if setting in grids.tried and pd.api.types.is_numeric_dtype(grids.tried[setting]):
            runs = _tried(grids.tried, grids.columns, setting, metric)
            if not runs.empty:
                found.append(_trend(runs, setting, metric, level))
    return tuple(found)


def _tried(tried: pd.DataFrame, columns: Sequence[str], setting: str, metric: str) -> pd.DataFrame:
    """Return the runs of cells with several values of the setting, each value at its best rate, with `cell` from 0."""
    apart = [name for name in columns if name not in (setting, *_STEPS.get(setting, ()))]
    runs = tried[tried[setting] > 0]
    group = alike(runs, apart) if apart else pd.Series(0, index=runs.index)
    of_value = group * (len(runs) + 1) + pd.factorize(runs[setting].astype(float))[0]
    runs, _ = best_learning_rates(runs.assign(cell=of_value), metric)
    runs = runs.assign(cell=group.loc[runs.index])
    several = runs.groupby("cell")[setting].transform("nunique") >= LEAST_RATES
    runs = runs[several].reset_index(drop=True)
    return runs.assign(cell=runs["cell"].rank(method="dense").astype(int) - 1)


def _trend(runs: pd.DataFrame, setting: str, metric: str, level: float) -> SettingTrend:
    cells = _cells(runs, setting, metric)
    unknown = cells.assign(value=np.nan, low=np.nan, high=np.nan)[_OPTIMA]

    def without(trouble: str) -> SettingTrend:
        return SettingTrend(setting, FitStatus.EXPONENT_NOT_IDENTIFIED, trouble, unknown, len(runs), level)

    label = setting.replace("_", " ")
    if cells["values"].max() < RATES_FOR_CURVATURE:
        return without(f"no cell has {RATES_FOR_CURVATURE} values of {label}, which one at least must have")
    if len(cells) < 2:
        return without(f"one cell alone has several values of {label}")
    curves = Curves(np.log(runs[setting].to_numpy(float)), np.log(runs[metric].to_numpy(float)), runs["cell"].to_numpy())
    law = _law(curves, cells)
    if not law.terms:
        return without(f"{len(runs)} runs in {len(cells)} cells do not tell how it goes with epochs or size")
    rows = law.rows(cells)
    parabola = shared_parabola(curves, rows, precision=Precision(level=level))
    if parabola.curvature <= 0:
        return without(f"{metric} does not rise away from a {label}, so that no best one lies inside what was tried")
    exponents = {
        term: Exponent(*parabola.minimum_at(law.term_row(term)), parabola.p_value(law.term_row(term))) for term in law.terms
    }
    best = np.exp([parabola.minimum_at(row) for row in rows])
    shown = any(_is_shown(exponent) for exponent in exponents.values())
    return SettingTrend(
        setting=setting,
        status=FitStatus.OK if shown else FitStatus.EXPONENT_NOT_IDENTIFIED,
        trouble="",
        optima=cells.assign(value=best[:, 0], low=best[:, 1], high=best[:, 2])[_OPTIMA],
        runs_used=len(runs),
        level=level,
        formula=law.formula.replace("learning_rate", setting),
        reference_params=law.reference_params,
        exponents=exponents,
    )


_OPTIMA = ["family", "model", "epochs", "value", "low", "high", "best_tried", "values", "at_edge"]


def _cells(runs: pd.DataFrame, setting: str, metric: str) -> pd.DataFrame:
    rows = []
    for _, of_cell in runs.groupby("cell"):
        tried = of_cell.groupby(setting)[metric].mean()
        best = float(tried.index[int(tried.to_numpy().argmin())])
        first = of_cell.iloc[0]
        rows.append(
            {
                **{name: first[name] for name in ("family", "model", "epochs")},
                "params": float(first["params"]) if "params" in of_cell else float("nan"),
                "best_tried": best,
                "values": len(tried),
                "at_edge": "lowest" if best == tried.index.min() else "highest" if best == tried.index.max() else "",
            }
        )
    return pd.DataFrame(rows)


def _law(curves: Curves, cells: pd.DataFrame) -> RateLaw:
    """Return the law with s and t, as far as the cells determine them: nothing is known beforehand of either's sign."""
    lines, reference = lines_of(cells)
    law = RateLaw(lines, (), reference)
    for term in ("s", "t") if reference is not None else ("s",):
        wider = law.with_terms(*law.terms, term)
        if is_identified(curves, wider.rows(cells)):
            law = wider
    return law


def _is_shown(exponent: Exponent) -> bool:
    return bool(exponent.low > 0 or exponent.high < 0)
