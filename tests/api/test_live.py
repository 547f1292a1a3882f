"""Pages that keep up with the store: one watcher for all clients, one computation an answer, and what a reader sees of both."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from fastapi import APIRouter
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from api import create_app, pages, v1
from api.answered import Answered, of_results, of_store
from api.answers import Answers
from api.apart import Figures
from api.database import Database
from api.inward import Reply, ask
from api.watcher import Watcher
from orchestrator.store import Store
from orchestrator.store.models import Run
from tests.api.described import events_as_described
from tests.api.small_grid import begin, run_row


def run(coroutine):
    """Run it within a minute, in a thread: where a browser is at work, this one has a loop already."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(asyncio.wait_for(coroutine, 60))).result()


def add_run(path, number, **columns):
    with Store.open(str(path)) as store, store.write() as session:
        session.add(Run(**{**run_row("nano-F0", 1, 100 + number), "status": "finished", "core_hours": 0.1, **columns}))


@pytest.fixture
def path(tmp_path):
    begin(tmp_path / "begun.db")
    return tmp_path / "begun.db"


def test_one_watcher_serves_many_clients_and_tells_each_commit(path):
    watcher = Watcher(Database(str(path)))

    async def follow(told):
        async for name, event in watcher.events():
            told.append((name, event["version"]))
            if len(told) == 3:
                return

    async def watch():
        clients = [[] for _ in range(20)]
        following = [asyncio.create_task(follow(told)) for told in clients]
        for number in range(2):
            while not all(len(told) == number + 1 for told in clients):
                await asyncio.sleep(0.02)
            await asyncio.to_thread(add_run, path, number)
        await asyncio.gather(*following)
        return clients

    clients = run(watch())
    assert all(told == clients[0] for told in clients)
    assert len(set(clients[0])) == 3
    assert watcher.looks == 3


def test_the_stream_begins_with_what_is_unless_that_is_known_and_ends_with_the_server(path):
    watcher = Watcher(Database(str(path)))

    async def first(after=None):
        async for name, event in watcher.events(after):
            return name, event

    async def watch():
        name, event = await first()
        closed = asyncio.create_task(first(event["version"]))
        await asyncio.sleep(1.2)
        assert not closed.done(), "it knows that already"
        watcher.close()
        assert await closed is None
        return name, event

    name, event = run(watch())
    assert name == "progress"
    assert (event["experiment"], event["total"], event["over"]) == ("digits", 30, 2)
    assert event["running"][0]["model"] == "nano-F0"
    events_as_described(f"event: {name}\ndata: {json.dumps(event, allow_nan=False)}")
    nothing, unread = path.with_name("none.db"), path.with_name("unread.db")
    unread.write_text("not a database, but long enough to look like one " * 40)
    for other in (nothing, unread):
        told = Watcher(Database(str(other)))._look({})
        events_as_described(f"event: progress\ndata: {json.dumps(told)}")
        assert (told["problem"] is None) == (other is nothing)


def test_results_change_when_a_run_ends_and_not_when_one_advances(path):
    from sqlalchemy import update

    database = Database(str(path))
    before = database.version(), database.results()

    def after(statement):
        with Store.open(str(path)) as store, store.write() as session:
            session.execute(statement)
        return database.version(), database.results()

    stepped = after(update(Run).where(Run.status == "running").values(step=1, train_loss=0.5, core_hours=0.3))
    assert stepped[0] != before[0]
    assert stepped[1] == before[1]
    known = {stepped[1]}
    for change in (
        update(Run).where(Run.status == "running").values(status="finished", val_loss=0.4),
        update(Run).where(Run.status == "finished", Run.val_loss > 0.4).values(val_loss=0.39),
        update(Run).where(Run.status == "finished", Run.val_loss < 0.395).values(excluded_reason="noise"),
    ):
        results = after(change)[1]
        assert results not in known
        known.add(results)


router = APIRouter()
for link in ("/frontier", "/frontier.csv"):
    router.add_api_route(link, of_results(lambda: None))
router.add_api_route("/experiments/{name}", of_store(lambda name: None))
router.add_api_route("/runs", lambda: None)
MARKED = Answered([("", router)])


def test_which_routes_are_marked():
    assert [
        MARKED.of(path) for path in ("/frontier", "/frontier.csv", "/experiments/a b", "/experiments/a/b", "/runs", "/frontiers")
    ] == [
        "results",
        "results",
        "store",
        None,
        None,
        None,
    ]


def test_the_json_of_the_analysis_is_marked_as_its_pages_are(client):
    marked = Answered([*(("", router) for router in pages.routers()), *((v1.PREFIX, router) for router in v1.routers)])
    of_runs = ("runs", "experiments", "progress", "events")
    paths = [path for path in client.app.openapi()["paths"] if path.startswith("/api/v1/") and path.split("/")[3] not in of_runs]
    reads = [path for path in paths if "get" in client.app.openapi()["paths"][path]]
    assert "/api/v1/fits" in reads
    assert {marked.of(path) for path in reads} == {"results"}


class Slow:
    """Computes when told to: a worker whose answers a test holds back."""

    def __init__(self):
        self.asked = []

    def begin(self, path, query, accept, state):
        self.asked.append((path, state["version"], Future()))
        return self.asked[-1][2]

    def finish(self, text):
        page = f'<html lang="en"><!-- reload --><p>{text}</p>'
        self.asked[-1][2].set_result(Reply(200, [(b"content-type", b"text/html")], page.encode()))


def asked(app, link="/frontier", accept=b"text/html"):
    return ask(app, link, b"", accept, {})


def over(path, worker, told=lambda link: None, patience=0.01):
    return Answers(
        PlainTextResponse("the route itself"),
        database=Database(str(path)),
        worker=worker,
        answered=MARKED,
        told=told,
        patience_seconds=patience,
    )


def test_fifty_clients_get_the_last_answer_at_once_while_one_is_computed_a_version(path):
    worker, told = Slow(), []
    app = over(path, worker, told.append, patience=0.2)

    async def versions():
        waiting = asyncio.create_task(asked(app))
        while not worker.asked:
            await asyncio.sleep(0.01)
        worker.finish("first")
        assert b"<p>first</p>" in (await waiting).body
        for number, text in ((0, "second"), (1, "third")):
            await asyncio.to_thread(add_run, path, number)
            stale = await asyncio.gather(*[asked(app) for _ in range(50)])
            assert {reply.body.count(b"data-stale") for reply in stale} == {1}
            assert {reply.body.count(b'http-equiv="refresh"') for reply in stale} == {1}
            assert {dict(reply.headers)[b"cache-control"] for reply in stale} == {b"no-store"}
            while len(worker.asked) < number + 2:  # a link rests after an answer
                await asyncio.sleep(0.01)
            worker.finish(text)
            while len(told) < number + 2:
                await asyncio.sleep(0.01)
            fresh = await asyncio.gather(*[asked(app) for _ in range(50)])
            assert {reply.body for reply in fresh} == {f'<html lang="en"><!-- reload --><p>{text}</p>'.encode()}

    run(versions())
    assert len(worker.asked) == 3
    assert len({version for _, version, _ in worker.asked}) == 3
    assert told == ["/frontier"] * 3


def test_a_csv_waits_for_an_answer_that_was_begun_after_it_was_asked_for(path):
    worker = Slow()
    app = over(path, worker)

    async def twice():
        early = asyncio.create_task(asked(app, "/frontier.csv", b"*/*"))
        while not worker.asked:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(add_run, path, 0)
        late = asyncio.create_task(asked(app, "/frontier.csv", b"*/*"))
        await asyncio.sleep(0.2)
        worker.finish("early")
        while len(worker.asked) < 2:
            await asyncio.sleep(0.01)
        worker.finish("late")
        return await early, await late

    early, late = run(twice())
    assert b"early" in early.body
    assert b"late" in late.body
    assert len(worker.asked) == 2


def test_a_mistake_of_the_worker_is_told_and_not_kept(path):
    worker = Slow()
    app = over(path, worker, patience=5)

    async def twice():
        failing = asyncio.create_task(asked(app))
        while not worker.asked:
            await asyncio.sleep(0.01)
        worker.asked[-1][2].set_result(Reply(500, [], b"mistake"))
        assert (await failing).status == 500
        again = asyncio.create_task(asked(app))
        while len(worker.asked) < 2:
            await asyncio.sleep(0.01)
        worker.finish("better")
        return await again

    assert b"better" in run(twice()).body


def test_its_own_process_answers_as_threads_do(filled_store, client, tmp_path):
    shutil.copy(filled_store, tmp_path / "own.db")
    app = create_app(str(tmp_path / "own.db"), own_process=True)
    with TestClient(app) as other:
        body = other.get("/frontier.csv").text
    assert body == client.get("/frontier.csv").text


def test_figures_of_a_large_page_are_apart_and_those_of_a_small_one_are_not():
    figures, figure = Figures(), b'{"data": ["' + b"x" * 200_000 + b'"]}'
    page = b'<head></head><p><script type="application/json">' + figure + b'</script><script type="application/json">{}</script>'
    small = figures.apart(page)
    assert len(small) < 300
    assert b'<script type="application/json">{}</script>' in small
    (address,) = re.findall(r'data-src="([^"]+)"', small.decode())
    assert f'<link rel="preload" as="fetch" href="{address}"' in small.decode().partition("</head>")[0]
    answer = figures.response(address)
    assert bytes(answer.body) == figure
    assert "immutable" in answer.headers["cache-control"]
    assert figures.response("/figures/other.json").status_code == 404
    assert figures.apart(page[-100:]) == page[-100:]
