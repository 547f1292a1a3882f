"""Changing runs over HTTP: who may, from where, and what becomes of it."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from api import create_app
from api.guard import COOKIE, Login
from api.token import read_token
from orchestrator.resources import Resources, RunOptions
from orchestrator.store import Store
from orchestrator.store.models import Run
from orchestrator.store.steering import possible
from scaling.errors import UsageError
from scaling.outcomes import RunStatus
from tests.api.small_grid import run_row
from tests.api.test_problems import problem_of

TOKEN = "correct-horse-battery-staple"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HERE = {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}
PAUSE = "/api/v1/steer/pause"
BODIES = {
    "pause": {"all": True},
    "resume": {"all": True},
    "cancel": {"all": True},
    "retry": {"all": True},
    "priority": {"all": True, "priority": 3},
    "exclude": {"run": "x", "reason": "broken"},
}


@pytest.fixture
def store(tmp_path):
    """Two runs that wait, one of which can be told by its first digit, and an imported one."""
    path = tmp_path / "own.db"
    with Store.open(str(path)) as store, store.write() as session:
        session.add_all(Run(**run_row("nano-F0", epochs, 0)) for epochs in (1, 2))
        foreign = {
            "resources": Resources("", 0),
            "options": RunOptions(),
            "imported_from": "theirs.csv",
            "scores": {"imported_id": "a"},
        }
        session.add(Run(**{**run_row("nano-F1", 4, 0), "status": RunStatus.FINISHED, **foreign}))
    return path


@pytest.fixture
def client(store):
    return TestClient(create_app(str(store), token=TOKEN, allow_hosts=["testserver"]), raise_server_exceptions=False)


@pytest.fixture
def own():
    return [run_row("nano-F0", epochs, 0)["id"] for epochs in (1, 2)]


def rows(path):
    with Store.open_readonly(str(path)) as store, store.read() as session:
        return {run.id: (str(run.status), run.priority, run.excluded_reason) for run in session.query(Run)}


def log_in(client, token=TOKEN, **headers):
    return client.post("/login", data={"token": token, "back": "/runs"}, headers=headers or HERE, follow_redirects=False)


@pytest.mark.parametrize("action", BODIES)
def test_without_a_token_nothing_is_changed(store, action):
    client = TestClient(create_app(str(store)), raise_server_exceptions=False)
    before = rows(store)
    body = problem_of(client.post(f"/api/v1/steer/{action}", json=BODIES[action], headers=BEARER), 403)
    assert body["code"] == "steering-off"
    assert "--token-file" in body["hint"]
    assert rows(store) == before


@pytest.mark.parametrize("action", BODIES)
@pytest.mark.parametrize(
    "given", [{}, {"Authorization": f"Bearer {TOKEN[:-1]}"}, {"Authorization": f"Basic {TOKEN}"}, {"Cookie": f"{COOKIE}=x"}]
)
def test_a_wrong_token_changes_nothing(client, store, action, given):
    before = rows(store)
    answer = client.post(f"/api/v1/steer/{action}", json=BODIES[action], headers={**given, **HERE})
    assert problem_of(answer, 401)["code"] == "login-needed"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert rows(store) == before


@pytest.mark.parametrize(
    "foreign",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://testserver:8001"},  # another port is the same site, and gets the cookie
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"},
        {},  # a browser always says where a POST comes from
    ],
)
def test_a_page_of_another_site_changes_nothing(client, store, own, foreign):
    log_in(client)
    before = rows(store)
    for path in (PAUSE, "/steer/pause", "/logout"):
        assert problem_of(client.post(path, data={"run": own[0]}, headers=foreign), 403)["code"] == "cross-site"
    assert rows(store) == before


def test_a_page_of_another_site_logs_nobody_in(client):
    answer = log_in(client, Origin="https://evil.example")
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_every_route_that_changes_something_is_guarded(client):
    for path, kinds in client.get("/openapi.json").json()["paths"].items():
        assert set(kinds) == {"post"} if path.startswith("/api/v1/steer/") else set(kinds) == {"get"}, path


def test_what_the_commands_do(client, store, own):
    def ask(action, **body):
        answer = client.post(f"/api/v1/steer/{action}", json=body, headers=BEARER)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert ask("pause", runs=[own[0][:8]])["result"] == "1 paused"
    assert rows(store)[own[0]][0] == "paused"
    assert ask("resume", all=True)["result"].startswith("1 resumed")
    assert ask("priority", runs=own, priority=7)["result"] == "2 given the new priority"
    assert ask("cancel", runs=own)["result"] == "2 cancelled"
    assert ask("retry", runs=[own[1]])["result"] == "1 pending again"
    assert ask("exclude", run=own[0], reason="loader was broken") == {
        "schema_version": 1,
        "run": own[0],
        "reason": "loader was broken",
    }
    assert {run: rows(store)[run] for run in own} == {own[0]: ("cancelled", 7, "loader was broken"), own[1]: ("pending", 7, None)}
    ask("exclude", run=own[0], reason=None)
    assert rows(store)[own[0]][2] is None


@pytest.mark.parametrize("action", ["pause", "resume", "cancel", "retry"])
def test_imported_runs_are_refused(client, store, action):
    imported = run_row("nano-F1", 4, 0)["id"]
    before = rows(store)
    body = problem_of(client.post(f"/api/v1/steer/{action}", json={"runs": [imported]}, headers=BEARER), 422)
    assert "was imported from theirs.csv" in body["detail"]
    assert rows(store) == before


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("pause", {"runs": ["zzzz"]}, "'zzzz'"),
        ("exclude", {"run": "zzzz", "reason": "broken"}, "'zzzz'"),
        ("pause", {"experiment": "nowhere"}, "'nowhere'"),
        ("pause", {}, "which runs?"),
        ("pause", {"runs": ["a"], "all": True}, "which runs?"),
        ("priority", {"all": True}, "priority: field required"),
        ("priority", {"all": True, "priority": 2**31}, "a number of at most"),
        ("pause", {"run": "a"}, "there is no such parameter"),
        ("pause", {"runs": ["a\x00"]}, "match pattern"),
    ],
)
def test_a_request_that_makes_no_sense(client, store, path, body, words):
    before = rows(store)
    assert words in problem_of(client.post(f"/api/v1/steer/{path}", json=body, headers=BEARER), 422)["detail"]
    assert rows(store) == before


def test_a_request_that_is_too_long_is_not_read(client):
    assert problem_of(client.post(PAUSE, json={"runs": ["a" * 100] * 1000}, headers=BEARER), 413)
    assert problem_of(client.post(PAUSE, content=iter([b"a" * 40_000] * 3), headers=BEARER), 413)


def test_a_browser_logs_in_and_out(client, store, own):
    page = client.get("/login").text
    assert 'name="token"' in page
    wrong = log_in(client, "not-the-token-at-all")
    assert wrong.status_code == 401
    assert "That is not the token" in wrong.text
    cookie = log_in(client).headers["set-cookie"]
    assert TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert "Log out" in client.get("/login").text
    page = client.get(f"/runs/{own[0]}").text
    assert 'formaction="/steer/pause"' in page
    done = client.post("/steer/pause", data={"run": own[0], "back": f"/runs/{own[0]}"}, headers=HERE)
    assert "1 paused." in done.text
    assert f'href="/runs/{own[0]}"' in done.text
    page = client.get(f"/runs/{own[0]}").text
    assert 'formaction="/steer/resume"' in page
    assert 'formaction="/steer/pause"' not in page
    client.post("/steer/exclude", data={"run": own[0], "reason": "loader <b>", "back": f"/runs/{own[0]}"}, headers=HERE)
    assert "No fit uses it: loader &lt;b&gt;" in client.get(f"/runs/{own[0]}").text
    client.post("/logout", headers=HERE)
    sent = client.post(
        "/steer/resume",
        data={"run": own[0]},
        headers=HERE | {"Referer": f"http://testserver/runs/{own[0]}"},
        follow_redirects=False,
    )
    assert (sent.status_code, sent.headers["location"]) == (303, f"/login?back=/runs/{own[0]}")
    assert rows(store)[own[0]][0] == "paused"


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\nb"])
def test_a_login_leads_to_no_other_site(client, back):
    answer = client.post("/login", data={"token": TOKEN, "back": back}, headers=HERE, follow_redirects=False)
    assert answer.headers["location"] == "/runs"


def test_pages_have_no_buttons_without_a_token(store, own):
    client = TestClient(create_app(str(store)))
    for path in (f"/runs/{own[0]}", "/runs"):
        page = client.get(path).text
        assert "/steer/" not in page
        assert "/login" not in page
    assert "only shows runs" in client.get("/login").text


def test_another_token_makes_the_cookie_worthless():
    assert not Login("another-token-of-ours").is_cookie(Login(TOKEN).cookie)


def test_what_can_be_asked_of_a_run():
    assert possible("running") == ["pause", "cancel", "priority"]
    assert possible("paused") == ["resume", "cancel", "priority"]
    assert possible("failed") == ["retry"]
    assert possible("finished") == []


def test_a_token_is_read_from_its_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    assert read_token(path) == TOKEN


@pytest.mark.parametrize(
    ("content", "words"), [("short", "this one has 5"), ("two words in one line", "one word"), ("ä" * 20, "ASCII"), ("", "has 0")]
)
def test_a_token_that_is_none(tmp_path, content, words):
    path = tmp_path / "token"
    path.write_text(content)
    with pytest.raises(UsageError, match=words):
        read_token(path)


def test_a_token_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_token(tmp_path / "none")
