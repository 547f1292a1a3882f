"""What a search did, beside a grid of the same runs: known losses, known costs."""

import json

import pytest

from orchestrator.planning.accept import accept_plan
from orchestrator.search.report import reports_payload, search_report
from orchestrator.store import Store
from orchestrator.store.models import Run
from tests.orchestrator.search.test_replay import finish_one, plan_of  # noqa: F401 - a fixture

GRID = "{grid: [0.4, 0.8, 1.6, 3.2, 6.4]}"


@pytest.fixture
def searched(plan_of, tmp_path):  # noqa: F811
    """A store in which two cells were searched for, each run charged an hour; and a way to train a grid beside them."""
    with Store.open(str(tmp_path / "scaling.db")) as store:

        def train(**options):
            accept_plan(store, renamed(plan_of(models="nano-F0", epochs="[1, 2]", seeds="[0, 1]", **options)))
            while finish_one(store):
                pass
            with store.write() as session:
                session.query(Run).update({Run.core_hours: 1.0})

        train()
        yield store, train


def renamed(plan):
    """Another experiment for a grid: its name is the file's but for the policy."""
    name = "search" if plan.searches else "grid"
    return type(plan)(plan.spec.model_copy(update={"name": name}), plan.document, plan.card, plan.runs, plan.searches)


def test_without_a_grid_its_cost_is_estimated_and_no_regret_is_claimed(searched):
    store, _ = searched
    with store.read() as session:
        report = search_report(session, "search")
    first, second = report.cells
    assert (first.trials, second.trials, report.trials_per_cell) == (3, 2, 2.5)
    assert (first.core_hours, second.core_hours) == (4.0, 3.0)  # trials on one seed, the rate found once more on the other
    assert (first.grid_core_hours, first.grid_rates) == (10.0, 0)
    assert report.share_of_grid == pytest.approx(7 / 20)
    assert (first.runs, second.runs, first.grid_runs) == (4, 3, 10)
    assert report.share_of_grid_flops == pytest.approx(
        (4 * first.train_flops + 3 * second.train_flops) / (10 * first.train_flops + 10 * second.train_flops)
    )
    assert report.core_hours_saved == pytest.approx(13)
    assert report.regret is None


def test_beside_a_grid_regret_and_cost_are_the_grids(searched):
    store, train = searched
    train(learning_rate=GRID)
    with store.write() as session:  # as if 0.8 had been better in one cell, by 2 % of its best
        found = session.query(Run).filter_by(epochs=1.0, learning_rate=1.6).all()
        for run in session.query(Run).filter_by(epochs=1.0, learning_rate=0.8, seed=1):
            run.val_loss = 1.0
        for run in session.query(Run).filter_by(epochs=1.0, learning_rate=0.8, seed=0):
            run.val_loss = found[0].val_loss / 0.51 - 1.0
    with store.read() as session:
        report = search_report(session, "search")
    first, second = report.cells
    assert (first.grid_rates, first.grid_core_hours, first.best_rate) == (5, 10.0, 0.8)
    assert first.regret == pytest.approx(0.02)
    assert second.regret == 0.0
    assert report.regret == pytest.approx(0.01)
    assert second.seed_std == pytest.approx(0.0)
    payload = json.loads(json.dumps(reports_payload([report]), allow_nan=False))
    assert payload["searches"][0]["cells"][0]["regret"] == pytest.approx(0.02)


def test_fewer_rates_than_five_are_no_grid(searched):
    store, train = searched
    train(learning_rate="{grid: [0.4, 0.8, 1.6, 3.2]}")
    with store.read() as session:
        assert {cell.grid_rates for cell in search_report(session, "search").cells} == {0}


def test_of_a_wider_grid_the_five_rates_next_to_the_one_found_count(searched):
    store, train = searched
    train(learning_rate="{grid: [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4]}")
    with store.read() as session:
        first = search_report(session, "search").cells[0]
    assert first.learning_rate == 1.6
    assert (first.grid_rates, first.grid_runs, first.grid_core_hours, first.best_rate) == (5, 10, 10.0, 1.6)


def test_another_search_is_no_grid_however_many_rates_it_tried(searched, plan_of):  # noqa: F811
    store, _ = searched
    far = plan_of(
        models="nano-F0", epochs="[1]", seeds="[0, 1]", learning_rate="{policy: two-trial, start: 51.2, factor: 2, seeds: all}"
    )
    accept_plan(store, type(far)(far.spec.model_copy(update={"name": "far"}), far.document, far.card, far.runs, far.searches))
    while finish_one(store):
        pass
    with store.read() as session:
        assert search_report(session, "far").cells[0].trials >= 6
        assert search_report(session, "search").cells[0].grid_rates == 0
