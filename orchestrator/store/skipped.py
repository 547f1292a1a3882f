"""Counts the unreadable training images that runs left out, where their file says `on_bad_example: skip`."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from orchestrator.store.experiments import latest_revision, wanted_runs
from orchestrator.store.models import Metric

__all__ = ["SKIPPED", "skipped_examples"]

SKIPPED = "skipped_examples"
"""Metric of a run: how many of its training images it has skipped so far, each counted once. Runs that skip none have none."""


def skipped_examples(session: Session, experiment: str) -> dict[str, int] | None:
    """Count `runs` that skipped training images, and `examples`: the most that one of them skipped.

    None where no run of the experiment did, or may.
    """
    latest = latest_revision(session, experiment)
    if latest is None or (latest.resolved.get("execution") or {}).get("on_bad_example") != "skip":
        return None  # metrics are many: they are not looked through for nothing
    query = select(func.count(Metric.run_id.distinct()), func.max(Metric.value)).where(
        Metric.name == SKIPPED, Metric.run_id.in_(wanted_runs(latest.experiment_id))
    )
    runs, examples = session.execute(query).one()
    return {"runs": runs, "examples": int(examples)} if examples else None
