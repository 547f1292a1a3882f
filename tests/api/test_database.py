"""Answers are computed once for each version of the store, and none holds up another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.database import Database

_PATIENCE_SECONDS = 20


@pytest.fixture
def database(filled_store):
    return Database(str(filled_store))


def test_a_slow_answer_holds_up_no_other_and_is_computed_once(database):
    started, finish = threading.Event(), threading.Event()
    computed = []

    def slow():
        computed.append("slow")
        started.set()
        assert finish.wait(_PATIENCE_SECONDS)
        return "slow answer"

    with ThreadPoolExecutor() as pool:
        try:
            asked = [pool.submit(database.remember, "slow", slow) for _ in range(3)]
            assert started.wait(_PATIENCE_SECONDS)
            assert pool.submit(database.remember, "quick", lambda: "quick answer").result(_PATIENCE_SECONDS) == "quick answer"
            assert len(pool.submit(database.runs_frame, None).result(_PATIENCE_SECONDS)) == 43
            assert not any(answer.done() for answer in asked)
        finally:
            finish.set()
        assert [answer.result(_PATIENCE_SECONDS) for answer in asked] == ["slow answer"] * 3
    assert computed == ["slow"]


def test_an_error_is_not_remembered(database):
    with pytest.raises(ZeroDivisionError):
        database.remember("share", lambda: 1 / 0)
    assert database.remember("share", lambda: 0.5) == 0.5
    assert database.remember("share", lambda: 0.7) == 0.5
