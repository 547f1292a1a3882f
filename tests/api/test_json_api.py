"""The JSON API: the objects that the command prints too, filters, pages, ETag."""

from __future__ import annotations

import csv
import io
import json

import pytest

from analysis import (
    answer,
    choose_law,
    compare,
    compute_optimal,
    fit_all,
    frontier,
    learning_rate_trend,
    payload,
    plan,
    regret,
    score,
)
from analysis.fitting.fit_all import BESIDE
from analysis.planning.neighbours import neighbouring_cells
from analysis.reading.source import attach_source, source_of
from orchestrator.store import Store, queries
from orchestrator.store.models import Run
from orchestrator.store.payloads import experiments_payload, runs_payload
from scaling.cli.app import app
from scaling.columns import RUN_COLUMNS, SCHEMA_VERSION
from scaling.errors import UnknownName
from tests.api.described import operations
from tests.api.small_grid import run_row


@pytest.fixture(scope="module")
def runs(filled_store):
    with Store.open_readonly(str(filled_store)) as store:
        yield store.runs()


def strict(response):
    """The body, read by a parser that knows no NaN."""

    def refuse(name):
        raise AssertionError(f"{name} in JSON")

    assert response.headers["content-type"].startswith("application/json")
    return json.loads(response.text, parse_constant=refuse)


def test_frontier_is_the_payload_of_the_analysis(client, runs):
    expected = payload(frontier(runs, x="train_flops"), answer=answer(runs, x="train_flops"), regret=regret(runs, x="train_flops"))
    for path in ("/api/v1/frontier", "/frontier.json"):
        body = strict(client.get(path, params={"x": "flops"}))
        assert body == expected
    assert "Best so far: nano-F3 at 16 epochs" in body["answer"]["sentence"]


def test_frontier_csv_is_that_of_the_analysis(client, runs):
    answer = client.get("/frontier.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text == frontier(runs).to_csv()


def test_a_link_pins_and_ties_as_the_command_does(client, runs):
    asked = {"law": ["power-floor"], "on": "all", "pin": ["E=0.1"], "bootstrap": 100}
    body = strict(client.get("/api/v1/fits", params=asked))
    assert body == payload(fit_all(runs, laws=["power-floor"], on="all", pin={"E": 0.1}, bootstrap=100))
    assert body["fits"][0]["coefficients"]["E"] == {"value": 0.1, "low": None, "high": None}
    refused = client.get("/api/v1/fits", params={**asked, "tie": "A=a"})
    assert refused.status_code == 422
    assert "A is a scale, a is an exponent" in refused.text
    optimum = client.get("/api/v1/optimum", params={"law": "chinchilla", "tie": "alpha=betta"})
    assert 'did you mean \\"beta\\"' in optimum.text


def test_fits_are_the_payload_of_the_analysis(client, runs):
    body = strict(client.get("/api/v1/fits", params={"bootstrap": 100}))
    assert body == payload(fit_all(runs, on="both", bootstrap=100))
    for on in ("frontier", "all"):
        first, *others = (found for found in body["fits"] if found["on"] == on)
        assert first["chosen"]
        assert first == choose_law(runs, on=on, bootstrap=100).to_dict()
        assert {first["law"], *(found["law"] for found in others)} >= set(BESIDE)


def test_one_law_of_one_experiment(client):
    body = strict(client.get("/api/v1/fits", params={"law": "power", "on": "all", "experiment": "digits", "level": 0.9}))
    (found,) = body["fits"]
    assert (found["law"], found["on"], found["level"]) == ("power", "all", 0.9)
    assert {"diverged", "failed"} <= {entry["reason"] for entry in found["excluded"]}


@pytest.mark.parametrize("path", ["/api/v1/learning-rate", "/learning-rate.json"])
def test_learning_rate_is_the_payload_of_the_analysis(client, runs, path):
    assert strict(client.get(path)) == payload(learning_rate_trend(runs))


def test_the_rate_of_a_cell_that_was_not_run(client, runs):
    trend = learning_rate_trend(runs)
    body = strict(client.get("/api/v1/learning-rate", params={"at_model": "nano-F0", "at_epochs": 64}))
    assert body["cell"] == trend.predict_cell(model="nano-F0", epochs=64).to_dict()
    assert client.get("/api/v1/learning-rate", params={"at_model": "nano-F0"}).status_code == 422
    assert client.get("/api/v1/learning-rate", params={"at_model": "nano-F9", "at_epochs": 1}).status_code in (404, 422)


@pytest.mark.parametrize("path", ["/api/v1/experiments", "/experiments.json"])
def test_experiments(client, filled_store, path):
    body = strict(client.get(path))
    with Store.open_readonly(str(filled_store)) as store, store.read() as session:
        assert body == experiments_payload(queries.experiments(session), queries.scheduler(session))
    assert [row["name"] for row in body["experiments"]] == ["first-look", "digits"]


def test_one_experiment(client):
    body = strict(client.get("/api/v1/experiments/first-look"))
    assert body["experiment"]["runs"] == {"finished": 2}
    assert len(body["run_ids"]) == 2


def test_pages_of_runs_join_to_all_of_them(client, filled_store):
    with Store.open_readonly(str(filled_store)) as store, store.read() as session:
        everything = runs_payload(queries.runs(session))
    seen, token = [], None
    while True:
        body = strict(client.get("/api/v1/runs", params={"limit": 17} | ({"next": token} if token else {})))
        assert body["schema_version"] == SCHEMA_VERSION
        assert body["total"] == everything["total"]
        seen += body["runs"]
        token = body["next"]
        if token is None:
            break
        assert len(body["runs"]) == 17
    assert seen == everything["runs"]
    assert {**strict(client.get("/runs.json")), **everything} == strict(client.get("/runs.json"))


def test_a_next_of_another_list_is_refused(client):
    token = client.get("/api/v1/runs", params={"limit": 3, "sort": "val_loss"}).json()["next"]
    assert client.get("/api/v1/runs", params={"limit": 5, "sort": "val_loss", "next": token}).status_code == 200
    for other in ({}, {"sort": "-val_loss"}, {"sort": "val_loss", "status": "finished"}, {"sort": "val_loss", "q": "F1"}):
        answer = client.get("/api/v1/runs", params={"limit": 3, "next": token, **other})
        assert answer.status_code == 422, other
        assert "other conditions or another order" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"status": "diverged"}, 1),
        ({"status": ["diverged", "failed"]}, 2),
        ({"model": "nano-F1"}, 11),
        ({"family": "vit"}, 0),
        ({"experiment": "first-look"}, 2),
        ({"experiment": "", "status": "", "model": ""}, 43),
    ],
)
def test_filters(client, filters, count):
    body = strict(client.get("/api/v1/runs", params=filters))
    assert body["total"] == len(body["runs"]) == count


def test_a_row_has_the_columns_and_the_csv_too(client):
    names = [column.name for column in RUN_COLUMNS]
    (row,) = strict(client.get("/api/v1/runs", params={"limit": 1}))["runs"]
    assert set(row) == set(names)
    rows = list(csv.DictReader(io.StringIO(client.get("/runs.csv").text)))
    assert list(rows[0]) == names
    assert len(rows) == 43
    assert float(rows[0]["val_loss"]) == row["val_loss"]
    assert rows[0]["experiments"].split() == row["experiments"]


def test_a_run_by_any_unique_prefix(client):
    (row,) = strict(client.get("/api/v1/runs", params={"status": "diverged"}))["runs"]
    body = strict(client.get(f"/api/v1/runs/{row['id'][:8]}"))["run"]
    assert body["id"] == row["id"]
    assert body["metrics"]["train_loss"] == [[1, 2.3], [9, None]]
    assert body["attempt_rows"][0]["outcome"] == "diverged"
    assert client.get(f"/runs/{row['id']}.csv").text.splitlines() == ["step,metric,value", "1,train_loss,2.3", "9,train_loss,"]


def test_infinity_is_null(client_of):
    row = {**run_row("nano-F0", 1, 0), "val_loss": float("inf"), "config": {"clip": float("inf")}, "status": "finished"}
    client = client_of([row])
    assert strict(client.get("/api/v1/runs"))["runs"][0]["val_loss"] is None
    assert strict(client.get(f"/api/v1/runs/{row['id']}"))["run"]["config"] == {"clip": None}


@pytest.mark.parametrize("path", ["/api/v1/frontier", "/api/v1/runs?limit=3", "/frontier", "/runs"])
def test_an_unchanged_store_answers_304(client, path):
    first = client.get(path)
    again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert client.get(f"{path}{'&' if '?' in path else '?'}experiment=digits").headers["etag"] != first.headers["etag"]


def test_a_change_of_the_store_is_seen(client_of, tmp_path):
    client = client_of([run_row("nano-F0", 1, 0)])
    first = client.get("/api/v1/runs")
    with Store.open(str(tmp_path / "own.db")) as store, store.write() as session:
        session.add(Run(**run_row("nano-F0", 1, 1)))
    again = client.get("/api/v1/runs", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.json()["total"]) == (200, 2)


def test_a_store_may_appear_and_be_replaced(client_of, tmp_path):
    client = client_of()
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").json() == {"status": "ok"}
    for runs in (1, 2):
        for old in tmp_path.glob("own.db*"):
            old.unlink()
        with Store.open(str(tmp_path / "own.db")) as store, store.write() as session:
            session.add_all(Run(**run_row("nano-F0", 1, seed)) for seed in range(runs))
        assert client.get("/readyz").json()["runs"] == runs
        assert client.get("/api/v1/runs").json()["total"] == runs


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (
            ("/api/v1/compare?by=model&a=nano-F1&b=nano-F3", "/compare.json?by=model&a=nano-F1&b=nano-F3"),
            lambda runs: payload(compare(runs, by="model", a="nano-F1", b="nano-F3")),
        ),
        (("/api/v1/optimum", "/frontier/optimum.json"), lambda runs: payload(compute_optimal(runs))),
        (
            ("/api/v1/optimum?serve=1e9&finetune=1e6", "/frontier/optimum.json?serve=1e9&finetune=1e6"),
            lambda runs: payload(compute_optimal(runs, serve=1e9, finetune=1e6)),
        ),
        (("/api/v1/predictions",), lambda runs: payload(score([], runs))),
    ],
)
def test_answers_are_the_payloads_of_the_analysis(client, runs, paths, expected):
    payload = json.loads(json.dumps(expected(runs)))
    for path in paths:
        assert strict(client.get(path)) == payload


SIDES = "by=model&a=nano-F1&b=nano-F3"


def grouped_by(runs, **groups):
    return attach_source(runs.copy(), {**source_of(runs), **groups})


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("frontier?", lambda runs: payload(frontier(runs), answer=answer(runs), regret=regret(runs))),
        ("learning-rate?", lambda runs: payload(learning_rate_trend(runs))),
        ("fits?law=power&on=all&", lambda runs: payload(fit_all(runs, laws=("power",), on="all"))),
    ],
)
def test_columns_may_be_named_that_tell_cells_apart(client, runs, path, expected):
    before = client.get(f"/api/v1/{path}").json()
    answer = strict(client.get(f"/api/v1/{path}cell=seed"))
    assert answer == json.loads(json.dumps(expected(grouped_by(runs, cell=["seed"]))))
    assert answer != before
    assert client.get(f"/api/v1/{path}").json() == before  # nothing is left behind


def test_columns_may_be_named_together_or_one_by_one(client):
    named = [client.get(f"/api/v1/frontier?{query}").json() for query in ("cell=seed,dataset", "cell=seed&cell=&cell=dataset")]
    assert named[0] == named[1]
    assert named[0]["cell_columns"][-2:] == ["seed", "dataset"]


@pytest.mark.parametrize(
    "path", ["/api/v1/fits?law=power&on=all&", "/frontier/trust.json?law=power&on=all&", "/api/v1/plan?law=power&"]
)
def test_columns_may_be_named_that_are_resampled_as_one(client, runs, path):
    answer = strict(client.get(f"{path}clusters=model"))
    fit = answer["fits"][0] if "fits" in answer else answer["fit"]
    assert (fit["clusters"], fit["clusters_used"]) == (["model"], 3)
    if "plan" not in path:
        (expected,), _ = fit_all(grouped_by(runs, clusters=["model"]), laws=("power",), on="all")
        assert fit["coefficients"] == json.loads(json.dumps(expected.to_dict()["coefficients"]))
    assert client.get(path).json() != answer


READERS = ("frontier", f"compare?{SIDES}", "optimum", "slices", "learning-rate", "fits", "plan")
TWINS = (
    "frontier",
    "frontier/laws",
    "frontier/trust",
    "frontier/optimum",
    "frontier/slices",
    f"compare?{SIDES}",
    "plan",
    "learning-rate",
)


@pytest.mark.parametrize("path", [f"/api/v1/{name}" for name in READERS] + [f"/{name}" for name in TWINS])
def test_a_column_that_is_not_there_is_refused_in_the_words_of_the_command(client, filled_store, path):
    mark = "&" if "?" in path else "?"
    for name in ("cell", "clusters"):
        answer = client.get(f"{path}{mark}{name}=familly", headers={"accept": "application/json"})
        assert answer.status_code == 422
        if "no such parameter" in answer.json()["detail"]:
            assert name == "clusters"
            assert not any(word in path for word in ("fits", "plan", "laws", "trust"))
            assert path != "/frontier"
            continue
        with pytest.raises(UnknownName) as said:
            app(["fit", "--db", str(filled_store), f"--{name}", "familly"], standalone_mode=False)
        assert (answer.json()["detail"], answer.json()["hint"]) == (str(said.value), said.value.hint)
        assert 'did you mean "family"?' in answer.json()["detail"]


def test_a_plan_is_that_of_cells_like_those_that_were_run(client, runs):
    body = strict(client.get("/api/v1/plan?budget=0.01&target=0.1&law=power"))
    expected = payload(plan(runs, neighbouring_cells(runs), budget_core_hours=0.01, target=0.1, law="power"))
    assert body == json.loads(json.dumps(expected))
    assert sum(row["core_hours"] for row in body["chosen"]) <= 0.01
    assert client.get("/plan.csv?budget=0.01&target=0.1&law=power").text.count("\n") == len(body["chosen"]) + 1


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/api/v1/compare?by=familly", 'did you mean "family"'),
        ("/api/v1/compare?by=val_loss", "which two"),
        ("/api/v1/optimum?family=vit", "family 'vit'"),
        ("/api/v1/plan?budget=-1", "a budget of -1 core-hours buys nothing"),
        ("/api/v1/plan?budget=many", "neither core-hours nor money"),
        ("/api/v1/plan?budget=5+USD", "no price is known"),
        ("/frontier/trust.json?law=powr", 'did you mean "power"'),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(client, path, words):
    answer = client.get(path)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]


def test_version(client):
    assert client.get("/version").json()["schema_version"] == SCHEMA_VERSION


@pytest.mark.parametrize(
    ("twin", "target"),
    [
        ("/frontier.json?law=power&x=flops&y_scale=linear", "/api/v1/frontier?x=train_flops"),
        ("/frontier/laws.json?on=all", "/api/v1/fits?law=auto&law=broken&law=hill&law=power&law=power-floor&law=saturating&on=all"),
        ("/frontier/slices.json?family=nfnet", "/api/v1/slices?family=nfnet"),
        (f"/compare.json?{SIDES}", f"/api/v1/compare?{SIDES}"),
        ("/runs.json?status=diverged&limit=3", "/api/v1/runs?status=diverged&limit=3"),
        ("/experiments/first%20look%2B.json", "/api/v1/experiments/first%20look%2B"),
    ],
)
def test_the_json_of_a_page_is_that_of_the_api(client, twin, target):
    answer = client.get(twin, follow_redirects=False)
    assert answer.status_code == 307
    path, _, query = answer.headers["location"].partition("?")
    assert (path, sorted(query.split("&"))) == (target.partition("?")[0], sorted(target.partition("?")[2].split("&")))


def test_every_route_answers_as_it_is_described(client):
    """On a full store; on others, whatever else the tests of this folder ask."""
    run = client.get("/api/v1/runs?limit=1").json()["runs"][0]["id"]
    asked = [path.format(run_id=run, name="digits") for method, path, _ in operations() if method == "get"]
    asked.remove("/api/v1/events")  # it has no end
    asked.remove(f"/runs/{run}.log")  # nobody trained it on this machine
    asked.remove("/frontier/reference-points.csv")  # tests/api/test_beside_pages.py has runs to lay them beside
    question = {"/compare.csv": "?by=model&a=nano-F1&b=nano-F3", "/api/v1/compare": "?by=model&a=nano-F1&b=nano-F3"}
    answers = {path: client.get(path + question.get(path, "")).status_code for path in asked}
    assert {path: status for path, status in answers.items() if status != 200} == {}


def test_no_page_that_needs_another_host(client):
    assert client.get("/redoc").status_code == 404
    assert "https://" not in client.get("/docs").text
