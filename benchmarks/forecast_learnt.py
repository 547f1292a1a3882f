"""Learns the numbers of the forecast from cuts of curves, for `forecast.py learn`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
from forecast_curves import AIM, OWN, Cut, cuts, rmsle
from scipy import optimize, stats

from analysis.backtest.learnt import LEARNT, Learnt, Scale
from analysis.backtest.recent import FREEDOM, LEAST_CELLS, fit_recent, slope_of
from analysis.backtest.windows import HORIZON, windows

__all__ = ["SETTINGS", "WANTED", "cuts", "learn", "recent_rmsle", "scale_of"]

WANTED = {"NMT": 0.012, "LM": 0.0010, "BB": 0.009}
TAIL = 0.05
SETTINGS = [
    {"recency": recency, "tempering": tempering, "exponent": exponent, "exponent_spread": spread}
    for recency, tempering, exponent, spread in itertools.product(
        (0.06, 0.1, 0.14), (0.1, 0.2, 0.3), (0.35, 0.6, 0.8, 1.0, 1.4), (1.3, 2.5)
    )
]


def learn(some: Sequence[Cut]) -> Learnt:
    """Learn the numbers of the forecast from cuts of curves.

    The rule: of `SETTINGS`, those with which the language curves of WANTED that are among them meet what is wanted; of these the one with
    the least mean over domains of the log of the mean RMSLE. The scale: most likely for the errors of all points kept aside, a curve a
    vote, domains by the root of their number. The widening: what scales that are learnt without a domain take to hold the farthest points
    of that domain, pooled over domains, 90 % in intervals of 90 % and 95 % in those of 95 %: the mean over levels and factors, rounded up
    to 0.05. `noise`, `sure` and `sure_in_noise` are not learnt but set.
    """
    domains = sorted({cut.domain for cut in some})
    errors = np.array([[recent_rmsle(cut, number) for cut in some] for number in range(len(SETTINGS))])
    of = np.array([cut.domain for cut in some])
    own = np.array([cut.factor == OWN for cut in some])
    meets = np.all([errors[:, (of == name) & own].mean(1) <= WANTED[name] for name in domains if name in WANTED], axis=0)
    merit = np.mean([np.log(errors[:, of == name].mean(1)) for name in domains], axis=0)
    rule = replace(LEARNT, **SETTINGS[int(np.where(meets if np.any(meets) else True, merit, np.inf).argmin())])

    sources = pd.concat([_sources(cut, rule) for cut in some], ignore_index=True)
    names = {"tested": ("residual", "spread", "slope"), "untested": ("residual", "spread")}
    scales = {kind: Scale(**scale_of(sources, parts)) for kind, parts in names.items()}
    held = []
    for name in domains if len(domains) > 1 else ():
        others, here = sources[sources["domain"] != name], sources[(sources["domain"] == name) & sources["farthest"]]
        factors = np.array(list(scale_of(others, names["tested"]).values()))
        off = np.abs(here["error"].to_numpy()) / np.sqrt(here[list(names["tested"])].to_numpy() ** 2 @ factors)
        held.append(pd.Series(off, index=here["factor"].to_numpy()))
    beyond = pd.concat(held) if held else pd.Series(dtype=float)
    needed = [
        float(each.quantile(level)) / stats.t.ppf(0.5 + level / 2, FREEDOM)
        for cut, each in beyond.groupby(level=0)
        for level in (1 - 2 * TAIL, 1 - TAIL)
        if cut != OWN
    ]
    widening = max(1.0, float(np.ceil(np.mean(needed or [1.0]) / 0.05) * 0.05))
    return replace(rule, **scales, widening=round(widening, 2))


@cache
def recent_rmsle(cut: Cut, number: int) -> float:
    rule = replace(LEARNT, **SETTINGS[number])
    cells = cut.cells
    fitted = fit_recent(cells, np.ones((1, len(cells.y)), dtype=bool), AIM, rule)
    return rmsle(cut, fitted.log_mean(np.log(cut.at))[0])


def _sources(cut: Cut, rule: Learnt) -> pd.DataFrame:
    """A row for each point kept aside: the error of its forecast, and the parts of its scale."""
    cells = cut.cells
    own = windows(cells, can_be_fitted=lambda inside: len(np.unique(cells.order[inside])) >= LEAST_CELLS, horizon=HORIZON)
    fitted = fit_recent(cells, np.vstack([own.inside.reshape(-1, len(cells.y)), np.ones((1, len(cells.y)), dtype=bool)]), AIM, rule)
    errors = fitted.log_mean(cells.order)[:-1] - np.log(cells.y)
    slope = slope_of(errors, own.ahead, own.held_out, fitted.of(slice(0, -1))) if len(own) else None
    last, log_at = fitted.of(slice(-1, None)), np.log(cut.at)
    alone = replace(rule, untested=Scale(0.0, 1.0), widening=1.0)
    return pd.DataFrame(
        {
            "domain": cut.domain,
            "factor": cut.factor,
            "error": last.log_mean(log_at)[0] - cut.log_truth,
            "residual": last.residual_std[0],
            "spread": np.sqrt(last.variance(log_at, None, alone)[0]),
            "slope": (slope or 0.0) * np.maximum(0.0, log_at - last.edge[0]),
            "tested": slope is not None,
            "farthest": log_at == log_at.max(),
            "vote": 1.0 / len(log_at),
        }
    )


def scale_of(sources: pd.DataFrame, parts: Sequence[str]) -> dict[str, float]:
    """The factors of these parts in the square scale that make the errors most likely as t variables."""
    known = sources[sources["tested"]] if "slope" in parts else sources
    squares, error = known[list(parts)].to_numpy() ** 2, known["error"].to_numpy()
    vote = (known["vote"] / np.sqrt(known.groupby("domain")["vote"].transform("sum"))).to_numpy()

    def loss(log_factors: np.ndarray) -> float:
        scale = np.sqrt(squares @ np.exp(log_factors) + 1e-9)
        return -float(vote @ (stats.t.logpdf(error / scale, FREEDOM) - np.log(scale))) / vote.sum()

    bounds = [(-9.0, 3.0)] * len(parts)
    found = min((optimize.minimize(loss, np.full(len(parts), at), bounds=bounds) for at in (-1.0, -3.0)), key=lambda each: each.fun)
    return {name: float(f"{factor:.3g}") for name, factor in zip(parts, np.exp(found.x), strict=True)}
