"""Whatever a link asks, it is answered or refused: no route makes a mistake of the server out of it."""

from __future__ import annotations

import base64
import itertools
import json
from functools import cache
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api import create_app

NUMBERS = [
    "0",
    "-1",
    "1",
    "0.5",
    "0.999",
    "5e-324",
    "1e-300",
    "1e308",
    "1e999",
    "-0.0",
    "nan",
    "inf",
    "9" * 400,
    "1_000",
    "0x10",
    "٣",
]
TEXTS = [
    "",
    " ",
    "\x00",
    "a\x00b",
    "\ud7ff\ufffe",
    "💥" * 50,
    "' OR 1=1 --",
    "../../etc/passwd",
    "%",
    "%s%n",
    "{{7*7}}",
    "<script>",
    "a" * 9000,
    "None",
]
COLUMNS = ["core_hours", "core_hours,params", "params,examples_seen", "params,params,params", "id", "status", "created_at", "experiments", "config", "val_loss", "val_top1_error"]  # fmt: skip
COLUMNS += [
    "val_loss_error",
    "seed_error",
    "index",
    "cell",
    ",",
    "learning_rate",
    "cores",
    "parent",
    "packed",
    "excluded",
    "on_frontier",
]
NAMES = ["digits", "nano-F0", "nano-F1", "nfnet", "model", "family", "power", "power-floor", "saturating", "hill", "broken", "chinchilla", "data-constrained", "auto", "chosen", "none"]  # fmt: skip
NAMES += ["frontier", "all", "both", "log", "linear", "huber-log", "mse", "relative", "c", "D", "finished", "running"]
PAIRS = ["seed=0", "seed=0,1", "seed=", "=", "=0", "seed", "seed=nan", "epochs=1e400", "model=nano-F0", "core_hours=0", "cpu:cpu=1", "A:B=0", "A:B=-1", "A:B=nan", "A:B=1e308", "cpu:A100=5e-324"]  # fmt: skip


def token(*content):
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


TOKENS = [token("2026-03-01T09:30:00", "a", 1), token("0001-01-01T00:00:00+14:00", "a", 1), token("2026-03-01T09:30:00Z", "\x00", float("inf"))]  # fmt: skip
TOKENS += [
    token("2026-03-01", [], 10**400),
    token({}, {}, {}),
    token(),
    "====",
    "[[",
    base64.urlsafe_b64encode(b"[" * 5000).decode(),
]
CHOICES = st.one_of(*(st.sampled_from(values) for values in (NUMBERS, TEXTS, COLUMNS, NAMES, PAIRS, TOKENS)), st.text(max_size=20))


@cache
def routes():
    """Every route that answers GET, with the names of its query's parameters, but for the stream of events, which has no end."""
    found = []
    for part in create_app("none.db").routes:
        for route in part.effective_route_contexts() if hasattr(part, "effective_route_contexts") else ():
            asking = (route.dependant, *route.dependant.dependencies)
            if route.path == "/api/v1/events" or "GET" not in route.methods:
                continue
            asks = [parameter for part in asking for parameter in part.query_params]
            names = [getattr(each.field_info.annotation, "model_fields", (each.name,)) for each in asks]
            found.append((route.path, tuple(name for group in names for name in group)))
    return found


def asked(client, path, query=(), **options):
    """The answer, which may be anything but a mistake of the server. Raises what the application raised."""
    answer = client.get(path, params=list(query), follow_redirects=False, **options)
    assert answer.status_code < 500, (path, query, answer.text)
    return answer


def test_these_are_all_routes():
    known = dict(routes())
    assert {"/frontier", "/runs/{run_id}", "/api/v1/fits", "/experiments/{name}.csv", "/assets/{file}", "/healthz", "/"} <= set(
        known
    )
    assert {"metric", "x", "where", "convert", "law", "on", "level", "bootstrap", "seed", "objective"} <= set(known["/api/v1/fits"])
    assert sum(bool(names) for names in known.values()) > 30


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data(), is_for_people=st.booleans())
def test_no_link_is_a_mistake_of_the_server(client, data, is_for_people):
    path, names = data.draw(st.sampled_from([route for route in routes() if route[1] or "{" in route[0]]))
    for part in ("{name}", "{run_id}", "{file}", "{intent}"):
        path = path.replace(part, quote(data.draw(CHOICES), safe=""))
    query = data.draw(st.lists(st.tuples(st.sampled_from(names), CHOICES), min_size=1, max_size=3)) if names else []
    query = [(name, value) for name, value in query if name != "bootstrap"]  # thousands of draws are allowed, and slow
    asked(client, path, query, headers={"accept": "text/html"} if is_for_people else {})


def test_extreme_numbers_together_are_no_mistake_of_the_server(client):
    """Each may be in order alone: the ratio of 5e-324 to a number of parameters is 0."""
    extremes = ["5e-324", "1e308"]
    for path, names in routes():
        asks = [name for name in names if name in ("at", "at_params", "at_epochs", "target", "budget", "runs", "slices", "level")]
        more = {"at_model": "nano-F0"} if "at_model" in names and "at_params" not in asks else {}
        for values in itertools.product(extremes, repeat=len(asks)) if 2 <= len(asks) <= 3 and "{" not in path else ():
            asked(client, path, [*zip(asks, values, strict=True), *more.items()])


@pytest.mark.parametrize("level", ["5e-324", "1e-300", "0.4999", "0.9991", "0.9999999999999999", "nan", "-inf"])
def test_a_level_is_from_a_half_to_999_in_a_thousand(client, level):
    paths = [path for path, names in routes() if "level" in names]
    assert len(paths) >= 9
    for path in paths:
        assert client.get(path, params={"level": level}).status_code == 422


@pytest.mark.parametrize("level", ["0.5", "0.999"])
def test_the_ends_of_that_are_levels(client, level):
    assert client.get("/api/v1/fits", params={"level": level, "law": "power", "on": "all"}).json()["fits"][0]["level"] == float(
        level
    )


@pytest.mark.parametrize("content", TOKENS[2:])
def test_a_place_in_the_table_that_is_none(client, content):
    assert client.get("/api/v1/runs", params={"next": content}).status_code == 422


@pytest.mark.parametrize("query", ["metric=learning_rate", "x=params"])
def test_columns_that_the_diagnostics_use_themselves(client, query):
    asked(client, f"/api/v1/fits?law=power&bootstrap=100&on=all&experiment=digits&{query}")
