"""The compute-optimal frontier: the cells that no other cell beats with as little or less compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.as_csv import as_csv
from analysis.cells import cells_of
from analysis.constant import once_a_table
from analysis.diagnostics import Diagnostic, at_chance
from analysis.direction import rising_note
from analysis.numbers import finite, records, with_interval
from analysis.reading.prices import currency_of
from analysis.selection import Excluded, excluded_payload
from analysis.unfinished import takes_runs
from scaling.errors import UsageError

if TYPE_CHECKING:
    from analysis.optimum.regret import Regret
    from analysis.reference_points.beside import References
    from analysis.sentence import Answer

__all__ = ["Frontier", "frontier", "pareto_mask"]


@dataclass(frozen=True, eq=False)
class Frontier:
    """Holds the cells in order of compute, and which of them are compute-optimal.

    `points`: one row a cell, in these columns:
    - `family`, `model`, `epochs`, `params` and `learning_rate` where the table has them, and `seeds` (how many runs);
    - the means over seeds under the names of `x` and `metric`, `<metric>_min` and `<metric>_max`, and of `cost` where prices are known;
    - `on_frontier` and `run_ids`.
    `runs`: the runs behind the points. `excluded`: every other run, with its reason. `cell_columns`: what told the cells apart.
    `notes`: a sentence for each thing that was taken for granted.
    """

    metric: str
    x: str
    points: pd.DataFrame
    runs: pd.DataFrame
    excluded: tuple[Excluded, ...]
    cell_columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return a diagnostic where runs do no better than guessing, see `analysis.diagnostics`."""
        return tuple(at_chance(self.runs, self.metric))

    @cached_property
    def currency(self) -> str | None:
        """Return the label of `cost` in the points; None where there is none, or runs have several."""
        return currency_of(self.runs)

    @property
    def on_frontier(self) -> pd.DataFrame:
        """Return the compute-optimal rows of `points`, in order of compute."""
        return self.points[self.points["on_frontier"]].reset_index(drop=True)

    @property
    def frontier_runs(self) -> pd.DataFrame:
        """Return the runs (every seed) of the compute-optimal cells."""
        cells = self.points.loc[self.points["on_frontier"], "cell"]
        return self.runs[self.runs["cell"].isin(cells)]

    def best(self) -> pd.DataFrame:
        """List the best model and best epochs against compute, in steps: a row holds from `<x>_from` until, not including, `<x>_to`.

        Where prices are known, `cost` is what the cell of the row costs. The last row has no `<x>_to` (NaN): nothing larger was run.
        """
        steps = self.on_frontier
        implied = ("examples_seen", "unique_examples") if "epochs" in steps else ()
        others = (name for name in self.cell_columns if name in steps and name not in implied)
        settings = ("family", "model", "params", "epochs", *others)
        named = [name for name in (*settings, "learning_rate", "seeds", self.metric) if name in steps and name != self.x]
        table = steps[list(dict.fromkeys(named))].copy()
        table.insert(0, f"{self.x}_from", steps[self.x])
        table.insert(1, f"{self.x}_to", steps[self.x].shift(-1))
        if "cost" in steps and self.x != "cost":
            table.insert(2, "cost", steps["cost"])
        return table

    def to_dict(
        self,
        *,
        band: pd.DataFrame | None = None,
        answer: Answer | None = None,
        references: References | None = None,
        regret: Regret | None = None,
    ) -> dict[str, Any]:
        """Return the frontier as JSON holds it, without `schema_version`.

        band: of `analysis.frontier_band`: each point then has `best_loss` and `frontier_share`. The former is value, low, high of the
        lowest metric at that compute or less.
        answer: what the law of these runs says, None where there is no law; then there is no `headline`, which is both in words.
        regret: what the best cell costs at most against the best of its compute, of `analysis.regret`.
        references: results of others beside it, `analysis.reference_points`; without, there are no `reference_points`.
        """
        from analysis.headline import headline

        points = records(self.points.drop(columns="cell"))
        if band is not None:
            columns = (band[name] for name in ("best", "best_low", "best_high", "frontier_share"))
            for point, best, low, high, share in zip(points, *columns, strict=True):
                point |= {"best_loss": with_interval(best, low, high), "frontier_share": finite(share)}
        return {
            "headline": None if answer is None else headline(answer, regret),
            "answer": None if answer is None else answer.to_dict(),
            "regret": None if regret is None else regret.to_dict(),
            "metric": self.metric,
            "x": self.x,
            "currency": self.currency,
            "points": points,
            "best": records(self.best()),
            "runs_used": len(self.runs),
            "cell_columns": list(self.cell_columns),
            "notes": list(self.notes),
            "diagnostics": [diagnostic.to_dict() for diagnostic in self.diagnostics],
            "excluded": excluded_payload(self.excluded),
            **({} if references is None else {"reference_points": references.to_list(), "reference_notes": list(references.notes)}),
        }

    def to_csv(self, band: pd.DataFrame | None = None) -> str:
        """Write `points` as CSV; the run ids of a cell are joined by spaces.

        With a `band`, of `analysis.frontier_band`, its columns as well.
        """
        table = (self.points if band is None else band).drop(columns="cell")
        return as_csv(table)


@takes_runs
@once_a_table
def frontier(runs: pd.DataFrame, *, metric: str = "val_loss", x: str = "core_hours", cell: Sequence[str] = ()) -> Frontier:
    """Find the compute-optimal frontier of a table of runs.

    A point is a cell, not a run. First each cell's learning rate is chosen by the mean of `metric` over seeds. The point is then the
    mean over the seeds at that rate, in `x` and in `metric`. Taking single runs instead would make a frontier of lucky seeds, too low
    by about the seed noise. A point is on the frontier when no other has as low a `metric` at as small an `x`.

    >>> found = scaling.frontier(runs, x="train_flops")
    >>> len(found.points), found.best()["model"].iloc[-1]
    (24, 'w48')

    Args:
        runs: one row a run, columns as in `scaling.columns`. Needs `metric` and `x`; uses `family`, `model`, `epochs`, `learning_rate`,
            `seed`, `params`, `status`, `accelerator` and `dataset` where they are there.
        metric: what should be low, in its own unit (`val_loss`: nats).
        x: what it costs (`core_hours`, `train_flops`, …).
        cell: columns that tell cells apart besides the settings of `analysis.design_columns`.

    Raises:
        TooFewPoints: no run is usable.
        UsageError: the runs are of several studies, see `refuse_mixed_studies`; and what `usable_runs` raises.
    """
    if not isinstance(x, str):
        raise UsageError(f"the frontier is one of compute, not of {' and '.join(x)}", hint="choose one column: --x core_hours")
    found = cells_of(runs, metric=metric, x=x, cell=cell)
    points = _points(found.runs, metric, x, found.columns)
    rising = rising_note(metric, x, points)
    return Frontier(metric, x, points, found.runs, found.excluded, found.columns, found.notes + rising)


def pareto_mask(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mark the points (n,) for which no other point has both x and y as low or lower. Of equal points the first counts. O(n log n)."""
    order = np.lexsort((y, x))
    lowest_before = np.concatenate(([np.inf], np.minimum.accumulate(y[order])[:-1]))
    mask = np.zeros(len(x), dtype=bool)
    mask[order] = y[order] < lowest_before
    return mask


def _points(runs: pd.DataFrame, metric: str, x: str, cell_columns: Sequence[str]) -> pd.DataFrame:
    groups = runs.groupby("cell", sort=True)
    named = ("family", "model", "params", "epochs", "learning_rate", *(name for name in cell_columns if runs[name].nunique() > 1))
    described = [name for name in dict.fromkeys(named) if name in runs and name not in (metric, x)]
    whole = [name for name in described if runs[name].notna().all()]
    first = runs.loc[~runs["cell"].duplicated(), ["cell", *whole]].set_index("cell").sort_index()
    columns: dict[str, Any] = {name: first[name] if name in whole else groups[name].first() for name in described}
    columns["seeds"] = groups.size()
    columns[x] = groups[x].mean()
    if x != "cost" and currency_of(runs) is not None:
        columns["cost"] = groups["cost"].mean()
    columns[metric] = groups[metric].mean()
    columns[f"{metric}_min"] = groups[metric].min()
    columns[f"{metric}_max"] = groups[metric].max()
    order = np.argsort(runs["cell"].to_numpy(), kind="stable")  # not `agg(list)`: 1e5 cells would take ten seconds
    starts = np.cumsum(columns["seeds"].to_numpy())[:-1]
    ids = [part.tolist() for part in np.split(runs["id"].to_numpy(object)[order], starts)]
    columns["run_ids"] = pd.Series(ids, index=columns["seeds"].index)
    points = pd.DataFrame(columns).reset_index()
    points["on_frontier"] = pareto_mask(points[x].to_numpy(), points[metric].to_numpy())
    return points.sort_values([x, metric], kind="stable").reset_index(drop=True)
