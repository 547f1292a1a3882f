"""Look-ups of an experiment by its name: the latest version of its file, and the runs that it wants."""

from __future__ import annotations

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from orchestrator.store.models import Experiment, ExperimentRun, Revision
from scaling.errors import UnknownName

__all__ = ["experiment_id", "experiment_names", "find_experiment", "latest_revision", "wanted_runs"]


def experiment_id(session: Session, name: str) -> int:
    """Return the id of an experiment. Raises `UnknownName` when there is none of that name."""
    found = find_experiment(session, name)
    if found is None:
        raise UnknownName("experiment", name, experiment_names(session))
    return found.id


def find_experiment(session: Session, name: str) -> Experiment | None:
    """Return the experiment of that name; None where there is none."""
    return session.scalar(select(Experiment).where(Experiment.name == name))


def experiment_names(session: Session) -> list[str]:
    """List the names of all experiments, the oldest first."""
    return list(session.scalars(select(Experiment.name).order_by(Experiment.id)))


def latest_revision(session: Session, experiment: str) -> Revision | None:
    """Return the latest version of an experiment's file; None where there is no such experiment."""
    versions = select(Revision).join(Experiment).where(Experiment.name == experiment)
    return session.scalar(versions.order_by(Revision.number.desc()).limit(1))


def wanted_runs(experiment: int | None = None) -> Select[str]:
    """Return a query for the ids of the runs that an experiment wants, by its id; None stands for any experiment."""
    wanted = select(ExperimentRun.run_id).where(ExperimentRun.removed_in.is_(None))
    return wanted if experiment is None else wanted.where(ExperimentRun.experiment_id == experiment)
