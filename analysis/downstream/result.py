"""What `transfer` finds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from analysis.as_csv import as_csv
from analysis.distributions import normal_quantile
from analysis.downstream.shift import Shift
from analysis.fitting.result import Fit
from analysis.interval import Interval
from analysis.numbers import finite, records
from analysis.selection import Excluded, excluded_payload
from scaling.rounding import percent, significant

__all__ = ["Transfer"]


@dataclass(frozen=True, eq=False)
class Transfer:
    """Compares what checkpoints were worth before fine-tuning with what they are worth after it.

    checkpoints: a row for each pre-trained cell, its seeds pooled: name, x, upstream and downstream metric, how many fine-tuned runs.
    shifts: of the best size and epochs at equal compute, one for each family.
    rank_correlation: Spearman's, of upstream and downstream; 1: the order is the same.
    Both say nothing (−1 … 1) with few checkpoints. given_compute: the same with the rank of x held fixed: whether the upstream metric says more than compute alone.
    law: downstream against x, or None with `not_fitted` saying why. notes: a sentence for each thing that was taken for granted.
    """

    downstream: str
    upstream: str
    x: str
    level: float
    checkpoints: pd.DataFrame
    shifts: tuple[Shift, ...]
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
        """Write the answer in words: first the shift at equal compute, then the checkpoints that were fine-tuned."""
        return " ".join([*(shift.sentence() for shift in self.shifts), self._of_checkpoints()])

    def _of_checkpoints(self) -> str:
        count = len(self.checkpoints)
        if count == 1:
            return f"One checkpoint was fine-tuned, {self.best_downstream['checkpoint']}: there is nothing to choose from."
        told = self.rank_correlation.words() if math.isfinite(self.rank_correlation.value) and count > 3 else "not identified"
        rank = f"Rank correlation of {self.upstream} and {self.downstream} over {count} checkpoints: {told}."
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
            "shifts": [shift.to_dict() for shift in self.shifts],
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
