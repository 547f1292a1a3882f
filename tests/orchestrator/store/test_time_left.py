"""The time left is that of a study as it really goes on, also where the plan's estimates are wrong."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from analysis.unfinished import unfinished
from orchestrator.store import Store, lease
from orchestrator.store.ledger import record
from orchestrator.store.models import Attempt, Lease, Run, now
from orchestrator.store.progress import progress_of
from tests.api.small_grid import EPOCHS, MODELS, SEEDS, _seconds, begin

BESIDES = 0.75
"""Seconds of start-up, evaluation and a checkpoint, which every run of the small grid was charged."""


def time_left(path, finished, factors, *, runs=30):
    """Let one worker train the grid in its order. A run takes `factors` of its model times the plan's estimate, and 0.75 s besides.

    Those that were begun have estimates by measured speeds, as the scheduler gives them. Returns the seconds foretold and those to come.
    """
    begin(path, finished=finished)
    grid = [(model, epochs) for model in MODELS for epochs in EPOCHS for _ in SEEDS]
    takes = [factors[model] * _seconds(model, epochs) for model, epochs in grid]
    ago = sum(takes[:finished]) + finished * BESIDES + BESIDES + takes[finished] / 2
    with Store.open(str(path)) as store, store.write() as session:
        lease.take(session, lease.new_holder())
        session.execute(update(Lease).values(acquired_at=now() - timedelta(seconds=ago + 1)))
        session.execute(update(Attempt).values(started_at=now() - timedelta(seconds=ago)))
        for model, factor in factors.items():
            begun = Run.status.in_(("finished", "running")) & (Run.model == model)
            session.execute(update(Run).where(begun).values(estimated_core_hours=factor * Run.estimated_core_hours))
            own = Run.model == model, Run.status == "finished"
            held = Run.allocated_core_hours + (factor - 1) * Run.core_hours
            session.execute(update(Run).where(*own).values(core_hours=factor * Run.core_hours, allocated_core_hours=held))
            of_model = Attempt.run_id.in_(select(Run.id).where(Run.model == model))
            session.execute(update(Attempt).where(of_model).values(useful_seconds=factor * Attempt.useful_seconds))
    with Store.open_readonly(str(path)) as store, store.read() as session:
        found = progress_of(session, "digits")
    rest = takes[finished] / 2 + sum(takes[finished + 1 :]) + (runs - finished - 1) * BESIDES
    return found.eta_seconds, rest


@pytest.mark.parametrize("finished", [8, 15])
def test_estimates_that_are_three_times_too_low(tmp_path, finished):
    foretold, rest = time_left(tmp_path / "own.db", finished, dict.fromkeys(MODELS, 3.0))
    of_one_model = 0.35  # the others are foretold by the rate of the family
    assert foretold == pytest.approx(rest, rel=0.1 if finished > 10 else of_one_model)


def test_models_whose_estimates_are_wrong_by_other_factors(tmp_path):
    """Once each model has finished a run, its own speed counts."""
    foretold, rest = time_left(tmp_path / "own.db", 21, {"nano-F0": 1.0, "nano-F1": 2.0, "nano-F3": 5.0})
    assert foretold == pytest.approx(rest, rel=0.1)
    with Store.open_readonly(str(tmp_path / "own.db")) as store:
        assert unfinished(store.runs()).seconds == pytest.approx(rest, rel=0.1), "what answers say of the runs to come"


def test_runs_that_diverged_at_once_are_no_progress(tmp_path):
    """They end before their time; the others take as long as ever."""
    path = tmp_path / "own.db"
    foretold, _ = time_left(path, 21, dict.fromkeys(MODELS, 1.0))
    with Store.open(str(path)) as store:
        with store.write() as session:
            waiting = select(Run.id).where(Run.status == "pending").order_by(Run.created_at.desc()).limit(5)
            lost = session.execute(select(Run.epochs, Run.model).where(Run.id.in_(waiting))).all()
            session.execute(update(Run).where(Run.id.in_(waiting)).values(status="diverged", ended_at=now()))
        with store.read() as session:
            after = progress_of(session, "digits").eta_seconds
    gone = sum(_seconds(model, epochs) + BESIDES for epochs, model in lost)
    assert after == pytest.approx(foretold - gone, rel=0.05)


def test_without_a_finished_run_it_is_by_the_estimates(tmp_path):
    path = tmp_path / "own.db"
    begin(path, finished=0)
    with Store.open(str(path)) as store:
        with store.write() as session:
            lease.take(session, lease.new_holder())
            session.execute(update(Lease).values(acquired_at=now() - timedelta(seconds=101)))
            session.execute(update(Attempt).values(started_at=now() - timedelta(seconds=100)))
            token = session.scalar(select(Run.token).where(Run.status == "running"))
            record(session, token, step=1)
            session.execute(update(Run).where(Run.status == "running").values(steps=2, step=1, estimated_core_hours=0.05))
        with store.read() as session:
            rows = session.execute(select(Run.estimated_core_hours, Run.status)).all()
            found = progress_of(session, "digits")
    total = sum(estimated for estimated, _ in rows)
    assert found.eta_seconds == pytest.approx(100 * (total - 0.025) / 0.025, rel=0.05)
