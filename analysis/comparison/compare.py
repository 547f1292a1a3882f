"""`compare`: two families or recipes at equal compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.comparison.arms import Arm, split_arms
from analysis.comparison.coordinates import Layout, larger_with_second, layout_of, lowest_half, near_frontier, with_sizes
from analysis.comparison.difference import Difference
from analysis.comparison.edges import edges_of_cells, edges_of_surface, fair_difference
from analysis.comparison.joint import LEAST_CELLS, has_surface, joint_difference, near_shared, shared_range
from analysis.comparison.paired import LEAST_PAIRS, PAIRS_FOR_A_SURFACE, paired_difference
from analysis.comparison.pairing import pair_cells, stand_for_both
from analysis.comparison.recipe import with_recipe
from analysis.comparison.result import Comparison, UnequalRates
from analysis.comparison.searches import equal_number, more_searched
from analysis.design_columns import RECIPE
from analysis.diagnostics import at_chance
from analysis.direction import refuse_rising
from analysis.interval import check_level
from analysis.listing import and_listed
from analysis.reading.prices import currency_of
from analysis.selection import Excluded
from analysis.unfinished import takes_runs

__all__ = ["compare"]


@takes_runs
def compare(
    runs: pd.DataFrame,
    *,
    by: str = "family",
    a: str | None = None,
    b: str | None = None,
    metric: str = "val_loss",
    x: str = "core_hours",
    cell: Sequence[str] = (),
    level: float = 0.95,
) -> Comparison:
    """Compare two sides of column `by` at equal compute, each at its best cell.

    >>> scaling.compare(runs, by="model", a="w8", b="w32").better
    'w32'

    Whatever the design, the answer is the difference of the two sides' frontiers at equal compute, read off smooth fits. The side that is
    better at the largest shared compute is the better one. Where the frontiers cross is said with an interval.

    Cells that share a budget (equal epochs, compute within 8 %) are paired, so that what both share cancels. Where pairs do not stand for
    both sides, all cells are fitted jointly by one smooth shape that is shifted between the sides. What tells the cells of one compute
    apart is the epochs, else the examples seen, else the params. Where nothing does, only cells count that no other of their side beats,
    since the others would pull a fit away from the frontier. A cell stands at its best learning rate, the mean over its seeds, and counts
    once.

    Compute is left out at which one side is best at the edge of the sizes that it tried, while the other gains beyond it
    (`analysis.comparison.edges`). Where the sides tried unlike numbers of learning rates, as many count in each cell of both. They are
    those nearest to the rate that the other cells of its side point to (`analysis.comparison.searches`).

    Args:
        runs: one row a run, columns as in `scaling.columns`.
        by: any column, or `recipe`: all settings of how runs were trained in which they differ. a, b: two of its values; may be left out when it has exactly two.
        metric: what should be low. x: what it costs.
        cell: columns that tell the cells of a side apart besides its settings, see `analysis.frontier`.
        level: nominal coverage of the intervals.

    Raises:
        UsageError, UnknownName: see `split_arms`.
        DataError: the metric rises with compute on both sides.
        TooFewPoints: too few shared budgets and too few cells; says how many more.
    """
    check_level(level)
    runs = with_recipe(runs, by)
    first, second, left_out = split_arms(runs, by=by, names=(a, b), metric=metric, x=x, cell=cell)
    refuse_rising(metric, x, [(arm.cells["log_x"].to_numpy(), arm.cells["log_metric"].to_numpy()) for arm in (first, second)], runs)
    ask = _Ask(by, metric, x, level)
    searched = more_searched(first.cells, second.cells)
    if searched is None:
        return _compared(first, second, ask, left_out)
    count = equal_number(first.cells, second.cells)
    fair = [arm.with_rates(count, cell) for arm in (first, second)]
    found = _compared(fair[0], fair[1], ask, left_out)
    rates = UnequalRates(searched, count, _usual_rates(first), _usual_rates(second))
    fewer = (found.b, found.a)[searched]
    if found.better == fewer and _compared(first, second, ask, left_out).better != fewer:
        rates = replace(rates, decide=True)
    return replace(found, rates=rates)


@dataclass(frozen=True)
class _Ask:
    """Holds what is compared by what (`metric` at equal `x`, sides of column `by`), and the level of the intervals."""

    by: str
    metric: str
    x: str
    level: float


def _compared(first: Arm, second: Arm, ask: _Ask, left_out: tuple[Excluded, ...]) -> Comparison:
    """Compare both sides with the cells that they have, each at the learning rate that was chosen for it."""
    chosen = _choose(first.cells, second.cells, ask.x)
    table = _pair_table if chosen.paired else _cell_table
    return Comparison(
        by=ask.by,
        a=first.name,
        b=second.name,
        metric=ask.metric,
        x=ask.x,
        level=ask.level,
        found=chosen.estimate(),
        budgets=table(chosen.a, chosen.b, (ask.by, first.name, second.name), ask.metric, ask.x),
        runs_used=int(chosen.a["seeds"].sum() + chosen.b["seeds"].sum()),
        notes=_notes(first, second, ask.by),
        currency=currency_of(pd.concat([first.frontier.runs, second.frontier.runs], ignore_index=True)),
        diagnostics=tuple(at_chance(pd.concat([first.frontier.runs, second.frontier.runs], ignore_index=True), ask.metric)),
        excluded=left_out
        + first.excluded
        + second.excluded
        + _passed_over(first, chosen.a, chosen.why_not)
        + _passed_over(second, chosen.b, chosen.why_not),
    )


def _usual_rates(arm: Arm) -> float:
    """Return the mean number of learning rates that a cell of a side tried."""
    return float(arm.cells["rates_tried"].mean())


@dataclass(frozen=True, eq=False)
class _Chosen:
    """Holds the cells of both sides that count, in pairs if `paired`.

    why_not: what the others lack. tried: all cells, with their sizes where known. larger: see `edges_of_surface`.
    """

    a: pd.DataFrame
    b: pd.DataFrame
    shared: tuple[float, float]
    paired: bool
    layout: Layout
    why_not: str
    tried: tuple[pd.DataFrame, pd.DataFrame] | None
    larger: int

    def estimate(self) -> Difference:
        surface = self.layout == "surface"
        reading = (
            paired_difference(self.a, self.b, surface, chosen=self.layout == "frontier")
            if self.paired
            else joint_difference(self.a, self.b, self.shared, surface)
        )
        if self.tried is None:
            return reading.over(reading.shared)
        return fair_difference(reading, edges_of_surface(reading, self.larger) if surface else edges_of_cells(*self.tried))


def _choose(a: pd.DataFrame, b: pd.DataFrame, x: str) -> _Chosen:
    """Choose the design: pairs where they stand for both sides, else all cells jointly; a surface where there are cells enough for it."""
    layout, a, b = layout_of(a, b, x)
    tried, larger = with_sizes(a, b, x), larger_with_second(a, b, x) if layout == "surface" else 0
    shared = shared_range(a, b)
    pairs = pair_cells(a, b)
    no_pair, far = "in no shared budget", f"far from the shared {x}"
    if layout == "surface":
        if len(pairs) >= PAIRS_FOR_A_SURFACE and stand_for_both(a, b, pairs, shared):
            return _Chosen(*_in_pairs(a, b, pairs), shared, True, layout, no_pair, tried, larger)
        if shared[0] < shared[1] and has_surface(*(near := near_shared(a, b, shared, True))):
            return _Chosen(*near, shared, False, layout, far, tried, larger)
    every, best_a, best_b = pairs, a, b
    if layout != "curve":
        layout = "frontier"  # also where the cells are too few for a surface
        best_a, best_b = (table[near_frontier(table)].reset_index(drop=True) for table in (a, b))
        pairs = pair_cells(best_a, best_b)
        beaten = "beaten by a cell of its side with as little compute"
        no_pair, far = f"{no_pair}, or {beaten}", f"{far}, or {beaten}"
    if len(pairs) >= LEAST_PAIRS and stand_for_both(best_a, best_b, pairs, shared, chosen=layout == "frontier"):
        return _Chosen(*_in_pairs(best_a, best_b, pairs), shared, True, layout, no_pair, tried, larger)
    if (
        min(len(best_a), len(best_b)) < LEAST_CELLS and len(every) >= LEAST_PAIRS
    ):  # too few best cells: the pairs of all are what there is
        return _Chosen(*_in_pairs(a, b, every), shared, True, "curve", "in no shared budget", tried, larger)
    if layout == "frontier" and min(len(best_a), len(best_b)) >= 2 * LEAST_CELLS:
        best_a, best_b = lowest_half(best_a), lowest_half(best_b)
    return _Chosen(*near_shared(best_a, best_b, shared, False), shared, False, layout, far, tried, larger)


def _in_pairs(a: pd.DataFrame, b: pd.DataFrame, pairs: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    return a.iloc[pairs[:, 0]].reset_index(drop=True), b.iloc[pairs[:, 1]].reset_index(drop=True)


def _notes(first: Arm, second: Arm, by: str) -> tuple[str, ...]:
    """List what was taken for granted: about both sides, and after the side's name about one."""
    both = [note for note in first.frontier.notes if note in second.frontier.notes]
    own = (f"{arm.name}: {note}" for arm in (first, second) for note in arm.frontier.notes if note not in both)
    return (*_one_size_note(first, second, by), *_other_settings_note(first, second, by), *both, *own)


def _other_settings_note(first: Arm, second: Arm, by: str) -> tuple[str, ...]:
    """Note other settings of the recipe in which sides that differ in one of them do: what is compared is not that one alone."""
    if by not in RECIPE:
        return ()
    others = [
        name for name in RECIPE if name != by and not (name.startswith(by) and name.endswith("_share")) and name in first.runs
    ]
    apart = [name for name in others if set(first.runs[name].dropna()) != set(second.runs[name].dropna())]
    if not apart:
        return ()
    return (f"the sides differ in {and_listed(apart)} too, so that the difference is not that of {by} alone",)


def _one_size_note(first: Arm, second: Arm, by: str) -> tuple[str, ...]:
    """Note where each side has one size: two sizes are compared, not two families at their best sizes."""
    if by in ("model", "params"):
        return ()
    for name in ("model", "params"):
        sizes = [list(arm.cells[name].unique()) if name in arm.cells else [] for arm in (first, second)]
        if any(len(each) != 1 or each[0] == "" or pd.isna(each[0]) for each in sizes):
            continue
        one, other = (f"{each[0]:,.0f} params" if name == "params" else str(each[0]) for each in sizes)
        if one == other:
            return (f"both sides have one size of model, {one}: nothing is said about others",)
        return (
            f"each side has one size of model ({first.name}: {one}, {second.name}: {other}): these two are compared, not the best of either side",
        )
    return ()


def _passed_over(arm: Arm, counted: pd.DataFrame, why: str) -> tuple[Excluded, ...]:
    """Return the runs of the cells that do not count, with `why`."""
    others = arm.cells[~arm.cells["cell"].isin(counted["cell"])]
    return tuple(Excluded(run, why, why) for ids in others["run_ids"] for run in ids)


def _pair_table(a: pd.DataFrame, b: pd.DataFrame, sides: tuple[str, str, str], metric: str, x: str) -> pd.DataFrame:
    columns = {"epochs": a["epochs"]} if "epochs" in a else {}
    for side, table in (("a", a), ("b", b)):
        columns |= {f"{name}_{side}": table[name] for name in dict.fromkeys(("model", "seeds", x, metric)) if name in table}
    columns["log_ratio"] = a["log_metric"] - b["log_metric"]
    return pd.DataFrame(columns).sort_values([f"{x}_a", f"{metric}_a"], kind="stable").reset_index(drop=True)


def _cell_table(a: pd.DataFrame, b: pd.DataFrame, sides: tuple[str, str, str], metric: str, x: str) -> pd.DataFrame:
    by, *names = sides
    named = [name for name in ("model", "epochs", "seeds", x, metric, "on_frontier") if name in a and name in b]
    tables = [side[list(dict.fromkeys(named))].assign(**{by: name}) for side, name in zip((a, b), names, strict=True)]
    table = pd.concat(tables, ignore_index=True)
    return table[[by, *(name for name in table if name != by)]].sort_values([x, metric], kind="stable").reset_index(drop=True)
