"""`learning_rate_trend`: one fit over all cells that tried several learning rates."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.design_columns import alike
from analysis.fitting.estimate import Precision
from analysis.fitting.shared_parabola import Curves, SharedParabola, is_identified, shared_parabola
from analysis.interval import check_level
from analysis.learning_rate.besides import setting_trends
from analysis.learning_rate.grids import Grids, learning_rate_grids
from analysis.learning_rate.law import TERMS, RateLaw, lines_of
from analysis.learning_rate.monotone import cell_minima, monotonicity_p_value, scatter_about_law
from analysis.learning_rate.trend import Exponent, LearningRateTrend
from analysis.unfinished import takes_runs
from scaling.errors import DataError, TooFewPoints
from scaling.outcomes import FitStatus
from scaling.rounding import significant

__all__ = ["learning_rate_trend"]

_BUDGETS_FOR_A_DIFFERENCE = 3
"""Epoch budgets that two sizes must have before their exponents are told apart: two make an exponent of any noise."""


@takes_runs
def learning_rate_trend(runs: pd.DataFrame, *, metric: str = "val_loss", level: float = 0.95) -> LearningRateTrend:
    """Fit the metric of every cell by a parabola in the log of the learning rate, with one law for where the minima lie.

        log metric = log L*(cell) + κ·(log rate − log rate*(cell))²
        log rate*(cell) = log c − s·log epochs − t·log(N/N0) − u·log epochs·log(N/N0)

    N: parameters of the model, N0: the geometric mean over models. κ, s, t and u are shared by all cells and c by a family. u > 0 says that
    the best rate of larger models falls faster with epochs. Where the table has no `params`, or models of one size alone, each model has a
    c of its own, and t and u are left out. An exponent that the cells do not tell (t: one size; u: fewer than two sizes of three budgets
    each) is left out as well.

    >>> trend = scaling.learning_rate_trend(runs)
    >>> trend.status.value, bool(trend.exponents["s"].low > 0)
    ('ok', True)

    Multiplied out, the model is linear in κ, κ·log c, κ·s … and a constant for each cell. So one linear least squares gives the global
    optimum. A cell with two rates says where its parabola lies, since others say how curved it is. The parabola is of the metric's log: a
    wrong rate costs a share of the loss, so that one κ can serve a cell whose loss is 1 and one whose loss is 0.05.

    Exponents, c and the optima are ratios of coefficients, and their intervals are Fieller's. Of eight cells or more the covariance takes
    the runs of a cell to err together (`analysis.fitting.cluster`), since a cell's parabola may be off as a whole. Fewer cells take runs as
    independent, and their intervals are then somewhat too narrow. They take the parabola as true: near the optimum it is, rates far from it
    bend it.

    Where cells tried several weight decays or batch sizes, the rates are those at the best one, and `besides` has its own trend by the same
    estimator.

    Diverged runs say "too high": they are listed in `excluded`, and close the upper side of their cell's grid.

    Args:
        runs: one row a run with `epochs`, `learning_rate` and `metric`, and with `family`, `model`, `params`, `seed` and `status` where
            there are any.
        metric: what should be low.
        level: nominal coverage of the intervals.

    Raises:
        TooFewPoints: fewer than two epoch budgets of a model with two finished learning rates, or none with three; says how many more.
        DataError: the parabola opens downwards, so there is no optimum inside the grids.
        UsageError: no such column, or runs of several studies: see `analysis.frontier`.
    """
    check_level(level)
    grids = learning_rate_grids(runs, metric)
    cells = grids.cells
    curves = Curves(
        np.log(grids.runs["learning_rate"].to_numpy(float)),
        np.log(grids.runs[metric].to_numpy(float)),
        grids.runs["cell"].to_numpy(),
    )
    law = _law(curves, cells)
    rows = law.rows(cells)
    parabola = shared_parabola(curves, rows, precision=Precision(level=level))
    if parabola.curvature <= 0:
        raise DataError(
            f"{metric} does not rise away from a learning rate (κ = {significant(parabola.curvature, 3)}): no best one lies inside these grids",
            hint="try lower and higher learning rates: in an experiments file widen `learning_rate: {grid: […]}` and `scaling submit` it again",
        )
    minima = cell_minima(curves)
    log_optima = np.array([parabola.minimum_at(row) for row in rows])
    exponents = {term: _exponent(parabola, law.term_row(term)) for term in law.terms}
    slope = exponents["s"]
    optima = np.exp(log_optima)
    return LearningRateTrend(
        metric=metric,
        law=law,
        exponents=exponents,
        curvature=parabola.curvature,
        status=FitStatus.EXPONENT_NOT_IDENTIFIED if slope.low <= 0 <= slope.high else FitStatus.OK,
        monotone_p_value=float("nan") if minima is None else monotonicity_p_value(minima, _below(law, grids)),
        models=_models(parabola, law, cells),
        optima=cells[["family", "model", "epochs", *grids.settings]].assign(
            learning_rate=optima[:, 0], low=optima[:, 1], high=optima[:, 2], **cells[["best_tried", "rates", "at_edge"]]
        ),
        points=_points(grids, metric, optima[:, 0], parabola.curvature),
        residual_std=parabola.residual_std,
        cell_std=float("nan") if minima is None else scatter_about_law(minima, log_optima[:, 0], rows.shape[1]),
        level=level,
        excluded=grids.excluded,
        parabola=parabola,
        settings=grids.settings,
        notes=grids.notes + _settings_note(law, grids),
        besides=setting_trends(grids, metric, level=level),
    )


def _law(curves: Curves, cells: pd.DataFrame) -> RateLaw:
    """Return the law with every term that these cells determine. Raises `TooFewPoints` where they do not determine s."""
    lines, reference = lines_of(cells)
    law = RateLaw(lines, (), reference)
    budgets = cells.groupby("params")["epochs"].nunique()
    for term in TERMS if reference is not None else TERMS[:1]:
        if term == "u" and int((budgets >= _BUDGETS_FOR_A_DIFFERENCE).sum()) < 2:
            continue
        wider = law.with_terms(*law.terms, term)
        if is_identified(curves, wider.rows(cells)):
            law = wider
    if "s" not in law.terms:
        raise TooFewPoints(
            f"the {len(curves.u)} runs are just as many as the law has coefficients: 1 more is needed in a cell of two rates or more",
            have=len(curves.u),
            need=len(curves.u) + 1,
            hint="add rows at other learning rates, or another seed",
        )
    return law


def _line_numbers(law: RateLaw, cells: pd.DataFrame) -> np.ndarray:
    return np.array(
        [law.lines.index(law.line_of(family, model)) for family, model in zip(cells["family"], cells["model"], strict=True)]
    )


def _settings_note(law: RateLaw, grids: Grids) -> tuple[str, ...]:
    """Say which settings differ between cells of one line of the law.

    What they do to the best rate counts as scatter, or as epochs and size.
    """
    lines = _line_numbers(law, grids.cells)
    mixed = [name for name in grids.settings if (alike(grids.cells, [name]).groupby(lines).nunique() > 1).any()]
    if not mixed:
        return ()
    differ = "differs" if len(mixed) == 1 else "differ"
    return (
        f"{', '.join(mixed)} {differ} between cells, and the law of the best rate has no term for it; --where {mixed[0]}=VALUE chooses one",
    )


def _below(law: RateLaw, grids: Grids) -> np.ndarray:
    """Say whether the row's cell lies below the column's, (cells, cells).

    It does if it is another cell of the same settings with no more epochs and no larger a model. Without sizes in the law, cells of one
    model are compared alone.
    """
    cells = grids.cells
    line = alike(cells.assign(line=_line_numbers(law, cells)), ["line", *grids.settings]).to_numpy()
    epochs = cells["epochs"].to_numpy(float)
    size = cells["params"].to_numpy(float) if law.reference_params is not None else np.ones(len(cells))
    no_more = (epochs[:, None] <= epochs) & (size[:, None] <= size) & (line[:, None] == line)
    return no_more & ~no_more.T


def _exponent(parabola: SharedParabola, row: np.ndarray) -> Exponent:
    return Exponent(*parabola.minimum_at(row), parabola.p_value(row))


def _models(parabola: SharedParabola, law: RateLaw, cells: pd.DataFrame) -> pd.DataFrame:
    models = cells[["family", "model", "params"]].drop_duplicates(["family", "model"]).reset_index(drop=True)
    named = list(zip(models["family"], models["model"], models["params"], strict=True))
    c = np.exp([parabola.minimum_at(law.row(law.line_of(family, model), 1.0, params)) for family, model, params in named])
    slope = np.array([parabola.minimum_at(law.slope_row(params)) for _, _, params in named])
    return models.assign(c=c[:, 0], c_low=c[:, 1], c_high=c[:, 2], slope=slope[:, 0], slope_low=slope[:, 1], slope_high=slope[:, 2])


def _points(grids: Grids, metric: str, optimum: np.ndarray, curvature: float) -> pd.DataFrame:
    runs = grids.runs
    named = [name for name in ("id", "family", "model", "epochs", "seed", "learning_rate", metric) if name in runs]
    off = np.log(runs["learning_rate"].to_numpy(float) / optimum[runs["cell"].to_numpy()])
    log_metric = np.log(runs[metric])
    lowest = (log_metric - curvature * off**2).groupby(runs["cell"]).transform("mean")
    points = runs[named].assign(excess=np.expm1(log_metric - lowest), doublings=off / np.log(2))
    return points.sort_values(["family", "model", "epochs", "learning_rate", "id"]).reset_index(drop=True)
