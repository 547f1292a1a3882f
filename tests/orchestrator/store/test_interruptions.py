"""How often to checkpoint, by what the store says of interruptions; and estimates by a probe."""

import math

import pytest

from orchestrator.resources import Resources
from orchestrator.store import ledger
from orchestrator.store.estimates import measured_rates
from orchestrator.store.interruptions import CHECKPOINT_COST, Interruptions, interruptions
from orchestrator.store.ledger import Charge
from orchestrator.store.models import Probe, Run
from scaling.outcomes import AttemptOutcome
from tests.orchestrator.rows import a_run, accepted, granted

IDS = [letter * 16 for letter in "abcd"]


def test_without_an_interruption_it_is_as_asked():
    assert Interruptions().checkpoint_interval(60) == 60


@pytest.mark.parametrize(
    ("between", "cost", "most", "expected"),
    [
        (600.0, 2.0, 60.0, math.sqrt(2 * 2.0 * 600.0)),  # Young's √(2·C·M)
        (1e6, 2.0, 60.0, 60.0),
        (10.0, 30.0, 120.0, 60.0),  # never less than twice what one costs
        (0.01, 0.001, 60.0, 1.0),
        (50.0, None, 60.0, 10.0),
    ],
)
def test_the_interval(between, cost, most, expected):
    assert Interruptions(between, cost).checkpoint_interval(most) == pytest.approx(expected)


def test_no_other_interval_near_it_loses_less():
    """Waste a second of an attempt: C/T for checkpoints, T/2M for what is lost at an interruption."""
    between, cost = 900.0, 3.0
    best = Interruptions(between, cost).checkpoint_interval(1e9)
    waste = {factor: cost / (best * factor) + best * factor / (2 * between) for factor in (0.8, 0.9, 1.0, 1.1, 1.25)}
    assert min(waste, key=waste.get) == 1.0


def test_what_the_store_says(store):
    accepted(store, *(a_run(run_id, seed=seed) for seed, run_id in enumerate(IDS)))
    outcomes = (AttemptOutcome.PREEMPTED, AttemptOutcome.FINISHED, AttemptOutcome.LOST, AttemptOutcome.RAISED)
    for run_id, outcome in zip(IDS, outcomes, strict=True):
        grant = granted(store, run_id)
        with store.write() as session:
            ledger.record(session, grant.token, metrics=[(10, CHECKPOINT_COST, 1.0), (20, CHECKPOINT_COST, 3.0)])
            ledger.end_attempt(session, grant.token, outcome=outcome, reason="", charge=Charge(useful=80.0, startup=20.0))
    with store.read() as session:
        found = interruptions(session, Resources("cpu", 1))
        assert (found.seconds_between, found.checkpoint_seconds) == (pytest.approx(200.0), pytest.approx(2.0))
        assert interruptions(session, Resources("H100", 1)) == Interruptions()
        assert interruptions(session, Resources("cpu", 1, stated=8)) == Interruptions(), "a rehearsal's seconds are others"


def test_a_probe_prices_a_shape_until_a_run_of_it_has_finished(store):
    probe = {"shape": "s", "family": "nfnet", "model": "nano-F0", "accelerator": "cpu", "cores": 2, "code_version": "1"}
    accepted(store, a_run())
    with store.write() as session:
        session.add(Probe(**probe, outcome=AttemptOutcome.FINISHED, core_hours_per_flop=3e-12))
        session.flush()
        session.add(Probe(**probe, outcome=AttemptOutcome.OUT_OF_MEMORY, reason="too large"))
        session.add(Probe(**probe, outcome=AttemptOutcome.FINISHED, core_hours_per_flop=2e-12))
    with store.read() as session:
        assert measured_rates(session).by_shape == {("s", "cpu"): 2e-12}  # the newest that went well
    grant = granted(store)
    with store.write() as session:
        ledger.end_attempt(session, grant.token, outcome=AttemptOutcome.FINISHED, reason="", charge=Charge(useful=36.0))
    with store.read() as session:
        assert measured_rates(session).by_shape["s", "cpu"] == pytest.approx(2 * 36 / 3600 / 1e9)


def test_a_rehearsal_measures_nothing_and_costs_what_its_plan_says(store):
    accepted(
        store, a_run(IDS[0], rehearsal=True, estimated_core_hours=5.0), a_run(IDS[1], rehearsal=False, estimated_core_hours=5.0)
    )
    for run_id in IDS[:2]:
        with store.read() as session:
            assert measured_rates(session).by_family == {}
        grant = granted(store, run_id)
        with store.write() as session:
            ledger.end_attempt(session, grant.token, outcome=AttemptOutcome.FINISHED, reason="", charge=Charge(useful=36.0))
    with store.read() as session:
        rates, run = measured_rates(session), session.get(Run, IDS[0])
        assert rates.by_family == {("nfnet", "cpu"): pytest.approx(0.02 / 1e9)}
        assert rates.nearest(run.shape, run.family, run.resources)[1] == pytest.approx(0.02 / 1e9)
        assert rates.nearest(run.shape, run.family, Resources("cpu", 1, stated=8)) == (None, None)
