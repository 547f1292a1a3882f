"""How often attempts are cut short, what a checkpoint costs, and the checkpoint interval that follows from both."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from orchestrator.resources import Resources
from orchestrator.store.models import Attempt, Metric, Run
from scaling.outcomes import AttemptOutcome

__all__ = ["CHECKPOINT_COST", "Interruptions", "interruptions"]

CHECKPOINT_COST = "checkpoint_cost"
"""Metric: seconds until a checkpoint was safe, by the step it holds."""

_CUT_SHORT = (AttemptOutcome.PREEMPTED, AttemptOutcome.DIED, AttemptOutcome.LOST)
_NEWEST = 200
_LEAST_SECONDS = 1.0


@dataclass(frozen=True)
class Interruptions:
    """Holds how often attempts on one accelerator are cut short and what a checkpoint costs there, by the newest attempts.

    seconds_between: mean time on the accelerator between two attempts that were preempted, died or were lost; None when none was.
    checkpoint_seconds: mean seconds until a checkpoint was safe; None when none was taken.
    """

    seconds_between: float | None = None
    checkpoint_seconds: float | None = None

    def checkpoint_interval(self, most: float) -> float:
        """Compute the seconds between checkpoints: √(2·C·M), at least 2·C and 1 s, at most `most`.

        C is the cost of a checkpoint, M the mean time between interruptions. The formula loses the least time to first order (Young 1974,
        CACM 17(9); Daly 2006, FGCS 22(3)). Without an interruption so far it is `most`. An attempt that lives longer than its start-up, one
        interval and one checkpoint leaves a later checkpoint than it found. ASSUMPTION: a checkpoint costs 1 s until one was measured.
        """
        if self.seconds_between is None:
            return most
        cost = 1.0 if self.checkpoint_seconds is None else self.checkpoint_seconds
        return min(most, max(math.sqrt(2 * cost * self.seconds_between), 2 * cost, _LEAST_SECONDS))


def interruptions(session: Session, resources: Resources) -> Interruptions:
    """Measure interruptions and checkpoints on an accelerator by the newest 200 attempts that ended there, rehearsals apart."""
    alike = Run.rehearsal == (resources.stated is not None)
    lived = Attempt.useful_seconds + Attempt.redone_seconds + Attempt.startup_seconds
    lived = lived + Attempt.evaluation_seconds + Attempt.checkpoint_seconds
    newest = (
        select(Attempt.outcome, lived.label("lived"))
        .join(Run)
        .where(Attempt.accelerator == resources.accelerator, alike, Attempt.outcome.is_not(None))
        .order_by(Attempt.id.desc())
        .limit(_NEWEST)
    )
    ended = session.execute(newest).all()
    cut_short = sum(row.outcome in _CUT_SHORT for row in ended)
    costs = (
        select(Metric.value)
        .join(Run, Run.id == Metric.run_id)
        .where(Metric.name == CHECKPOINT_COST, Run.accelerator == resources.accelerator, alike)
        .order_by(Run.created_at.desc())
        .limit(_NEWEST)
        .subquery()
    )
    return Interruptions(
        seconds_between=sum(row.lived for row in ended) / cut_short if cut_short else None,
        checkpoint_seconds=session.scalar(select(func.avg(costs.c.value))),
    )
