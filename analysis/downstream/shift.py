"""Whether the best model to fine-tune is another than the best pre-trained one, at equal pre-training compute."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.downstream.contrast import Contrast, contrast_of
from analysis.interval import Interval
from analysis.numbers import finite, records
from analysis.optimum.cells import GridCells, grid_cells, grid_frontier
from scaling.errors import ScalingError
from scaling.rounding import significant

__all__ = ["Shift", "shift_of"]


_OPEN = Interval(float("nan"), 0.0, float("inf"))


@dataclass(frozen=True, eq=False)
class Shift:
    """Holds how far the best size and epochs after fine-tuning lie from those before, at equal compute.

    family: of the models; empty where the table has none. identified: whether these runs say anything of it; `reason` says why not.
    size_ratio: best size downstream over best size upstream; epochs_ratio: likewise, of epochs or what else runs were trained on
    (`data_name`). An end is infinite where nothing bounds it, and the value NaN where it lies beyond the sizes that were fine-tuned.
    p_value: of no shift. would_show: the size ratio above 1 that such runs find with a probability of 80 %; NaN where unknown.
    cost: how much worse downstream the best size upstream is, in the unit of the metric, as a mean over the computes of `table`.
    table: a row a compute, both best sizes and epochs; NaN where one lies beyond the sizes that were fine-tuned.
    cells: pre-trained cells behind it; degree: of the two polynomials in log compute and log size.
    """

    family: str
    upstream: str
    downstream: str
    x: str
    level: float
    reason: str
    size_name: str = "params"
    data_name: str = "epochs"
    size_ratio: Interval = _OPEN
    epochs_ratio: Interval = _OPEN
    p_value: float = float("nan")
    would_show: float = float("nan")
    cost: Interval = _OPEN
    table: pd.DataFrame | None = None
    cells: int = 0
    degree: int = 0

    @property
    def identified(self) -> bool:
        """Say whether these runs tell anything of a shift."""
        return not self.reason

    @property
    def found(self) -> int:
        """Return 1 where larger models and fewer epochs are shown to be best after fine-tuning, −1 for smaller ones, 0 where neither is."""
        return int(self.size_ratio.low > 1) - int(self.size_ratio.high < 1)

    def sentence(self) -> str:
        """Write the answer in words."""
        of = f"Of {self.family}: " if self.family else ""
        if not self.identified:
            return f"{of}Whether the best size is another after fine-tuning is not identified: {self.reason}."
        assert self.table is not None
        low, high = (significant(float(end), 3) for end in (self.table[self.x].min(), self.table[self.x].max()))
        where = f"p = {significant(self.p_value, 2)}; {self.cells} cells, {low} … {high} {self.x}"
        size, epochs = _times(self.size_ratio), _times(self.epochs_ratio)
        if not self.found:
            shown = f"; a factor of {significant(self.would_show, 3)} would have shown" if math.isfinite(self.would_show) else ""
            return (
                f"{of}No evidence that fine-tuning moves the best size at equal {self.x}: after it, it is {size} that of the least {self.upstream}"
                f"{shown} ({where}). Choosing by {self.upstream} costs {self._cost()}."
            )
        larger, fewer = ("larger", "fewer") if self.found > 0 else ("smaller", "more")
        return (
            f"{of}After fine-tuning {larger} models and {fewer} {self.data_name.replace('_', ' ')} are best at equal {self.x}: {size} the size and "
            f"{epochs} the {self.data_name.replace('_', ' ')} of the least {self.upstream} ({where}). Choosing by {self.upstream} costs {self._cost()}."
        )

    def _cost(self) -> str:
        if not self.cost.bounded:
            return f"{significant(self.cost.low, 3)} of {self.downstream} or more, without a bound"
        return f"{self.cost.words()} of {self.downstream}"

    def to_dict(self) -> dict[str, object]:
        """Return the answer as JSON holds it."""
        return {
            "family": self.family or None,
            "identified": self.identified,
            "reason": self.reason or None,
            "sentence": self.sentence(),
            "size_name": self.size_name,
            "data_name": self.data_name,
            "size_ratio": self.size_ratio.to_dict(),
            "epochs_ratio": self.epochs_ratio.to_dict(),
            "p_value": finite(self.p_value),
            "would_show": finite(self.would_show),
            "cost": self.cost.to_dict(),
            "optima": [] if self.table is None else records(self.table),
            "cells": self.cells,
            "degree": self.degree,
        }


def shift_of(checkpoints: pd.DataFrame, *, upstream: str, downstream: str, x: str, level: float, family: str = "") -> Shift:
    """Find the shift between the optima of two metrics over the checkpoints of one family; see `analysis.downstream.contrast`.

    Args:
        checkpoints: a row a pre-trained cell, with `upstream`, `downstream` and x, and with epochs (else examples seen or steps) and
            params (else model). What costs how much is read off them, see `analysis.optimum.cost`.
        family: named in the answer.
    """
    named = {"family": family, "upstream": upstream, "downstream": downstream, "x": x, "level": level}
    try:
        cells = _cells(checkpoints, upstream, downstream, x)
    except ScalingError as error:
        return Shift(**named, reason=str(error))  # type: ignore[arg-type]
    found = contrast_of(cells.x, cells.size, cells.loss, cells.others[downstream], level=level)
    about = {"size_name": cells.size_name, "data_name": cells.data_name, "cells": len(cells.x), "degree": found.degree}
    if found.trouble:
        return Shift(**named, reason=found.trouble, **about)  # type: ignore[arg-type]
    return Shift(
        **named,  # type: ignore[arg-type]
        reason="",
        **about,  # type: ignore[arg-type]
        size_ratio=found.shift.exp(),
        epochs_ratio=_epochs_ratio(cells, found).exp(),
        p_value=found.p_value,
        would_show=math.exp(found.would_show),
        cost=found.cost,
        table=_optima(cells, found, x),
    )


def _cells(checkpoints: pd.DataFrame, upstream: str, downstream: str, x: str) -> GridCells:
    frontier = grid_frontier(checkpoints.rename(columns={"checkpoint": "id"}), metric=upstream, x=x)
    of_cell = frontier.runs.groupby("cell")[downstream].mean()
    points = frontier.points.assign(**{downstream: frontier.points["cell"].map(of_cell)})
    return grid_cells(type(frontier)(**{**vars(frontier), "points": points}), others=(downstream,))


def _epochs_ratio(cells: GridCells, found: Contrast) -> Interval:
    """Return the mean change of log epochs where log size changes by the shift, at equal compute: less with more size."""
    before = cells.cost.log_data(found.log_x, found.upstream)

    def change(shift: float) -> float:
        if not np.isfinite(shift):
            return -shift
        return float(np.mean(cells.cost.log_data(found.log_x, found.upstream + shift) - before))

    low, high = sorted((change(found.shift.low), change(found.shift.high)))
    return Interval(change(found.shift.value), low, high)


def _optima(cells: GridCells, found: Contrast, x: str) -> pd.DataFrame:
    columns = {x: np.exp(found.log_x)}
    for side, size in (("upstream", found.upstream), ("downstream", found.downstream)):
        columns |= {f"size_{side}": np.exp(size), f"{cells.data_name}_{side}": np.exp(cells.cost.log_data(found.log_x, size))}
    return pd.DataFrame(columns)


def _times(ratio: Interval) -> str:
    """Write a ratio as `1.35 (1.12 … 1.62) times`; `at least 1.4 times` where only one end is known."""
    if ratio.bounded and ratio.low > 0 and math.isfinite(ratio.value):
        return f"{ratio.words()} times"
    ends = [
        f"at least {significant(ratio.low, 3)}" if ratio.low > 0 else "",
        f"at most {significant(ratio.high, 3)}" if math.isfinite(ratio.high) else "",
    ]
    known = " and ".join(end for end in ends if end)
    value = f"{significant(ratio.value, 3)} times, " if math.isfinite(ratio.value) else ""
    return f"{value}{known} times"
