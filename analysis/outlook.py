"""`outlook`: what is to be expected at a compute: the metric with its interval, the best model there, and what that costs.

It fits nothing, so that a reader may move the compute over a chart: law, frontier and regret are those that were made before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.as_csv import as_csv
from analysis.diagnostics import far_extrapolation
from analysis.interval import Interval
from analysis.numbers import finite
from analysis.reading.prices import rate_of, unit_of
from analysis.sentence import times_at
from scaling.errors import UsageError
from scaling.rounding import amount, money, percent, significant

if TYPE_CHECKING:
    from analysis.fitting.result import Fit
    from analysis.optimum.regret import Regret
    from analysis.pareto import Frontier

__all__ = ["Outlook", "outlook", "round_computes"]

_MANTISSAS = (10, 11, 12, 13, 15, 16, 18, 20, 22, 24, 27, 30, 33, 36, 39, 43, 47, 51, 56, 62, 68, 75, 82, 91)
"""The series E24: 24 steps of about a tenth to ten times, with two digits each."""

_MOST = 160


@dataclass(frozen=True, eq=False)
class Outlook:
    """Holds what is to be expected at some computes.

    law: whose numbers these are among its runs; beyond them they are its forecast's, where it has one.
    table: a row a compute, with these columns:
    - `at`, in the unit of x; `times`, over the largest compute of the runs; `far`, whether nothing in the runs tests a forecast there;
    - `value`, `low`, `high` of the mean of the metric;
    - `model` and `data`, the best of the models that were run: of the surfaces of size and data, else the best cell that was run up to
      that compute; empty and NaN where nothing tells;
    - `most`, what that choice costs at most against the best size, as a share of the metric; NaN where it is not known or was not asked for;
    - `core_hours` and `cost` of one run there; NaN where they are not known.
    data_name: what `data` counts: epochs, examples seen or steps. currency: of `cost`. no_model: why the best model is not known beyond the
    runs, or what it costs; else empty. unpriced: why `most` of a row is not known, or empty; a text a row.
    """

    law: Fit
    x: str
    data_name: str
    table: pd.DataFrame
    currency: str | None
    no_model: str
    regret: Regret | None
    unpriced: tuple[str, ...] = ()

    def interval(self, row: int = 0) -> Interval:
        """Return the mean of the metric at a compute, with its interval."""
        return Interval(*(float(self.table[name].iloc[row]) for name in ("value", "low", "high")))

    def words(self, row: int = 0) -> dict[str, str]:
        """Write a row for people: `at`, `where`, `value`, `best`, `price`, and `most` where it was asked for; empty where nothing is known."""
        found, unit = self.table.iloc[row], unit_of(self.x, self.currency)
        data = self.data_name.replace("_", " ")
        at, times = float(found["at"]), float(found["times"])
        best = ""
        if found["model"]:
            best = (
                f"{found['model']} at {significant(found['data'], 3)} {data}{self.regret.beyond(found['data']) if self.regret else ''}"
                if np.isfinite(found["data"])
                else str(found["model"])
            )
        hours = [f"{amount(found['core_hours'])} core-hours"] if np.isfinite(found["core_hours"]) else []
        paid = [money(float(found["cost"]), self.currency)] if np.isfinite(found["cost"]) and self.currency else []
        return {
            "at": f"{amount(found['at'])} {unit}",
            "where": f"{times_at(at, at / times)} the largest run{', further than anything here tests' if found['far'] else ''}"
            if times > 1
            else "within the runs",
            "value": self.interval(row).words(),
            "best": best,
            "most": f"costs at most {percent(float(found['most']))} against the best size and {data}"
            if np.isfinite(found["most"])
            else f"what choosing it costs is not known: {self.unpriced[row]}"
            if self.unpriced and self.unpriced[row]
            else "",
            "price": ", ".join([*hours, *paid]),
        }

    def to_dict(self) -> dict[str, object]:
        """Return the answer as JSON holds it, without `schema_version`."""
        return {
            "metric": self.law.metric,
            "x": self.x,
            "law": self.law.law,
            "level": self.law.precision.level,
            "data": self.data_name,
            "currency": self.currency,
            "outlook": [{**_row(row), "words": self.words(number)} for number, row in enumerate(self.table.to_dict("records"))],
            "no_model": self.no_model,
        }

    def to_csv(self) -> str:
        """Write `table` as CSV."""
        return as_csv(self.table)


def outlook(law: Fit, frontier: Frontier, regret: Regret | None, at: Sequence[float], *, bounds: bool = True) -> Outlook:
    """Say what is to be expected at computes, in the unit of x.

    Args:
        law: of one input. frontier: of the same metric and x. regret: of the same runs; None: the best model is the one that was run.
        at: (n,). bounds: whether to bound what the best model costs, which takes some hundredths of a second a compute.

    Raises: UsageError for computes that are not positive numbers, or a law of several inputs.
    """
    if len(law.axes) > 1:
        raise UsageError(f"law {law.law} is of {' and '.join(law.axes)}: a target is one compute", hint="choose a law of one input")
    places = np.atleast_1d(np.asarray(at, dtype=float))
    if not (np.isfinite(places) & (places > 0)).all():
        raise UsageError("a target is a positive number", hint=f"give it in the unit of {law.axes[0]}")
    largest, forecast = law.x_range[1], law.forecast or law
    within, beyond = law.predict(places), forecast.predict(places)
    mean = within.where(pd.Series(places <= largest), beyond)
    table = pd.DataFrame(
        {
            "at": places,
            "times": places / largest,
            "far": [bool(far_extrapolation(forecast, [place])) for place in places],
            "value": mean["mean"],
            "low": mean["low"],
            "high": mean["high"],
        }
    )
    known = regret is not None and regret.losses is not None
    choices = [_choice(frontier, regret, place, bounds) for place in places]
    for name in ("model", "data", "most"):
        table[name] = pd.Series([choice[name] for choice in choices])
    table["core_hours"] = [_hours(frontier, str(choice["model"]), float(at)) for choice, at in zip(choices, places, strict=True)]
    rate = rate_of(frontier.runs)
    table["cost"] = np.nan if rate is None else rate[0] * table["core_hours"]
    if frontier.x == "cost":
        table["cost"] = table["at"]
    why = "" if known else "" if regret is None else regret.reason
    name = regret.data_name if known and regret is not None else "epochs"
    currency = rate[1] if rate is not None else frontier.currency if frontier.x == "cost" else None
    return Outlook(
        law, law.axes[0], name, table, currency, why, regret, tuple(str(choice.get("unpriced", "")) for choice in choices)
    )


def round_computes(low: float, high: float) -> list[float]:
    """List computes of two digits from `low` to `high`, about 24 to ten times; fewer where the range is wide."""
    decades = range(int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 1)
    found = [float(f"{mantissa}e{decade - 1}") for decade in decades for mantissa in _MANTISSAS]
    inside = [value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
    return inside[:: -(-len(inside) // _MOST)] if inside else [low]


def _choice(frontier: Frontier, regret: Regret | None, place: float, bounds: bool) -> dict[str, object]:
    nothing = float("nan")
    if regret is not None and regret.losses is not None:
        if bounds and (priced := regret.best_model_at(place)) is not None:
            return {
                "model": regret.model_name(priced.model),
                "data": priced.data,
                "most": priced.most,
                "unpriced": priced.reason,
            }
        model, data = regret.losses.best_model_in_short(place)
        return {"model": regret.model_name(model), "data": data, "most": nothing}
    best = frontier.best()
    rows = best[best[f"{frontier.x}_from"] <= place * (1 + 1e-9)]
    if rows.empty or "model" not in rows or place > best[f"{frontier.x}_from"].max() * (1 + 1e-9):
        return {"model": "", "data": nothing, "most": nothing}
    return {
        "model": str(rows["model"].iloc[-1]),
        "data": float(rows["epochs"].iloc[-1]) if "epochs" in rows else nothing,
        "most": nothing,
    }


def _hours(frontier: Frontier, model: str, place: float) -> float:
    """Return the core-hours of a run at a compute: by what a unit of it took the model's largest run; NaN where the table does not say."""
    if frontier.x == "core_hours":
        return place
    runs = frontier.runs
    if "core_hours" not in runs or ("accelerator" in runs and runs["accelerator"].nunique() > 1):
        return float("nan")
    own = runs[runs["model"].astype(str) == str(model).rpartition(" ")[2]] if "model" in runs else runs
    own = own if len(own) else runs
    largest = own.iloc[int(own[frontier.x].astype(float).to_numpy().argmax())]
    return place * float(largest["core_hours"]) / float(largest[frontier.x])


def _row(row: dict[object, object]) -> dict[str, object]:
    return {str(name): finite(value) if isinstance(value, float) else value for name, value in row.items()}
