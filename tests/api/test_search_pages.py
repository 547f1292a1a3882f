"""How far searches for learning rates are, as the page, the command and the plan tell of them."""

import html
import re

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from api import create_app
from orchestrator.planning.accept import accept_plan
from orchestrator.planning.priced import Priced, price
from orchestrator.store import Store
from orchestrator.store.estimates import Rates
from orchestrator.store.models import Search
from scaling.cli.app import app
from tests.orchestrator.search.test_replay import plan_of  # noqa: F401 - a fixture


def search(store, plan, state, reason):
    """Write two cells: one is found, and the other `state`."""
    accept_plan(store, plan)
    with store.write() as session:
        first, second = session.query(Search).order_by(Search.id)
        first.state, first.trials, first.learning_rate = "settled", 3, 1.6
        second.state, second.trials, second.reason = state, 2, reason


@pytest.fixture
def database(tmp_path, plan_of):  # noqa: F811
    path = tmp_path / "scaling.db"

    def make(state, reason):
        with Store.open(str(path)) as store:
            search(store, plan_of(models="nano-F0", epochs="[1, 2]"), state, reason)
        return str(path)

    return make


def page(database):
    response = TestClient(create_app(database)).get("/experiments/search")
    assert response.status_code == 200
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.text)).split())


def test_a_page_says_that_runs_are_not_known_yet_only_while_cells_are_open(database):
    found = "The best learning rate is found in 1 of 2 cells, after 5 trials"
    assert f"{found}; the runs of the others are not all known yet." in page(database("searching", ""))


def test_why_a_cell_was_given_up_is_told(database):
    path = database("given-up", "a trial failed: no such image")
    told = "No learning rate for nano-F0, 2 epochs: given up, a trial failed: no such image"
    assert f"after 5 trials. {told}" in page(path)
    printed = " ".join(CliRunner().invoke(app, ["status", "--db", path]).stdout.split())
    assert f"search: no{told.removeprefix('No')}" in printed


def test_a_plan_of_searches_is_estimated_by_what_was_measured(plan_of):  # noqa: F811
    plan = plan_of(models="nano-F0", epochs="[1, 2]", seeds="[0, 1]")
    real = type(plan)(plan.spec.model_copy(update={"simulate": None}), plan.document, plan.card, plan.runs, plan.searches)
    run = plan.searches[0].run
    rates = Rates(by_family={(run.config.model.family, plan.spec.resources.accelerator): 1e-9})
    measured = price(real, rates)
    assert measured.measured == 6  # of two cells: two trials, and the other seed
    assert measured.plan.estimated_core_hours == pytest.approx(
        1e-9 * sum(search.expected_runs * search.run.train_flops for search in plan.searches)
    )
    cell = measured.to_dict()["cells"][0]
    assert cell["estimated_core_hours"] == pytest.approx(1e-9 * run.train_flops)
    assert set(cell) == set(Priced(plan_of(learning_rate="{grid: [1.6]}")).cells[0])
