"""Forecasts of simulated curves, whose truth is known: for `forecast.py simulate` and `simulated`."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from csv_table import markdown
from forecast_curves import AIM, PRECISION, Cut, rmsle

from analysis.automatic import automatic
from analysis.backtest.forecast import ForecastEstimate

TRUTHS = {
    "power": lambda x: 2 * x**-0.2,
    "power with a floor": lambda x: 0.5 + 2 * x**-0.35,
    "saturating": lambda x: 0.5 + 20 * (x + 30) ** -0.7,
    "exponent that drifts": lambda x: 2 * x ** (-0.1 - 0.012 * np.log(x)),
    "smooth break": lambda x: 2 * x**-0.1 * (1 + (x / 50) ** 2) ** -0.1,
    "power of log x": lambda x: 1 + 1.5 / (1 + 0.4 * np.log1p(x)) ** 2,
}
DESIGNS = ((6, 1e2), (8, 1e3), (12, 1e4), (25, 1e3))
"""Cells and the factor of x that they span."""


def simulate(path: Path, seeds: int = 6) -> None:
    """Write what the laws, the recent forecast and both together say of simulated curves."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["truth", "noise", "cells", "seed", "rule", "rmsle", "error", "low", "high"])
        for (name, truth), noise, (cells, span), seed in itertools.product(
            TRUTHS.items(), (0.001, 0.003, 0.01, 0.03), DESIGNS, range(seeds)
        ):
            rng = np.random.default_rng([seed, cells, int(noise * 1e4)])
            x = np.geomspace(1, span, cells)
            at = span * np.array([2.0, 4.0, 10.0])
            cut = Cut(name, str(seed), "10", x, truth(x) * np.exp(noise * rng.standard_normal(cells)), at, np.log(truth(at)))
            for rule, mean, (low, high) in _said(cut):
                off = mean - cut.log_truth
                ends = [off[-1], low[-1] - cut.log_truth[-1], high[-1] - cut.log_truth[-1]]
                row = [rmsle(cut, mean), *ends]
                writer.writerow([name, noise, cells, seed, rule, *(f"{each:.5g}" for each in row)])


def _said(cut: Cut) -> Iterator[tuple[str, np.ndarray, tuple[np.ndarray, np.ndarray]]]:
    made = automatic(cut.sample, ["C"], objective=AIM, precision=PRECISION).estimate
    at = cut.at[None]
    if not isinstance(made, ForecastEstimate):  # no law has a back-test
        return
    recent = ForecastEstimate(made.recent, made.slope, 0.0, PRECISION, partial(getattr, made, "laws"))
    for rule, each in (("laws by back-test", made.laws.estimate), ("recent alone", recent), ("auto", made)):
        yield rule, each.log_mean(at), each.log_band(at)


def simulated_table(path: Path) -> str:
    """Mean and median RMSLE of each rule, and how often its interval of the mean holds the truth at 10 times, a truth a row."""
    table = pd.read_csv(path)
    table["inside"] = (table["low"] <= 0) & (table["high"] >= 0)
    rules = ("laws by back-test", "recent alone", "auto")
    lines = []
    for truth, some in [(name, table[table["truth"] == name]) for name in TRUTHS] + [("all", table)]:
        by = {rule: some[some["rule"] == rule] for rule in rules}
        errors = [f"{by[rule]['rmsle'].mean():.3f}, {by[rule]['rmsle'].median():.3f}" for rule in rules]
        inside = [f"{100 * by[rule]['inside'].mean():.0f} %" for rule in rules]
        half = [f"{((by[rule]['high'] - by[rule]['low']) / 2).median():.3f}" for rule in rules]
        lines.append([truth, len(by["auto"]), *errors, *(f"{share}, {width}" for share, width in zip(inside, half, strict=True))])
    heads = [f"{rule}: error, mean and median" for rule in rules] + [f"{rule}: inside, half-width" for rule in rules]
    return markdown(["truth", "curves", *heads], lines)
