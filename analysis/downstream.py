"""`transfer`: what pre-training compute buys downstream, and whether the best pre-trained checkpoint is the best fine-tuned one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.as_csv import as_csv
from analysis.cells import best_learning_rates, differing_note, unknown_inside
from analysis.checkpoints import checkpoints_of
from analysis.design_columns import alike, design_columns, named_columns
from analysis.direction import require_lower_is_better, with_error
from analysis.distributions import normal_quantile, ranks, spearman
from analysis.fitting.fit import fit
from analysis.fitting.result import Fit
from analysis.interval import Interval, check_level
from analysis.numbers import finite, records
from analysis.reading.source import source_of
from analysis.selection import Excluded, count_hint, excluded_payload, usable_runs
from analysis.unfinished import takes_runs
from scaling.errors import TooFewPoints, UnknownName
from scaling.rounding import percent, significant

__all__ = ["Transfer", "transfer", "with_parents"]

_LEAST_CHECKPOINTS = 5
_CARRIED = ("core_hours", "train_flops", "examples_seen", "unique_examples", "params", "model", "epochs", "learning_rate", "family")


@dataclass(frozen=True, eq=False)
class Transfer:
    """Compares what checkpoints were worth before fine-tuning with what they are worth after it.

    checkpoints: one row each: name, x, upstream and downstream metric, how many fine-tuned runs.
    rank_correlation: Spearman's, of upstream and downstream; 1: the order is the same.
    given_compute: the same with the rank of x held fixed: whether the upstream metric says more than compute alone.
    law: downstream against x, or None with `not_fitted` saying why. notes: a sentence for each thing that was taken for granted.
    """

    downstream: str
    upstream: str
    x: str
    level: float
    checkpoints: pd.DataFrame
    rank_correlation: Interval
    p_value: float
    given_compute: Interval
    law: Fit | None
    not_fitted: str
    seed_std: float
    runs_used: int
    excluded: tuple[Excluded, ...]
    notes: tuple[str, ...] = ()

    @property
    def best_upstream(self) -> pd.Series:
        return self.checkpoints.iloc[int(self.checkpoints[self.upstream].to_numpy().argmin())]

    @property
    def best_downstream(self) -> pd.Series:
        return self.checkpoints.iloc[int(self.checkpoints[self.downstream].to_numpy().argmin())]

    @property
    def same_best(self) -> bool:
        return bool(self.best_upstream.name == self.best_downstream.name)

    @property
    def regret(self) -> float:
        """Return how much worse downstream the best pre-trained checkpoint is than the best fine-tuned one, in the unit of the metric.

        It is 0 where they are the same.
        """
        return float(self.best_upstream[self.downstream] - self.best_downstream[self.downstream])

    @property
    def regret_may_be_noise(self) -> bool | None:
        """Say whether seeds alone could make two equal checkpoints differ as much; None where none was fine-tuned with several seeds."""
        if not math.isfinite(self.seed_std):
            return None
        runs = 1 / self.best_upstream["runs"] + 1 / self.best_downstream["runs"]
        apart = math.log(self.best_upstream[self.downstream] / self.best_downstream[self.downstream])
        return bool(apart <= normal_quantile(0.5 + self.level / 2) * self.seed_std * math.sqrt(runs))

    def sentence(self) -> str:
        """Write the answer in words."""
        rank = f"Rank correlation of {self.upstream} and {self.downstream} over {len(self.checkpoints)} checkpoints: {self.rank_correlation.words()}."
        if self.same_best:
            return f"The best pre-trained checkpoint ({self.best_upstream['checkpoint']}) is the best fine-tuned one. {rank}"
        noise = {True: ", which may be seed noise", False: ", more than seed noise", None: ""}[self.regret_may_be_noise]
        relative = self.regret / float(self.best_downstream[self.downstream])
        return (
            f"The best pre-trained checkpoint ({self.best_upstream['checkpoint']}) is not the best fine-tuned one ({self.best_downstream['checkpoint']}): choosing by "
            f"{self.upstream} costs {significant(self.regret, 3)} in {self.downstream} ({percent(relative)}){noise}. {rank}"
        )

    def to_dict(self) -> dict[str, object]:
        """Return the answer as JSON holds it, without `schema_version`."""
        return {
            "downstream": self.downstream,
            "upstream": self.upstream,
            "x": self.x,
            "level": self.level,
            "sentence": self.sentence(),
            "rank_correlation": self.rank_correlation.to_dict() | {"p_value": finite(self.p_value)},
            "rank_correlation_given_compute": self.given_compute.to_dict(),
            "best_upstream": self.best_upstream["checkpoint"],
            "best_downstream": self.best_downstream["checkpoint"],
            "same_best": self.same_best,
            "regret": finite(self.regret),
            "regret_may_be_noise": self.regret_may_be_noise,
            "seed_std": finite(self.seed_std),
            "fit": self.law.to_dict() if self.law else None,
            "not_fitted": self.not_fitted,
            "checkpoints": records(self.checkpoints),
            "runs_used": self.runs_used,
            "excluded": excluded_payload(self.excluded),
            "notes": list(self.notes),
        }

    def to_csv(self) -> str:
        """Write `checkpoints` as CSV."""
        return as_csv(self.checkpoints)


def with_parents(runs: pd.DataFrame, upstream: str = "val_loss") -> pd.DataFrame:
    """Return the fine-tuned runs of a table with `parent` ids, each with `parent_<column>` of the run it started from.

    Raises: UnknownName, no column `parent`; TooFewPoints, no run whose parent is in the table.
    """
    if "parent" not in runs:
        raise UnknownName(
            "column",
            "parent",
            [str(name) for name in runs.columns],
            hint="name the columns of a table: --upstream COLUMN --x COLUMN",
        )
    require_lower_is_better(upstream, runs, "--upstream")
    parents = with_error(runs, upstream)
    carried = [name for name in dict.fromkeys((upstream, *_CARRIED)) if name in parents]
    parents = parents.set_index(parents["id"].astype(str))[carried].add_prefix("parent_")
    tuned = runs[runs["parent"].notna() & runs["parent"].astype(str).isin(parents.index)]
    if tuned.empty:
        raise TooFewPoints(
            f"no run of the table starts from another one of it: {_LEAST_CHECKPOINTS} fine-tuned checkpoints are needed",
            have=0,
            need=_LEAST_CHECKPOINTS,
            hint="fine-tune finished runs, or give a table with both metrics: --data FILE --upstream COLUMN --x COLUMN",
        )
    return tuned.join(parents, on="parent")


@takes_runs
def transfer(
    runs: pd.DataFrame,
    *,
    downstream: str = "val_loss",
    upstream: str = "parent_val_loss",
    x: str = "parent_core_hours",
    law: str = "power",
    level: float = 0.95,
) -> Transfer:
    """Compare the downstream metric of fine-tuned runs with their pre-training compute and pre-training metric.

    A checkpoint is a `parent`; else a model and its epochs; else a row. One fine-tuned several times counts at the learning rate with
    the lowest mean over seeds. Its runs may differ in how they were fine-tuned, e.g. in batch size: then a note names the column.

    Args:
        runs: one row a *fine-tuned* run, with the three columns; `with_parents` makes them from parent ids.
        downstream, upstream: better when lower. x: what pre-training cost.
        law: of downstream against x.

    Raises:
        TooFewPoints: fewer than five checkpoints; says how many more. UnknownName: no such column.
    """
    check_level(level)
    if upstream == "parent_val_loss" and upstream not in runs:
        runs = with_parents(runs)
    require_lower_is_better(upstream, runs, "--upstream")
    require_lower_is_better(downstream, runs, "--downstream")
    usable = usable_runs(runs, metric=downstream, x=(x, upstream))
    name = "parent" if "parent" in usable.runs and usable.runs["parent"].notna().all() else None
    keys = (name,) if name else tuple(key for key in ("parent_model", "family", "model", "epochs") if key in usable.runs)
    keys += tuple(named_columns(usable.runs, source_of(runs).get("cell", ())))
    cell = (*keys, x, upstream)
    table = usable.runs.assign(cell=alike(usable.runs, cell))
    kept, not_best = best_learning_rates(table, downstream)
    if kept["cell"].nunique() < _LEAST_CHECKPOINTS:
        have = int(kept["cell"].nunique())
        raise TooFewPoints(
            f"{have} fine-tuned checkpoint{'' if have == 1 else 's'} with {downstream}, {upstream} and {x}: "
            f"{_LEAST_CHECKPOINTS - have} more {'is' if have == _LEAST_CHECKPOINTS - 1 else 'are'} needed",
            have=have,
            need=_LEAST_CHECKPOINTS,
            hint=count_hint(usable.excluded, source_of(runs)) or "fine-tune more of the pre-trained runs",
        )
    checkpoints = _checkpoints(kept, name, downstream, upstream, x)
    up, down, compute = (checkpoints[column].to_numpy(float) for column in (upstream, downstream, x))
    constant = np.ptp(up) == 0 or np.ptp(down) == 0  # then there is no order to compare
    rho, p_value = (np.nan, np.nan) if constant else spearman(up, down)
    found, reason = None, ""
    try:
        found = fit(kept.drop(columns="cell"), metric=downstream, x=x, law=law, cell=cell, level=level)
    except TooFewPoints as error:
        reason = str(error)
    return Transfer(
        downstream=downstream,
        upstream=upstream,
        x=x,
        level=level,
        checkpoints=checkpoints,
        rank_correlation=_rank_interval(float(rho), len(up), level),
        p_value=float(p_value),
        given_compute=_rank_interval(_partial(up, down, compute), len(up) - 1, level),
        law=found,
        not_fitted=reason,
        seed_std=_seed_std(kept, downstream),
        runs_used=len(kept),
        excluded=usable.excluded + not_best,
        notes=differing_note(_differing(table, cell, downstream, of=runs)),
    )


def _differing(table: pd.DataFrame, cell: Sequence[str], downstream: str, *, of: pd.DataFrame) -> tuple[str, ...]:
    """Find the columns, settings and others, in which fine-tuned runs of one checkpoint differ."""
    apart, columns, cells = [], list(cell), table["cell"].nunique()
    for name in design_columns(table, x=cell, metric=downstream):
        columns.append(name)
        if (groups := alike(table, columns).nunique()) > cells:
            apart.append(name)
            cells = groups
    return (*apart, *unknown_inside(table, columns, (downstream,), checkpoints=checkpoints_of(of, asked=(downstream,))))


def _checkpoints(runs: pd.DataFrame, name: str | None, downstream: str, upstream: str, x: str) -> pd.DataFrame:
    groups = runs.groupby("cell", sort=True)
    model = next((column for column in ("parent_model", "model") if column in runs and (runs[column] != "").all()), None)
    epochs = next((column for column in ("parent_epochs", "epochs") if column in runs and runs[column].notna().all()), None)
    labels = groups["id"].first()
    if model:
        labels = groups[model].first().astype(str)
        if epochs:
            labels = labels + " at " + groups[epochs].first().map("{:g}".format) + " epochs"
    if name:
        labels = labels + " (" + groups[name].first().astype(str) + ")"
    columns = {
        "checkpoint": labels,
        x: groups[x].mean(),
        upstream: groups[upstream].mean(),
        downstream: groups[downstream].mean(),
        "runs": groups.size(),
    }
    return pd.DataFrame(columns).sort_values([x, upstream], kind="stable").reset_index(drop=True)


def _rank_interval(rho: float, n: int, level: float) -> Interval:
    """Return the interval of Spearman's ρ of n values, by Fisher's z.

    Its standard error is √((1 + ρ²/2)/(n − 3)) of Bonett and Wright 2000 (Psychometrika 65).
    """
    if not math.isfinite(rho) or n <= 3:
        return Interval(rho, -1.0, 1.0)
    half = normal_quantile(0.5 + level / 2) * math.sqrt((1 + rho**2 / 2) / (n - 3))
    # At |ρ| = 1 Fisher's z is infinite: the largest ρ below 1 that n ranks can have stands in.
    most = 1 - 12 / (n * (n**2 - 1))
    centre = math.atanh(min(max(rho, -most), most))
    low, high = math.tanh(centre - half), math.tanh(centre + half)
    return Interval(rho, min(low, rho), max(high, rho))


def _partial(a: np.ndarray, b: np.ndarray, given: np.ndarray) -> float:
    """Compute the partial rank correlation of a and b, with the rank of `given` held fixed; NaN where one of the three is constant."""
    if min(np.ptp(values) for values in (a, b, given)) == 0:
        return float("nan")
    ranked = np.array([ranks(values) for values in (a, b, given)])
    ab, ag, bg = (float(np.corrcoef(ranked[i], ranked[j])[0, 1]) for i, j in ((0, 1), (0, 2), (1, 2)))
    left = (1 - ag**2) * (1 - bg**2)
    return (ab - ag * bg) / math.sqrt(left) if left > 1e-12 else float("nan")


def _seed_std(runs: pd.DataFrame, metric: str) -> float:
    logs = pd.Series(np.log(runs[metric].to_numpy(float)), index=runs.index)
    within = logs - logs.groupby(runs["cell"]).transform("mean")
    left = len(runs) - runs["cell"].nunique()
    return float(np.sqrt(np.sum(within**2) / left)) if left > 0 else float("nan")
