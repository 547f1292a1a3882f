"""`compute_optimal`: the best model size and epoch budget against compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.optimum.cells import grid_cells, grid_frontier, with_data
from analysis.optimum.envelope import envelope
from analysis.optimum.isocompute import isocompute
from analysis.optimum.noise import cell_noise
from analysis.optimum.path import Path, refused
from analysis.optimum.result import Optimum
from analysis.optimum.runnable import runnable_cells
from analysis.optimum.surface import Surface, fit_surface, surface_path
from scaling.errors import TooFewPoints, UnknownName, UsageError
from scaling.outcomes import OptimumStatus

__all__ = ["compute_optimal"]

_LEAST_SIZES, _LEAST_CELLS = 3, 6


def compute_optimal(
    runs: pd.DataFrame,
    *,
    metric: str = "val_loss",
    x: str = "core_hours",
    family: str | None = None,
    law: str | None = None,
    objective: str = "log",
    models: Mapping[str, float] | None = None,
    epochs: Sequence[float] | None = None,
    cell: Sequence[str] = (),
    bootstrap: int = 400,
    level: float = 0.95,
    seed: int = 0,
) -> Optimum:
    """The best size and epochs at each compute by a fitted surface, by the envelope of all cells and by slices of equal compute.

    Each approach says why when it refuses, above all when the optimum is not interior: when the best size is the smallest or largest
    that was tried, it may be beyond.

    Args:
        runs: one row a run, with `epochs` (else `examples_seen`), and `params` or `model`; `examples_seen` and `unique_examples` where known.
        family: whose runs, where the table has several.
        law: the surface, `chinchilla` or `data-constrained`; None: whichever leaves less.
        objective: by which it is fitted, see `analysis.fit`; `huber-log` bounds the pull of outliers.
        models, epochs: what can be run, name → size; those of the table when left out.
        bootstrap: draws behind the intervals.

    Raises:
        TooFewPoints: fewer than three sizes or six cells; says how many more.
        UsageError, DataError: several families; no epochs; no size.
    """
    if not 0 < level < 1:
        raise UsageError(f"level {level:g} is not between 0 and 1", hint="0.95 gives 95 % intervals")
    if family is not None:
        known = sorted(runs["family"].dropna().astype(str).unique()) if "family" in runs else []
        if family not in known:
            raise UnknownName("family", family, known)
        runs = runs[runs["family"] == family]
    found = grid_frontier(runs, metric=metric, x=x, cell=cell)
    cells = grid_cells(found)
    _require(len(cells.sizes), len(cells.x))
    noise = cell_noise(with_data(found)[0], found.runs, metric, x, cells.data_name)
    surface: Surface | None = None
    by_surface: Path
    try:
        surface = fit_surface(
            found.runs, cells, metric=metric, law=law, objective=objective, bootstrap=bootstrap, level=level, seed=seed
        )
        by_surface = surface_path(surface, x=x, level=level)
    except TooFewPoints as error:
        by_surface = refused("surface", OptimumStatus.TOO_FEW_POINTS, str(error))
    by_envelope = envelope(cells, noise, x=x, draws=bootstrap, level=level, seed=seed)
    by_slices = isocompute(cells, noise, x=x, draws=bootstrap, level=level, seed=seed)
    answer = Optimum(
        metric=metric,
        x=x,
        size_name=cells.size_name,
        data_name=cells.data_name,
        level=level,
        paths=(by_surface, by_envelope, by_slices),
        runnable=pd.DataFrame(),
        noise=noise,
        cells=len(cells.x),
        runs_used=len(found.runs),
        excluded=found.excluded,
    )
    best = answer.recommended
    if best is None:
        return answer
    names = np.where(cells.model == "", [f"{size:.3g}" for size in np.exp(cells.size)], cells.model)
    exist = models or dict(zip(names.tolist(), np.exp(cells.size).tolist(), strict=True))
    tried = sorted(set(np.exp(cells.epochs).round(9))) if cells.data_name == "epochs" else []
    budgets = tried if epochs is None else epochs
    table = runnable_cells(best, cells, surface if best is by_surface else None, x=x, models=exist, epochs=budgets)
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
