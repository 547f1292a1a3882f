"""`transfer`: what pre-training compute buys downstream, and which checkpoint to fine-tune."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.cells import best_learning_rates, differing_note
from analysis.direction import require_lower_is_better
from analysis.distributions import spearman
from analysis.downstream.checkpoints import checkpoint_table, differing, has_parents, joined, with_cells
from analysis.downstream.rank import partial, rank_interval
from analysis.downstream.result import Transfer
from analysis.downstream.shift import Shift, shift_of
from analysis.fitting.fit import fit
from analysis.fitting.result import Fit
from analysis.interval import check_level
from analysis.reading.source import source_of
from analysis.selection import count_hint, usable_runs
from analysis.unfinished import takes_runs
from scaling.errors import TooFewPoints, UsageError

__all__ = ["transfer"]


@takes_runs
def transfer(
    runs: pd.DataFrame,
    *,
    downstream: str = "val_loss",
    upstream: str = "val_loss",
    x: str = "core_hours",
    law: str = "power",
    level: float = 0.95,
) -> Transfer:
    """Compare the downstream metric of fine-tuned runs with their pre-training compute and pre-training metric.

    The first answer is the shift: at equal compute, are larger models and fewer epochs best after fine-tuning, or smaller ones, and what
    does it cost to choose by the upstream metric? See `analysis.downstream.contrast`.

    A checkpoint is a pre-trained cell: its seeds are pooled. It counts at the learning rate of fine-tuning with the lowest mean over
    seeds. Its runs may differ in how they were fine-tuned, e.g. in batch size: then a note names the column.

    Args:
        runs: pre-trained and fine-tuned runs, told by `stage`, or where there is none by `parent` ids of other rows. Then `downstream` is
            a column of the fine-tuned runs, and `upstream` and `x` are those of their parents. Or one row a fine-tuned run with all three.
        downstream, upstream: better when lower. x: what pre-training cost.
        law: of downstream against x.

    Raises:
        TooFewPoints: nothing was fine-tuned. What few cells leave open is said in the answer.
        UnknownName: no such column. UsageError: `downstream` and `upstream` are one column.
    """
    check_level(level)
    table = runs
    if has_parents(runs) or "stage" in runs:
        table, downstream = joined(runs, downstream)
    if downstream == upstream:
        raise UsageError(
            f"--downstream and --upstream are both {upstream}",
            hint="name the column of each: --downstream imagenet_error --upstream pretrain_loss",
        )
    require_lower_is_better(upstream, table, "--upstream")
    require_lower_is_better(downstream, table, "--downstream")
    usable = usable_runs(table, metric=downstream, x=(x, upstream))
    if usable.runs.empty:
        raise TooFewPoints(
            f"none of the {len(table)} fine-tuned runs has {downstream}, {upstream} and {x}: 1 more is needed",
            have=0,
            need=1,
            hint=count_hint(usable.excluded, source_of(runs)) or "fine-tune pre-trained runs that have finished",
        )
    runs_in_cells, columns = with_cells(usable.runs, metric=downstream, x=x)
    kept, not_best = best_learning_rates(runs_in_cells, downstream)
    checkpoints = checkpoint_table(kept, (upstream, downstream), x, columns)
    up, down, compute = (checkpoints[column].to_numpy(float) for column in (upstream, downstream, x))
    constant = len(up) < 3 or np.ptp(up) == 0 or np.ptp(down) == 0  # then there is no order to compare
    rho, p_value = (np.nan, np.nan) if constant else spearman(up, down)
    found, reason = _law(kept, downstream, x, law, level)
    return Transfer(
        downstream=downstream,
        upstream=upstream,
        x=x,
        level=level,
        checkpoints=checkpoints[["checkpoint", x, upstream, downstream, "runs"]],
        shifts=_shifts(checkpoints, upstream=upstream, downstream=downstream, x=x, level=level),
        rank_correlation=rank_interval(float(rho), len(up), level),
        p_value=float(p_value),
        given_compute=rank_interval(partial(up, down, compute), len(up) - 1, level),
        law=found,
        not_fitted=reason,
        seed_std=_seed_std(kept, downstream),
        runs_used=len(kept),
        excluded=usable.excluded + not_best,
        notes=differing_note(differing(runs_in_cells, columns, downstream, x, of=runs)),
    )


def _law(runs: pd.DataFrame, downstream: str, x: str, law: str, level: float) -> tuple[Fit | None, str]:
    try:
        return fit(runs.drop(columns="cell"), metric=downstream, x=x, law=law, level=level), ""
    except TooFewPoints as error:
        return None, str(error)


def _shifts(checkpoints: pd.DataFrame, *, upstream: str, downstream: str, x: str, level: float) -> tuple[Shift, ...]:
    """Find the shift in each family: sizes of two families do not compare."""
    families = checkpoints["family"].astype(str)
    names = sorted(families.unique())
    found = []
    for name in names:
        own = checkpoints[families == name].reset_index(drop=True)
        own.attrs = dict(checkpoints.attrs)
        found.append(
            shift_of(own, upstream=upstream, downstream=downstream, x=x, level=level, family=name if len(names) > 1 else "")
        )
    return tuple(found)


def _seed_std(runs: pd.DataFrame, metric: str) -> float:
    logs = pd.Series(np.log(runs[metric].to_numpy(float)), index=runs.index)
    within = logs - logs.groupby(runs["cell"]).transform("mean")
    left = len(runs) - runs["cell"].nunique()
    return float(np.sqrt(np.sum(within**2) / left)) if left > 0 else float("nan")
