"""The numbers of the forecast that were learnt from published curves: `learnt.json`, made by `python benchmarks/forecast.py learn`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LEARNT", "Learnt", "Scale"]


@dataclass(frozen=True)
class Scale:
    """Says by how much each source counts in the variance of a forecast, see `analysis.backtest.recent`."""

    residual: float
    spread: float
    slope: float = 0.0


@dataclass(frozen=True)
class Learnt:
    """Holds the numbers of the forecast beyond the runs.

    recency: the part of the log range after which a run counts e times less. tempering: the part of the recent runs that counts as
    independent evidence about the exponent. exponent, exponent_spread: median of the prior of the exponent, and standard deviation of its
    logarithm. noise: what residuals are thought to have at least, in log metric. sure, sure_in_noise: see `rule.share_of_laws`.
    tested, untested: scale of the interval with and without a back-test. widening: of both.
    """

    recency: float
    tempering: float
    exponent: float
    exponent_spread: float
    noise: float
    sure: float
    sure_in_noise: float
    tested: Scale
    untested: Scale
    widening: float


def _read() -> Learnt:
    said = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return Learnt(**{**said, "tested": Scale(**said["tested"]), "untested": Scale(**said["untested"])})


LEARNT = _read()
