"""`GET /api/v1/runs?after=`: a client that asks for what changed holds what a full listing says."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from api import create_app
from api.watcher import Watcher
from orchestrator.store import Store, steering
from orchestrator.store.imported import imported_run, write
from orchestrator.store.lease import take
from orchestrator.store.models import Change, Lease, Run, now
from tests.api.small_grid import begin
from tests.api.test_live import add_run
from tests.api.test_live import run as in_a_loop


@pytest.fixture
def path(tmp_path):
    begin(tmp_path / "begun.db")
    return tmp_path / "begun.db"


@pytest.fixture
def client(path):
    return TestClient(create_app(str(path)))


class Mirror:
    """Holds the rows of what it asks for, and asks for increments from then on. asks: conditions and `limit`."""

    def __init__(self, client, between=lambda: None, **asks):
        self.client, self.asks, self.rows, self.version = client, asks, {}, None
        self.told = self.left = frozenset()
        self.catch_up(between)

    def catch_up(self, between=lambda: None):
        """Follow the pages; returns how many there were. between: called after each page."""
        page, told, left, pages = {"next": None}, set(), set(), 0
        while pages == 0 or page["next"]:
            where = {"next": page["next"]} if page["next"] else {"after": self.version} if self.version else {}
            answer = self.client.get("/api/v1/runs", params=self.asks | where)
            assert answer.status_code == 200, answer.text
            page, pages = answer.json(), pages + 1
            told |= {row["id"] for row in page["runs"]}
            left |= set(page["left"])
            for gone in page["left"]:
                self.rows.pop(gone, None)
            self.rows |= {row["id"]: row for row in page["runs"]}
            between()
        self.version, self.told, self.left = page["version"], told, left
        return pages

    def is_right(self):
        conditions = {name: value for name, value in self.asks.items() if name != "limit"}
        listed = self.client.get("/api/v1/runs", params=conditions | {"limit": 1000}).json()
        return self.rows == {row["id"]: row for row in listed["runs"]} and len(self.rows) == listed["total"]


def test_increments_are_what_changed_page_by_page(path, client):
    mirror = Mirror(client, limit=7)
    assert mirror.is_right()
    mirror.catch_up()
    assert (mirror.told, mirror.left) == (set(), set())
    for number in range(9):
        add_run(path, number)
    with Store.open(str(path)) as store, store.write() as session:
        steering.exclude(session, sorted(mirror.rows)[0], "odd")
    assert mirror.catch_up() == 2
    assert mirror.is_right()
    assert len(mirror.told) >= 10


def test_what_is_written_between_two_pages_of_the_first_listing_is_not_missed(path, client):
    numbers = iter(range(100))
    mirror = Mirror(client, lambda: add_run(path, next(numbers), created_at=now() - timedelta(days=999)), limit=7, sort="-val_loss")
    assert not mirror.is_right(), "rows came before the pages that were read last"
    mirror.asks.pop("sort")
    mirror.catch_up()
    assert mirror.is_right()


def test_a_run_that_matches_no_more_or_was_deleted_is_left(path, client):
    waiting, all_runs = Mirror(client, status="pending"), Mirror(client)
    one = sorted(waiting.rows)[0]
    runs = [imported_run("theirs", name, {"status": "finished", "val_loss": 1.0}, file="runs.csv") for name in "ab"]
    how = {"file": "runs.csv", "text": "how", "source": {"file": "runs.csv", "mapping": {}}}
    with Store.open(str(path)) as store, store.write() as session:
        session.execute(sa.update(Run).where(Run.id == one).values(status="paused"))
        write(session, "theirs", new=runs, **how)
    for mirror in (waiting, all_runs):
        mirror.catch_up()
        assert mirror.is_right()
    assert one in waiting.left
    assert all_runs.told == {one, runs[0].id, runs[1].id}
    with Store.open(str(path)) as store, store.write() as session:
        write(session, "theirs", new=[], gone=[runs[0].id], **how)
    all_runs.catch_up()
    assert (all_runs.left, all_runs.is_right()) == ({runs[0].id}, True)


def test_a_scheduler_that_dies_is_told_though_nobody_writes_it(path, client):
    with Store.open(str(path)) as store, store.write() as session:
        take(session, "mine")
        session.execute(sa.update(Lease).values(host="elsewhere", expires_at=now() + timedelta(seconds=1.0)))
    mirror = Mirror(client)
    (training,) = [run_id for run_id, row in mirror.rows.items() if row["status"] == "running"]
    with Store.open(str(path)) as store, store.write() as session:
        session.execute(sa.update(Lease).values(expires_at=now() - timedelta(seconds=1)))
    mirror.catch_up()
    assert (mirror.told, mirror.rows[training]["status"], mirror.is_right()) == ({training}, "pending", True)
    mirror.catch_up()
    assert mirror.told == set()


def test_a_version_of_another_store_is_gone_and_nonsense_is_refused(client, client_of, tmp_path):
    another = client_of([])
    with Store.open(str(tmp_path / "own.db")) as store, store.write() as session:  # stores of tests are copies of one
        session.execute(sa.update(Change).where(Change.name == "runs").values(number=Change.number + 1))
    mine, others = Mirror(client).version, Mirror(another).version
    for version, status in ((others, 410), (mine + "9", 410), ("soon", 422), (mine + "-right", 422)):
        assert client.get("/api/v1/runs", params={"after": version}).status_code == status
    answer = client.get("/api/v1/runs", params={"after": others})
    assert answer.json()["code"] == "version-gone"
    assert client.get("/api/v1/runs", params={"after": mine, "sort": "val_loss"}).status_code == 422
    assert client.get("/runs", params={"after": mine}).status_code == 422, "the page shows all runs"


def test_the_version_of_an_event_is_one_to_ask_with(path, client):
    watcher = Watcher(client.app.state.database)

    async def told():
        async for _, event in watcher.events():
            return event

    version = in_a_loop(told())["runs_version"]
    assert version == Mirror(client).version
    add_run(path, 1)
    changed = client.get("/api/v1/runs", params={"after": version}).json()
    assert len(changed["runs"]) == changed["total"] - 30 == 1
