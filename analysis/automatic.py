"""`law="auto"`: the law, or the average of laws, that forecast the larger of these runs best from the smaller ones.

The candidates are all laws of the inputs that are asked for: whoever adds a law to `analysis.laws` adds a candidate. A law of N and D takes
part where U is given too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.backtest.backtest import Backtest, backtest
from analysis.backtest.beyond import Beyond, averaged, chosen
from analysis.backtest.windows import HORIZON
from analysis.fitting.estimate import Estimate, Precision, Sample
from analysis.fitting.estimator import estimate
from analysis.fitting.objective import Objective
from analysis.laws import law_named, law_names
from analysis.laws.law import Law
from scaling.errors import UsageError

__all__ = ["AUTO", "Automatic", "automatic", "candidates", "letters_of"]

AUTO = "auto"


@dataclass(frozen=True, eq=False)
class Automatic:
    """law: the name of the one that was chosen, or `auto` for an average. members: law → weight of an average, else None. backtest: None
    where the law was named."""

    law: str
    estimate: Estimate
    members: dict[str, float] | None
    backtest: Backtest | None


def letters_of(inputs: int) -> tuple[str, ...]:
    """The letters of so many inputs: C; N, D; N, D, U. Raises `UsageError` when no law has as many."""
    by_number = {len(law.axes): law.axes for law in map(law_named, law_names())}
    if inputs not in by_number:
        raise UsageError(
            f"no law has {inputs} inputs", hint=f"name {' or '.join(', '.join(letters) for letters in by_number.values())}: --x"
        )
    return by_number[inputs]


def candidates(letters: Sequence[str]) -> list[Law]:
    """Laws whose inputs are among the letters, those with few coefficients first."""
    return [law for law in map(law_named, law_names()) if set(law.axes) <= set(letters)]


def automatic(
    sample: Sample,
    letters: Sequence[str],
    *,
    objective: Objective,
    precision: Precision,
    intervals: str = "auto",
    horizon: float = HORIZON,
) -> Automatic:
    """Back-test the candidates, weigh them by the rule (`analysis.backtest.rule`), and fit those of weight to all runs.

    Args:
        sample: inputs in the order of `letters`.
        objective, precision, intervals: as in `analysis.fit`.
        horizon: up to how many times the compute of a window its forecasts count; set it near what you want to extrapolate by.

    Raises:
        TooFewPoints: nothing is left to hold out.
    """
    letters = list(letters)

    def rows_of(law: Law) -> list[int]:
        return [letters.index(letter) for letter in law.axes]

    compute_rows = tuple(letters.index(letter) for letter in letters if letter in ("C", "N", "D"))
    order = np.log(sample.inputs[list(compute_rows)]).sum(0)
    test = backtest(candidates(letters), sample, order, objective, rows_of=rows_of, horizon=horizon)
    beyond = Beyond(test.error, float(order.max()), compute_rows)

    laws = [law_named(name) for name in test.members]
    rows = [rows_of(law) for law in laws]
    estimates = [
        estimate(law, replace(sample, inputs=sample.inputs[own]), objective, precision, intervals)
        for law, own in zip(laws, rows, strict=True)
    ]
    if len(laws) == 1 and rows[0] == list(range(len(letters))):
        return Automatic(laws[0].name, chosen(estimates[0], beyond), None, test)
    together = averaged(estimates, list(test.members.values()), rows, beyond, precision)
    return Automatic(AUTO, together, dict(test.members), test)
