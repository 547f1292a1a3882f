"""Runs that share a trunk, as the pages and commands tell of them: what they did cost, and what they would cost alone."""

import html
import re

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from api import create_app
from orchestrator.store import Store
from scaling.cli.app import app
from tests.orchestrator.rows import accepted
from tests.orchestrator.store.test_trunks import CHILD, PARENT, ended, family, granted, progress


def share_a_trunk(store):
    """Write a parent of 360 s of two cores; a child that inherited 72 of them and did 18 itself."""
    accepted(store, *family())
    parent = granted(store, PARENT)
    progress(store, parent, checkpoints=[(80, 72.0), (400, 360.0)])
    ended(store, parent, useful=360.0)
    child = granted(store, CHILD)
    progress(store, child, first_step=80, checkpoints=[(100, 18.0)])
    ended(store, child, useful=18.0)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "scaling.db"
    with Store.open(str(path)) as store:
        share_a_trunk(store)
    return str(path)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/experiments", "Spent on them 0.210, 16 % saved by shared trunks"),
        (
            "/experiments/study",
            "Spent core-hours 0.210 what the grid did cost; its runs would cost 0.250 alone: 16 % saved by shared trunks",
        ),
        (f"/runs/{CHILD}", "0.0400 of them by the trunk it shares, 0.0100 its own, 0.0100 allocated"),
        (f"/runs/{CHILD}", f"started from attempt 1 of {PARENT[:8]}"),
    ],
)
def test_pages_show_both_costs(database, path, told):
    response = TestClient(create_app(database)).get(path)
    assert response.status_code == 200
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.text)).split())
    assert told in text, text


def test_commands_show_both_costs(database):
    def printed(*arguments):
        return CliRunner().invoke(app, [*arguments, "--db", database]).stdout

    assert "study did cost 0.210 core-hours; its runs would cost 0.250 alone: 16% saved by shared trunks" in printed("status")
    assert "these runs did cost 0.210 core-hours; alone they would cost 0.250: 16% saved by shared trunks" in printed("runs")
    assert "inherited_core_hours  0.0400" in printed("runs", CHILD)


def test_the_api_gives_the_numbers(database):
    (row,) = TestClient(create_app(database)).get("/api/v1/experiments").json()["experiments"]
    assert (row["spent_core_hours"], row["saved"]) == (pytest.approx(0.21), pytest.approx(0.16))
    (child,) = [run for run in TestClient(create_app(database)).get("/api/v1/runs").json()["runs"] if run["id"] == CHILD]
    assert (child["core_hours"], child["inherited_core_hours"]) == (pytest.approx(0.05), pytest.approx(0.04))
