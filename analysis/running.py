"""Where a run will end that is still training: by the law of the finished runs, and by its own curve.

The law forecasts the end from the run's size and data alone. The curve adds what finished runs of the same recipe show at the same share of
their steps, under the same schedule:

    log(final loss) = a + b · log(what the law says) + c · log(loss then),      least squares over finished runs

A decaying learning rate lowers the loss most towards the end, so that a curve continued by itself ends too high; runs at the same share have
the same part of the schedule before them. Early on a curve says little that the law does not. So it counts only where it lowers the error of
the forecasts of left-out cells by a tenth; until then the forecast is the law's.

The alarm compares the loss now with what runs of such a size and data have at this share: log(loss then) = a + b · log(what the law says). It is
raised outside the 99 % interval for one more run. There is none for a run that is to end below all that have finished.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.distributions import t_quantile
from analysis.fitting.fit import fit
from analysis.fitting.result import Fit
from analysis.interval import Interval, check_level
from analysis.numbers import finite
from analysis.selection import rehearsed
from scaling.columns import RECIPE_COLUMNS
from scaling.errors import ScalingError, TooFewPoints, UnknownName
from scaling.outcomes import RunStatus
from scaling.rounding import percent, significant

__all__ = ["EndForecast", "Then", "forecast_end", "law_of_end"]

_INPUTS = (("params", "examples_seen"), ("train_flops",), ("examples_seen",), ("core_hours",))
"""What the law may be of, the first that the runs allow: all are known before a run begins, but for core-hours."""

_LEAST_RUNS = 8
_MUST_FALL_TO = 0.9  # the curve counts where it lowers the left-out error by a tenth
_ALARM = 0.99
_SHARES = np.linspace(0.05, 1.0, 20)
_SAME = ("dataset", "family", *(column.name for column in RECIPE_COLUMNS))

Curves = Mapping[str, Sequence[tuple[int, float]]]


@dataclass(frozen=True)
class Then:
    """Holds the held-out loss to expect at a share of the steps, 0 … 1, of one more run."""

    share: float
    loss: Interval

    def to_dict(self) -> dict[str, object]:
        return {"share": self.share, **self.loss.to_dict()}


@dataclass(frozen=True, eq=False)
class EndForecast:
    """Holds the final loss to expect of a run.

    run: its id. steps: of the whole run. share: of them, at its newest held-out evaluation; 0 where there is none. loss: then, NaN likewise.
    end: the final loss of this one run, with its interval at `level`. by: what it rests on.
    by_law: what the law alone says; None where there is none. law_inputs: what that law is of.
    runs_used: finished runs behind it. law_error, curve_error: left-out errors, one standard deviation in log loss, without the curve and with
    it; NaN where not known.
    band: what such runs have at shares of their steps, from the law. now: the same at this share, at 99 %; None where not known.
    """

    run: str
    metric: str
    level: float
    steps: int
    share: float
    loss: float
    end: Interval
    by: Literal["law", "law-and-curve", "curve"]
    by_law: Interval | None
    law_inputs: tuple[str, ...]
    runs_used: int
    law_error: float
    curve_error: float
    now: Interval | None = None
    band: tuple[Then, ...] = field(default=(), repr=False)

    @property
    def alarm(self) -> Literal["above", "below"] | None:
        """Say on which side the loss has left what such runs have at this share; None where it has not, or where that is not known."""
        if self.now is None or not self.loss > 0:
            return None
        return "above" if self.loss > self.now.high else "below" if self.loss < self.now.low else None

    def sentence(self) -> str:
        """Write the answer in words."""
        level = f"{100 * self.level:g} %"
        where = f"After {percent(self.share)} of its steps" if self.share else "Before its first held-out evaluation"
        rests = {
            "law": f"by the law of {self.runs_used} finished runs; its curve says no more yet",
            "law-and-curve": f"by the law of {self.runs_used} finished runs, and its curve beside theirs",
            "curve": f"by its curve beside those of {self.runs_used} finished runs",
        }[self.by]
        words = f"{where} run {self.run} is expected to end at {self.metric} {self.end.words()} ({level}), {rests}."
        if self.by != "law" and self.by_law is not None:
            words += f" The law alone says {self.by_law.words()}."
        if self.alarm is not None and self.now is not None:
            ends = f"{significant(self.now.low, 3)} … {significant(self.now.high, 3)} ({100 * _ALARM:g} %)"
            look = "look at it" if self.alarm == "above" else "what differs from the others?"
            words += (
                f" Its loss of {significant(self.loss, 3)} now lies {self.alarm} what such a run has at this share, {ends}: {look}"
            )
            words += "." if self.alarm == "above" else ""
        return words

    def to_dict(self) -> dict[str, Any]:
        """Return the forecast as JSON holds it, without `schema_version`."""
        return {
            "run": self.run,
            "metric": self.metric,
            "level": self.level,
            "sentence": self.sentence(),
            "steps": self.steps,
            "share": self.share,
            "loss": finite(self.loss),
            "end": self.end.to_dict(),
            "by": self.by,
            "by_law": None if self.by_law is None else self.by_law.to_dict(),
            "law_inputs": list(self.law_inputs),
            "runs_used": self.runs_used,
            "law_error": finite(self.law_error),
            "curve_error": finite(self.curve_error),
            "now": None if self.now is None else self.now.to_dict(),
            "alarm": self.alarm,
            "band": [then.to_dict() for then in self.band],
        }


def forecast_end(
    runs: pd.DataFrame,
    run: str,
    curves: Curves,
    *,
    share: float = 1.0,
    law: Fit | None = None,
    metric: str = "val_loss",
    level: float = 0.95,
    bootstrap: int = 200,
) -> EndForecast:
    """Forecast the final loss of a run from the law of the finished runs like it, and from its curve so far.

    Args:
        runs: the run and the finished ones, a row each, with `id`, `status`, `steps`, and `params`, `examples_seen` or `train_flops` of the
            whole run. Those of another data set, family or recipe are passed over.
        run: its id.
        curves: id → held-out losses as (step, loss), of the run and of finished ones. Theirs are read at the run's share of steps, along
            straight lines in log share and log loss.
        share: of the run's steps, 0 … 1, after which its curve is not looked at: what was to be expected then.
        law: what `law_of_end` gave for the same runs, where somebody forecasts several; None: it is fitted here.
        level: of the interval, which is that of one more run. bootstrap: draws of the law.

    Raises:
        UnknownName: no such run. TooFewPoints: fewer than eight finished runs like it tell anything of its end.
    """
    check_level(level)
    mine = runs[runs["id"] == run]
    if mine.empty:
        raise UnknownName("run", run, [str(each) for each in runs["id"]])
    peers = _peers(runs, mine.iloc[0], metric)
    steps = int(mine["steps"].iloc[0])
    share, loss = _newest(curves.get(run, ()), steps, share)
    law = law or _law(peers, mine, metric, level, bootstrap)
    if law is not None:
        peers = peers[peers["id"].isin(law.run_ids)]
    final, then = np.log(peers[metric].to_numpy(float)), _at(peers, curves, metric, share)
    base, ahead = (None, None) if law is None else (law.log_mean(peers), law.log_mean(mine))
    known = np.isfinite(then)
    by_law = None if law is None else Interval(*(float(value) for value in law.predict(mine, kind="new-run").iloc[0]))
    relation = None
    error = float("nan")
    cells = _cells(peers)
    if known.sum() >= _LEAST_RUNS and loss > 0 and np.ptp(then[known]) > 0:
        columns = [then] if base is None else [then, base]
        at = [np.log(loss)] if ahead is None else [np.log(loss), float(ahead[0])]
        relation = _Relation(np.stack(columns, axis=-1)[known], final[known], cells[known], np.array(at))
        if base is not None:
            error = float(np.sqrt(np.mean(_left_out(np.stack([base], axis=-1)[known], final[known], cells[known]) ** 2)))
            relation = relation if relation.error <= _MUST_FALL_TO * error else None
    if relation is None and by_law is None:
        raise TooFewPoints(
            f"{int(known.sum())} finished runs of the same data set, family and recipe were evaluated at {percent(share)} of their steps; "
            f"{_LEAST_RUNS} are needed",
            have=int(known.sum()),
            need=_LEAST_RUNS,
            hint="name shares in the file, evaluate_at: [0.25, 0.5, 0.75]; or finish more runs of other sizes and epochs",
        )
    end = by_law if relation is None else relation.interval(level).exp()
    assert end is not None
    return EndForecast(
        run=run,
        metric=metric,
        level=level,
        steps=steps,
        share=share,
        loss=loss,
        end=end,
        by="law" if relation is None else "curve" if law is None else "law-and-curve",
        by_law=by_law,
        law_inputs=() if law is None else law.axes,
        runs_used=len(peers),
        law_error=error,
        curve_error=float("nan") if relation is None else relation.error,
        now=_expected(peers, curves, metric, share, base, ahead, _ALARM),
        band=tuple(
            Then(float(at), found)
            for at in _SHARES
            if (found := _expected(peers, curves, metric, float(at), base, ahead, level)) is not None
        ),
    )


def law_of_end(runs: pd.DataFrame, run: str, *, metric: str = "val_loss", level: float = 0.95, bootstrap: int = 200) -> Fit | None:
    """Fit the law that `forecast_end` would fit for a run; None where there is none. It is the same for all runs of one recipe."""
    mine = runs[runs["id"] == run]
    return _law(_peers(runs, mine.iloc[0], metric), mine, metric, level, bootstrap)


def _peers(runs: pd.DataFrame, mine: pd.Series, metric: str) -> pd.DataFrame:
    """List the finished runs of the same data set, family and recipe, in an order that rows do not decide."""
    alike = (runs["status"] == RunStatus.FINISHED) & (runs["id"] != mine["id"]) & (runs[metric].astype(float) > 0)
    alike &= rehearsed(runs) == rehearsed(mine.to_frame().T).iloc[0]
    for name in _SAME:
        if name in runs:
            alike &= (runs[name] == mine[name]) | (runs[name].isna() & pd.isna(mine[name]))
    return runs[alike].sort_values("id", kind="stable").reset_index(drop=True)


def _law(peers: pd.DataFrame, mine: pd.DataFrame, metric: str, level: float, bootstrap: int) -> Fit | None:
    """Fit the forecast of the first inputs that allow one; None where none do."""
    for inputs in _INPUTS:
        if not all(name in mine and float(mine[name].iloc[0] or "nan") > 0 for name in inputs):
            continue
        with suppress(ScalingError):
            return fit(peers, metric=metric, x=inputs, law="auto", bootstrap=bootstrap, level=level)
    return None


def _newest(curve: Sequence[tuple[int, float]], steps: int, share: float) -> tuple[float, float]:
    """Return the share and the loss of the newest evaluation up to a share of the steps, which are whole."""
    until = int(np.ceil(share * steps - 1e-9))
    taken = [(step, loss) for step, loss in curve if 0 < step <= until and loss > 0 and np.isfinite(loss)]
    return (taken[-1][0] / steps, float(taken[-1][1])) if taken else (0.0, float("nan"))


def _at(peers: pd.DataFrame, curves: Curves, metric: str, share: float) -> np.ndarray:
    """Return the log of the held-out loss of each run at a share of its steps, (n,); NaN where it was first evaluated later."""
    found = np.full(len(peers), np.nan)
    if not share > 0:
        return found
    for row, (run, steps, final) in enumerate(zip(peers["id"], peers["steps"], peers[metric], strict=True)):
        taken = {step / steps: loss for step, loss in curves.get(run, ()) if 0 < step < steps and loss > 0} | {1.0: float(final)}
        shares = np.array(sorted(taken))
        # Our own trainer evaluates at the first step after a share: a step later in a short run is the same share.
        if shares[0] <= share + 1.5 / steps:
            found[row] = np.interp(np.log(share), np.log(shares), np.log([taken[at] for at in shares]))
    return found


def _cells(peers: pd.DataFrame) -> np.ndarray:
    names = [name for name in ("cell", "model", "params", "epochs", "examples_seen") if name in peers]
    return peers.groupby(names, dropna=False).ngroup().to_numpy()


def _expected(
    peers: pd.DataFrame, curves: Curves, metric: str, share: float, base: np.ndarray | None, ahead: np.ndarray | None, level: float
) -> Interval | None:
    """Return the held-out loss to expect at a share by what the law says of the end.

    It is None where too few runs tell, and of a run that the law says to end below or above all of them.
    """
    then = _at(peers, curves, metric, share)
    known = np.isfinite(then)
    if base is None or ahead is None or known.sum() < _LEAST_RUNS:
        return None
    if not base.min() <= ahead[0] <= base.max():  # early losses of a run beyond the others are no continuation of theirs
        return None
    return _Relation(base[known, None], then[known], _cells(peers)[known], ahead[:1]).interval(level).exp()


def _left_out(inputs: np.ndarray, wanted: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the errors of a straight relation for each cell, fitted to the others, (n,)."""
    design = np.column_stack([np.ones(len(inputs)), inputs])
    errors = np.empty(len(wanted))
    for cell in np.unique(cells):
        out = cells == cell
        theta = np.linalg.lstsq(design[~out], wanted[~out], rcond=None)[0]
        errors[out] = wanted[out] - design[out] @ theta
    return errors


class _Relation:
    """Fits a straight relation by least squares, and predicts one more run from it.

    Its scatter is the larger of what the fit leaves and of its errors at left-out cells, with as many degrees of freedom as the fit leaves.
    """

    def __init__(self, inputs: np.ndarray, wanted: np.ndarray, cells: np.ndarray, at: np.ndarray) -> None:
        design, place = np.column_stack([np.ones(len(inputs)), inputs]), np.append(1.0, at)
        theta = np.linalg.lstsq(design, wanted, rcond=None)[0]
        left = wanted - design @ theta
        self.freedom = max(1, len(wanted) - design.shape[1])
        self.error = float(np.sqrt(np.mean(_left_out(inputs, wanted, cells) ** 2)))
        scatter = max(float(np.sqrt(left @ left / self.freedom)), self.error)
        self.value = float(place @ theta)
        self.std = scatter * float(np.sqrt(1 + place @ np.linalg.pinv(design.T @ design) @ place))

    def interval(self, level: float) -> Interval:
        """Return the interval of one more run, in logarithms."""
        return Interval.around(self.value, t_quantile(0.5 + level / 2, self.freedom) * self.std)
