"""`law="auto"`: the forecast, i.e. the law, or the average of laws, that forecast the larger of these runs best from the smaller ones.

The candidates are all laws of the inputs that are asked for: whoever adds a law to `analysis.laws` adds a candidate. A law of N and D takes
part where U is given too. With too few budgets to hold any out twice, the plainest of them stands for the forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.backtest.backtest import AVERAGE, LEAST_WINDOWS, Backtest, backtest
from analysis.backtest.beyond import AveragedEstimate, Beyond, averaged, chosen
from analysis.backtest.forecast import ForecastEstimate, Laws
from analysis.backtest.windows import HORIZON, cells_in_order
from analysis.fitting.estimate import Estimate, Precision, Sample
from analysis.fitting.estimator import covariance_of, estimate
from analysis.fitting.law_estimate import LawEstimate
from analysis.fitting.objective import Objective
from analysis.fitting.point import fit_point
from analysis.fitting.tangent import tangent_at
from analysis.laws import law_named, law_names
from analysis.laws.axes import AXIS_COLUMNS
from analysis.laws.law import Law
from scaling.errors import TooFewPoints, UsageError

__all__ = ["AUTO", "Automatic", "automatic", "back_test", "back_test_of", "candidates", "letters_of", "named"]

AUTO = AVERAGE

_UNTESTED = (
    "beyond the runs no back-test says how far the forecast is off: there are too few budgets. "
    "Its interval is as wide as such forecasts of published curves were off"
)
_NOT_CONVERGED = "its fit to all runs did not converge"
_OPEN = "its fit to all runs leaves open what comes at twice their compute"
_GUESS = 0.5 * float(np.log(10))
"""A standard deviation in log metric: whoever is less sure says nothing (95 %: ten times either way)."""


@dataclass(frozen=True, eq=False)
class Automatic:
    """Holds what `law="auto"` found, or a law that was named.

    law: the name of the law that was chosen, or `auto` for an average. members: law → weight of an average, else None.
    backtest: None where the law was named, or where there are too few budgets for a back-test. notes: what was taken for granted.
    """

    law: str
    estimate: Estimate
    members: dict[str, float] | None
    backtest: Backtest | None
    notes: tuple[str, ...] = ()


def letters_of(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the letters of these inputs: those of the law whose usual columns they are, else C; N, D; N, D, U by their number.

    Raises `UsageError` when no law has as many.
    """
    laws = list(map(law_named, law_names()))
    by_number = {len(law.axes): law.axes for law in laws} | {len(law.axes): law.axes for law in laws if "U" in law.axes}
    usual = {frozenset(AXIS_COLUMNS[letter] for letter in law.axes): law.axes for law in laws}
    if len(columns) not in by_number:
        raise UsageError(
            f"no law has {len(columns)} inputs",
            hint=f"name {' or '.join(', '.join(letters) for letters in sorted(by_number.values(), key=len))}: --x",
        )
    return usual.get(frozenset(columns), by_number[len(columns)])


def candidates(letters: Sequence[str], without: Sequence[str] = ()) -> list[Law]:
    """Return the laws whose inputs are among the letters, those with few coefficients first; the first is the plainest.

    without: names of laws that take no part.
    """
    laws = [law for law in map(law_named, law_names()) if law.is_candidate and set(law.axes) <= set(letters)]
    return [law for law in laws if law.name not in without]


def back_test(sample: Sample, letters: Sequence[str], *, objective: Objective, horizon: float = HORIZON) -> Backtest:
    """Fit the candidates to the smaller runs, and test what they forecast of the larger ones.

    Raises `TooFewPoints` when no run can be held out.

    A law of weight whose fit to all runs does not converge takes no part, nor does one that is a guess just beyond them, as one with a
    break at the last run is. The others are tested anew without it, unless there are none.
    """
    return _of_use(_tested(candidates(letters), sample, letters, objective, horizon), sample, letters, objective)


def _tested(laws: Sequence[Law], sample: Sample, letters: Sequence[str], objective: Objective, horizon: float) -> Backtest:
    return backtest(laws, sample, _order(sample, letters), objective, rows_of=_RowsOf(letters), horizon=horizon)


def _of_use(test: Backtest, sample: Sample, letters: Sequence[str], objective: Objective, without: Sequence[str] = ()) -> Backtest:
    """Test anew without the laws of weight that say nothing of what comes, see `back_test`."""
    laws = candidates(letters, without)
    left_out: dict[str, str] = {}
    while failed := {name: why for name in test.members if (why := _of_no_use(law_named(name), sample, letters, objective))}:
        left_out |= failed
        laws = [law for law in laws if law.name not in left_out]
        if not laws:
            break
        try:
            test = _tested(laws, sample, letters, objective, test.horizon)
        except TooFewPoints:  # no other form can be tested
            break
    return replace(test, left_out={**test.left_out, **{name: why for name, why in left_out.items() if name not in test.laws}})


def back_test_of(law: Law, sample: Sample, *, objective: Objective) -> Backtest:
    """Test one law alone, such as one with pinned coefficients. Raises `TooFewPoints` when no run can be held out."""
    order, rows_of = _order(sample, law.axes), _RowsOf(law.axes)
    return backtest([law], sample, order, objective, rows_of=rows_of, horizon=HORIZON, learnt=None)


def _of_no_use(law: Law, sample: Sample, letters: Sequence[str], objective: Objective) -> str:
    """Say why a law's fit to all runs is no forecast; nothing where it is one."""
    own = replace(sample, inputs=sample.inputs[_RowsOf(letters)(law)])
    point = fit_point(law, own.inputs, own.y, objective=objective, weights=own.weights)
    if not point.converged[0]:
        return _NOT_CONVERGED
    grows = np.array([axis != "U" for axis in law.axes])
    largest = own.inputs[:, [int(np.argmax(_order(sample, letters)))]]
    at_twice = largest * np.where(grows, 2.0 ** (1 / grows.sum()), 1.0)[:, None]
    tangent = tangent_at(law, own, point.theta[0], objective, point.at_bound[0])
    slope = np.where(tangent.kept, law.log_curve_jacobian(at_twice, point.theta[0])[0], 0.0)
    with np.errstate(invalid="ignore", over="ignore"):
        variance = slope @ covariance_of(tangent) @ slope
    return "" if variance <= _GUESS**2 else _OPEN  # one that is no number says nothing either


def automatic(
    sample: Sample,
    letters: Sequence[str],
    *,
    objective: Objective,
    precision: Precision,
    intervals: str = "auto",
    horizon: float = HORIZON,
    without: Sequence[str] = (),
) -> Automatic:
    """Back-test the candidates, weigh them by the rule (`analysis.backtest.rule`), and fit those of weight to all runs.

    Args:
        sample: inputs in the order of `letters`.
        objective, precision, intervals: as in `analysis.fit`.
        horizon: up to how many times the compute of a window its forecasts count; set it near what you want to extrapolate by.
        without: names of laws that take no part.
    """
    rows_of = _RowsOf(letters)

    def fitted(law: Law) -> LawEstimate:
        return estimate(law, replace(sample, inputs=sample.inputs[rows_of(law)]), objective, precision, intervals)

    def average(test: Backtest) -> AveragedEstimate:
        laws = [law_named(name) for name in test.members]
        beyond = _beyond(sample, letters, test)
        return averaged(
            [fitted(law) for law in laws], list(test.members.values()), [rows_of(law) for law in laws], beyond, precision
        )

    try:
        test = _tested(candidates(letters, without), sample, letters, objective, horizon)
    except TooFewPoints:
        plainest = candidates(letters, without)[0]
        beyond = _beyond(sample, letters, None)
        if plainest.axes == tuple(letters):
            return Automatic(plainest.name, chosen(fitted(plainest), beyond), None, None)
        together = averaged([fitted(plainest)], [1.0], [rows_of(plainest)], beyond, precision)
        return Automatic(AUTO, together, {plainest.name: 1.0}, None)
    waits = test.share == 0  # the laws do not count beyond the runs: they are fitted when they are asked for
    if not waits:
        test = _of_use(test, sample, letters, objective, without)
    if test.recent is None:
        together = average(test)
        if len(test.members) == 1 and together.rows[0] == tuple(range(len(letters))):
            return Automatic(next(iter(test.members)), chosen(together.members[0], together.beyond), None, test)
        return Automatic(AUTO, together, dict(test.members), test)

    def laws() -> Laws:
        known = _of_use(test, sample, letters, objective, without) if waits else test
        return Laws(average(known), known)

    forecast = ForecastEstimate(test.recent.fitted, test.recent.slope, test.share, precision, laws)
    return Automatic(AUTO, forecast, test.forecast_members, test, (_UNTESTED,) if forecast.slope is None else ())


def named(law: Law, sample: Sample, *, objective: Objective, precision: Precision, intervals: str) -> Automatic:
    """Fit the law that was asked for. One without a floor, of runs too few to test a floor by, says so in its interval beyond them."""
    made = estimate(law, sample, objective, precision, intervals)
    if not law.floor:
        beyond = _beyond(sample, law.axes, None)
        made = chosen(made, beyond) if beyond.floor_needs is not None else made
    return Automatic(law.name, made, None, None)


class _RowsOf:
    """Says which inputs of a sample a law takes, as row numbers."""

    def __init__(self, letters: Sequence[str]) -> None:
        self.letters = list(letters)

    def __call__(self, law: Law) -> list[int]:
        return [self.letters.index(letter) for letter in law.axes]


def _compute_rows(letters: Sequence[str]) -> tuple[int, ...]:
    return tuple(row for row, letter in enumerate(letters) if letter != "U")


def _order(sample: Sample, letters: Sequence[str]) -> np.ndarray:
    """Return log compute of each run, (n,), up to a constant."""
    return np.log(sample.inputs[list(_compute_rows(letters))]).sum(0)


def _beyond(sample: Sample, letters: Sequence[str], test: Backtest | None) -> Beyond:
    order = _order(sample, letters)
    return Beyond(
        error=test.error if test is not None else None,
        edge=float(order.max()),
        compute_rows=_compute_rows(letters),
        floor_needs=_floor_needs(sample, letters, order),
    )


def _floor_needs(sample: Sample, letters: Sequence[str], order: np.ndarray) -> int | None:
    """Return how many budgets a back-test of a law with a floor takes; None where these runs have as many, or the plainest law has one."""
    laws = candidates(letters)
    if laws[0].floor:
        return None
    need = min(law.least_points for law in laws if law.floor) + LEAST_WINDOWS
    return need if len(cells_in_order(sample, order).positions) < need else None
