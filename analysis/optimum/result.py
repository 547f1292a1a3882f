"""What the runs say about the compute-optimal size and epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.as_csv import as_csv
from analysis.numbers import finite, records
from analysis.optimum.agreement import bent, disagreeing
from analysis.optimum.choice import ORDER, Choice
from analysis.optimum.noise import CellNoise
from analysis.optimum.path import Crossing, Path
from analysis.selection import Excluded, excluded_payload
from scaling.rounding import significant

if TYPE_CHECKING:
    from analysis.diagnostics import Diagnostic
    from analysis.optimum.whole_cost import WholeCost

__all__ = ["Optimum"]


@dataclass(frozen=True, eq=False)
class Optimum:
    """Holds the answers of three approaches to the best size and epochs at each compute.

    size_name: what `size` is: `params`, or `<x> an epoch` where the table has none.
    data_name: `epochs`, or `examples_seen` where the table has none.
    paths: `surface`, `envelope`, `isocompute`, each with a status. choice: why one of them is recommended.
    noise: of cells, behind the intervals.
    compute_scatter: standard deviation of the log compute of a cell about what such a model costs for such data.
    runnable: the recommended optimum in models and epoch budgets that exist; empty where no approach answers.
    notes: a sentence for each thing that was taken for granted. diagnostics: whether runs do no better than guessing.
    whole_cost: the size that costs least with fine-tuning and serving; None where that was not asked.
    """

    metric: str
    x: str
    size_name: str
    data_name: str
    level: float
    paths: tuple[Path, ...]
    choice: Choice
    runnable: pd.DataFrame
    noise: CellNoise
    compute_scatter: float
    cells: int
    runs_used: int
    excluded: tuple[Excluded, ...]
    notes: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    whole_cost: WholeCost | None = None

    def path(self, approach: str) -> Path:
        return next(path for path in self.paths if path.approach == approach)

    @property
    def recommended(self) -> Path | None:
        """Return the approach that `choice` picks of those that answer and are identified; None where there are none.

        There is one also where the approaches disagree.
        """
        says = [path.approach for path in self.paths if path.says]
        if not says:
            return None
        return self.path(self.choice.approach if self.choice.approach in says else next(name for name in ORDER if name in says))

    @property
    def disagree(self) -> tuple[Path, ...]:
        """Return the approaches that disagree with another beyond both intervals, see `analysis.optimum.agreement`."""
        apart = disagreeing(self.paths, self.x)
        return tuple(path for path in self.paths if path.approach in apart)

    @property
    def epochs_above_one(self) -> Crossing:
        """Return the compute above which more than one epoch pays, by the recommended approach, else by the first other that can say."""
        best = self.recommended
        if best is None:
            return Crossing(None, "no approach found an optimum")
        others = [path for path in self.paths if path.says and path is not best]
        return next((path.crossing for path in (best, *others) if path.crossing.at is not None), best.crossing)

    def disagreement(self) -> pd.DataFrame:
        """Tabulate what the approaches answer, a row a compute that at least two of them cover.

        The columns are `size_<approach>` and `epochs_<approach>` (or `examples_seen_…`), and `size_ratio` and `epochs_ratio`, the
        largest answer over the smallest.
        """
        answering = [path for path in self.paths if path.answers]
        ends = [(float(path.table[self.x].min()), float(path.table[self.x].max())) for path in answering]
        if len(answering) < 2:
            return pd.DataFrame()
        low, high = sorted(end[0] for end in ends)[1], sorted((end[1] for end in ends), reverse=True)[1]
        if high < low:
            return pd.DataFrame()
        at = np.geomspace(low, high, 5) if high > low else np.array([low])
        table = pd.DataFrame({self.x: at})
        for quantity in ("size", self.data_name):
            columns = {}
            for path, (start, stop) in zip(answering, ends, strict=True):
                values = np.exp(np.interp(np.log(at), np.log(path.table[self.x]), np.log(path.table[quantity])))
                columns[f"{quantity}_{path.approach}"] = np.where((at >= start * 0.999) & (at <= stop * 1.001), values, np.nan)
            found = pd.DataFrame(columns)
            table = pd.concat([table, found, (found.max(axis=1) / found.min(axis=1)).rename(f"{quantity}_ratio")], axis=1)
        return table

    def sentence(self) -> str:
        """Write the answer in words."""
        best = self.recommended
        if best is None or best.size_exponent is None or best.epochs_exponent is None:
            return (
                "No optimum is shown: " + "; ".join(f"{path.approach}: {path.reason}{_why_not(path)}" for path in self.paths) + "."
            )
        apart = self.disagreement()
        how_far = f"differ by up to {significant(float(apart['size_ratio'].max()), 2)}× in size" if len(apart) else ""
        if self.disagree:
            answers = ", ".join(f"{path.approach} {path.size_exponent.words()}" for path in self.disagree if path.size_exponent)
            differ = f" The approaches disagree beyond their intervals: {answers}{'; they ' + how_far if how_far else ''}. Build on none of them yet."
        else:
            differ = f" The approaches {how_far}." if how_far else ""
        curved = bent(self.paths)
        if curved is not None and curved.end_exponents is not None:
            low, high = (end.words() for end in curved.end_exponents)
            differ = (
                f" But the exponent changes along {self.x}, from {low} at the smallest to {high} at the largest ({curved.approach}): do not carry "
                f"the mean beyond them.{differ}"
            )
        size, epochs = best.size_exponent, best.epochs_exponent
        same = " They grow at about the same rate." if all(0.3 < end.low < 0.5 < end.high < 0.7 for end in (size, epochs)) else ""
        above = self.epochs_above_one
        pays = (
            ""
            if self.data_name != "epochs"
            else f" More than one epoch pays above {above.at.words()} {self.x}."
            if above.at
            else f" Above which {self.x} epochs > 1 pay is not determined: {above.reason}."
        )
        return f"Best size grows as {self.x}^{size.words()}, best {self.data_name.replace('_', ' ')} as {self.x}^{epochs.words()} ({best.approach}).{same}{pays}{differ}"

    def to_dict(self) -> dict[str, object]:
        """Return the answers as JSON holds them, without `schema_version`."""
        best = self.recommended
        return {
            "metric": self.metric,
            "x": self.x,
            "size": self.size_name,
            "data": self.data_name,
            "level": self.level,
            "sentence": self.sentence(),
            "recommended": best.approach if best else None,
            "choice": self.choice.to_dict(),
            "disagree": [path.approach for path in self.disagree],
            "approaches": [path.to_dict() for path in self.paths],
            "epochs_above_one": self.epochs_above_one.to_dict(),
            "disagreement": records(self.disagreement()),
            "runnable": records(self.runnable),
            "whole_cost": None if self.whole_cost is None else self.whole_cost.to_dict(),
            "noise": {"cell_std": finite(self.noise.cell), "seed_std": finite(self.noise.seeds), "source": self.noise.source},
            "compute_std": finite(self.compute_scatter),
            "cells_used": self.cells,
            "runs_used": self.runs_used,
            "excluded": excluded_payload(self.excluded),
            "notes": list(self.notes),
            "diagnostics": [diagnostic.to_dict() for diagnostic in self.diagnostics],
        }

    def to_csv(self) -> str:
        """Write the optima of all approaches as CSV, one row an approach and compute."""
        tables = [path.table.assign(approach=path.approach) for path in self.paths if len(path.table)]
        table = (
            pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[self.x, "size", self.data_name, "approach"])
        )
        return as_csv(table[["approach", *(name for name in table if name != "approach")]])


def _why_not(path: Path) -> str:
    return f" ({path.status.value})" if path.answers else ""
