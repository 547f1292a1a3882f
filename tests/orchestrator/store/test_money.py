"""Money in the store: what runs cost by the prices of the experiments that want them, and budgets in it."""

import pytest

from analysis.reading.prices import with_cost
from analysis.reading.source import source_of
from orchestrator.store import ledger, queries
from orchestrator.store.budget import affordable
from orchestrator.store.grid import accept, waiting_runs
from orchestrator.store.ledger import Charge
from orchestrator.store.models import Run
from scaling.outcomes import AttemptOutcome
from tests.orchestrator.rows import a_run, granted

A, B, C = ("a" * 16, "b" * 16, "c" * 16)


def priced(store, name, *rows, budget=None, price=None, currency="USD"):
    resolved = {"budget": budget, "price": price, "currency": currency, "resources": {"accelerator": "cpu"}}
    with store.write() as session:
        accept(
            session, name=name, file="f", text="", resolved={**resolved, "runs": [row["id"] for row in rows]}, shared={}, runs=rows
        )


def left_out(store):
    with store.read() as session:
        return affordable(session, waiting_runs(session), lambda run: run.estimated_core_hours).left_out


def trained(store, run, useful, startup=0.0):
    grant = granted(store, run)  # of 2 cores of a cpu
    charge = Charge(useful=useful * 3600 / 2, startup=startup * 3600 / 2)
    with store.write() as session:
        ledger.end_attempt(session, grant.token, outcome=AttemptOutcome.PREEMPTED, reason="", charge=charge)


def test_a_budget_in_money_lets_in_what_fits(store):
    runs = [a_run(run, train_flops=hours * 1e9, estimated_core_hours=hours) for run, hours in ((A, 1.0), (B, 2.0), (C, 3.0))]
    priced(store, "small", *runs, budget={"usd": 14.0}, price={"cpu": 4.0})  # 4 + 8 are 12, and 12 more are not left
    assert left_out(store) == {C: "left out by the budget of 14 USD of small: needs about 12.0, more than is left"}
    priced(store, "small", *runs, budget={"usd": 24.0}, price={"cpu": 4.0})
    assert not left_out(store)


def test_of_two_caps_the_one_that_is_reached_first_counts(store):
    run = a_run(A, estimated_core_hours=2.0)
    priced(store, "both", run, budget={"core_hours": 3.0, "money": 7.0}, price={"*": 4.0}, currency="EUR")
    assert "budget of 7 EUR of both: needs about 8.00" in left_out(store)[A]
    priced(store, "both", run, budget={"core_hours": 1.0, "money": 9.0}, price={"*": 4.0}, currency="EUR")
    assert "budget of 1 core-hours of both: needs about 2.00" in left_out(store)[A]
    priced(store, "both", run, budget={"core_hours": 3.0, "money": 9.0}, price={"*": 4.0}, currency="EUR")
    assert not left_out(store)


def test_what_was_charged_is_taken_off_start_up_too(store):
    runs = [a_run(A, estimated_core_hours=1.5), a_run(B, estimated_core_hours=1.0)]
    priced(store, "tight", *runs, budget={"usd": 10.0}, price={"cpu": 2.0})
    assert not left_out(store)  # 3 and 2 of 10
    trained(store, A, useful=0.5, startup=3.0)  # 3.5 core-hours are 7 USD: 3 are left
    assert left_out(store) == {B: "left out by the budget of 10 USD of tight: needs about 2.00, more than is left"}, "A takes 3"


def test_a_run_costs_its_useful_hours_and_what_was_paid_is_beside_it(store):
    priced(store, "study", a_run(A), a_run(B), price={"cpu": 2.0})
    trained(store, A, useful=100.0, startup=10.0)
    with store.read() as session:
        rows = {row["id"]: row for row in queries.runs(session)}
        detail, (experiment,) = queries.run_detail(session, A), queries.experiments(session)
    for row in (rows[A], detail):
        assert row["cost"] == pytest.approx(200.0)
        assert row["allocated_cost"] == pytest.approx(220.0)
        assert row["currency"] == "USD"
    assert rows[B]["cost"] is None
    assert rows[B]["currency"] is None
    assert (experiment["cost"], experiment["allocated_cost"]) == pytest.approx((200.0, 220.0))
    assert experiment["currency"] == "USD"


def test_a_shared_run_has_the_price_that_is_asked_about_else_the_newest(store):
    run = a_run(A)
    priced(store, "old", run, price={"cpu": 2.0})
    priced(store, "new", run, price={"cpu": 3.0}, currency="EUR")
    priced(store, "bare", run)
    trained(store, A, useful=100.0)
    with store.read() as session:
        found = {name: queries.runs(session, experiment=name)[0] for name in ("old", "new", "bare", None)}
    assert found["old"]["cost"] == pytest.approx(200.0)
    assert found["old"]["currency"] == "USD"
    for name in ("new", "bare", None):
        assert found[name]["cost"] == pytest.approx(300.0)
        assert found[name]["currency"] == "EUR"


def test_a_run_has_the_chips_of_its_cores_by_what_its_file_declares(store):
    """Two cores are one chip of a card of two; of a cpu a core is a chip."""
    card = {"name": "cpu-2", "cores_per_chip": 2, "price": None, "aliases": []}
    with store.write() as session:
        resolved = {"accelerators": [card], "resources": {"accelerator": "cpu-2"}, "runs": [A]}
        accept(session, name="own", file="f", text="", resolved=resolved, shared={}, runs=[a_run(A)])
    priced(store, "plain", a_run(B))
    for run in (A, B):
        trained(store, run, useful=100.0)
    with store.write() as session:
        session.get(Run, A).accelerator = "cpu-2"
    runs = with_cost(store.runs(), ["cpu-2=3", "cpu=1"])
    assert runs.set_index("id")[["cores", "chips", "cost"]].to_dict("index") == {
        A: {"cores": 2, "chips": 1, "cost": pytest.approx(150.0)},
        B: {"cores": 2, "chips": 2, "cost": pytest.approx(100.0)},
    }
    assert not [note for note in source_of(runs)["notes"] if "taken as one core" in note]


def test_a_new_price_counts_for_runs_that_are_done_and_an_accelerator_without_one_is_not_guessed(store):
    run = a_run(A)
    priced(store, "study", run, price={"cpu": 2.0})
    trained(store, A, useful=100.0)
    priced(store, "study", run, price={"cpu": 5.0})
    with store.read() as session:
        assert queries.runs(session)[0]["cost"] == pytest.approx(500.0)
    priced(store, "study", run, price={"H100": 5.0})
    with store.read() as session:
        assert queries.runs(session)[0]["cost"] is None
        assert queries.experiments(session)[0]["allocated_cost"] is None
