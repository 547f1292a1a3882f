"""`compute_optimal`: the best model size and epoch budget against compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.interval import check_level
from analysis.laws.constrained import Pins, Ties
from analysis.optimum.agreement import with_bend, with_disagreement
from analysis.optimum.cells import grid_cells, grid_frontier
from analysis.optimum.choice import choose_approach
from analysis.optimum.envelope import envelope
from analysis.optimum.isocompute import isocompute
from analysis.optimum.noise import grid_draws, grid_noise
from analysis.optimum.path import refused
from analysis.optimum.result import Optimum
from analysis.optimum.runnable import runnable_cells
from analysis.optimum.surface import Surface, fit_surface, surface_path, weighed_surface
from analysis.optimum.whole_cost import SERVE_SHARE, Demand, whole_cost
from analysis.reading.prices import currency_of
from analysis.unfinished import takes_runs
from scaling.errors import TooFewPoints, UnknownName, UsageError
from scaling.outcomes import OptimumStatus

__all__ = ["compute_optimal"]

_LEAST_SIZES, _LEAST_CELLS = 3, 6
_NO_COMPUTE = ("params", "examples_seen", "unique_examples", "epochs")


@takes_runs
def compute_optimal(
    runs: pd.DataFrame,
    *,
    metric: str = "val_loss",
    x: str = "core_hours",
    family: str | None = None,
    law: str | None = None,
    pin: Pins = (),
    tie: Ties = (),
    objective: str = "log",
    models: Mapping[str, float] | None = None,
    epochs: Sequence[float] | None = None,
    cell: Sequence[str] = (),
    bootstrap: int = 400,
    level: float = 0.95,
    seed: int = 0,
    serve: float = 0.0,
    finetune: float = 0.0,
    target_loss: float | None = None,
    budget: float | None = None,
    serve_share: float = SERVE_SHARE,
) -> Optimum:
    """Find the best size and epochs at each compute by a fitted surface, by the envelope of all cells and by slices of equal compute.

    >>> best = scaling.optimum(runs, x="train_flops", bootstrap=100)
    >>> print(best.sentence())
    Best size grows as train_flops^0.6... (surface)...

    Each approach says why when it refuses, above all when the optimum is not interior: when the best size is the smallest or largest
    that was tried, it may be beyond.

    The headline is the approach that forecasts the larger budgets best from the smaller ones, see `choose_approach`; with too few
    budgets for that, the first that answers of surface, isocompute, envelope. Where approaches disagree beyond their intervals, the
    headline says so and neither is called ok. Nor is any where the slices show that the exponent changes along compute: the status is
    `bent`, and `Path.end_exponents` has it at both ends.

    Measured compute is noisy, so that it is never looked up run by run. What a model of some size costs is a smooth relation, fitted to
    all runs (`analysis.optimum.cost`). Its error is part of every interval.

    Args:
        runs: one row a run, with `epochs` (else `examples_seen`), and `params` or `model`; `examples_seen` and `unique_examples` where
            known.
        family: whose runs, where the table has several.
        law: the surface; None: of `chinchilla` and, with repeated epochs, `data-constrained` the one that forecasts the larger runs best.
        pin, tie: of a surface that is named, see `analysis.fit`.
        objective: by which it is fitted, see `analysis.fit`; `huber-log` bounds the pull of outliers.
        models, epochs: what can be run, name → size; those of the table when left out.
        bootstrap: draws behind the intervals.
        serve, finetune, target_loss, budget, serve_share: what the model is for, see `analysis.optimum.whole_cost.Demand`. Where any of the
            first four is given, `Optimum.whole_cost` is the size that costs least in all.

    Raises:
        TooFewPoints: fewer than three sizes or six cells; says how many more.
        UsageError, DataError: several families; no epochs; no size.
    """
    check_level(level)
    demand = Demand(serve, finetune, target_loss, budget, serve_share)
    if x in _NO_COMPUTE:
        raise UsageError(f"{x} is no compute: the best size is sought at each compute", hint="--x core_hours, or --x train_flops")
    if family is not None:
        known = sorted(runs["family"].dropna().astype(str).unique()) if "family" in runs else []
        if family not in known:
            raise UnknownName("family", family, known)
        runs = runs[runs["family"] == family]
    found = grid_frontier(runs, metric=metric, x=x, cell=cell)
    cells = grid_cells(found)
    _require(len(cells.sizes), len(cells.x))
    surface: Surface | None = None
    fault = ""
    try:
        surface = fit_surface(
            found.runs,
            cells,
            metric=metric,
            law=law,
            pin=pin,
            tie=tie,
            objective=objective,
            bootstrap=bootstrap,
            level=level,
            seed=seed,
        )
    except TooFewPoints as error:
        fault = str(error)
    noise = grid_noise(cells, found.runs, metric, *(surface.scatter() if surface else (float("nan"), 0)))
    moved = grid_draws(cells, noise, draws=bootstrap, level=level, seed=seed)
    by_surface = (
        surface_path(surface, x=x, level=level, seed=seed, noise=noise.cell)
        if surface
        else refused("surface", OptimumStatus.TOO_FEW_POINTS, fault)
    )
    by_envelope = envelope(cells, noise, moved, x=x, level=level, seed=seed)
    by_slices = isocompute(cells, noise, moved, x=x, level=level, seed=seed)
    paths = with_bend(with_disagreement((by_surface, by_envelope, by_slices), x))
    answering = [path.approach for path in paths if path.says]
    choice = choose_approach(
        cells, moved, answering, noise=noise.cell, law=surface.fit.form if surface else None, objective=objective
    )
    whole = None
    if demand.is_asked:
        weighed = weighed_surface(
            found.runs, cells, metric=metric, objective=objective, bootstrap=bootstrap, level=level, seed=seed
        )
        currency = currency_of(found.runs)
        whole = whole_cost(weighed, cells, demand, x=x, currency=currency, noise=noise.cell, level=level, seed=seed)
    answer = Optimum(
        metric=metric,
        x=x,
        size_name=cells.size_name,
        data_name=cells.data_name,
        level=level,
        paths=paths,
        choice=choice,
        runnable=pd.DataFrame(),
        noise=noise,
        compute_scatter=cells.cost.scatter,
        cells=len(cells.x),
        runs_used=len(found.runs),
        excluded=found.excluded,
        notes=(*found.notes, *([cells.data_note] if cells.data_note else [])),
        diagnostics=found.diagnostics,
        whole_cost=whole,
    )
    best = answer.recommended
    if best is None:
        return answer
    names = np.where(cells.model == "", [f"{size:.3g}" for size in np.exp(cells.size)], cells.model)
    exist = models or dict(zip(names.tolist(), np.exp(cells.size).tolist(), strict=True))
    tried = sorted(set(np.exp(cells.data).round(9))) if cells.data_name == "epochs" else []
    budgets = tried if epochs is None else epochs
    table = runnable_cells(best, cells, surface if best.approach == "surface" else None, x=x, models=exist, epochs=budgets)
    return Optimum(**{**answer.__dict__, "runnable": table})


def _require(sizes: int, cells: int) -> None:
    if sizes >= _LEAST_SIZES and cells >= _LEAST_CELLS:
        return
    more = max(_LEAST_SIZES - sizes, 0)
    what = (
        f"{more} more size{'s' if more > 1 else ''}"
        if more
        else f"{_LEAST_CELLS - cells} more cell{'' if cells == _LEAST_CELLS - 1 else 's'}"
    )
    raise TooFewPoints(
        f"an optimum of size and epochs needs {_LEAST_SIZES} sizes and {_LEAST_CELLS} cells; there are {sizes} and {cells}: {what} needed",
        have=min(sizes, cells),
        need=_LEAST_SIZES if more else _LEAST_CELLS,
        hint="add models and epoch budgets to the file and `scaling submit` it again",
    )
