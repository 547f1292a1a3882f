"""Runs that a line of words asks for, and their order, against the same done in Python."""

from __future__ import annotations

import pytest

from orchestrator.store import Store, queries
from orchestrator.store.asked_runs import SORTABLE
from orchestrator.store.models import Run
from scaling.errors import UnknownName, UsageError
from scaling.outcomes import RunStatus
from tests.api.small_grid import run_row

RATES = (0.4, 0.8, 1.6)
LOSSES = (0.5, None, 0.25, 0.5, 0.125, None)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("asked") / "scaling.db"
    with Store.open(str(path)) as store:
        with store.write() as session:
            for n, model in enumerate(["nano-F0", "nano-F1", "nano-F3"] * 2):
                row = run_row(model, 2, n % 2, learning_rate=RATES[n // 2], number=n // 2)
                failed = (
                    {"status": RunStatus.FAILED, "reason": "Loader 100% broken_here"} if n == 3 else {"status": RunStatus.FINISHED}
                )
                session.add(Run(**row, val_loss=LOSSES[n], **failed))
        yield store


def asked(store, **options):
    with store.read() as session:
        return queries.runs(session, **options)


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        ("", lambda run: True),
        ("model:f3", lambda run: run["model"] == "nano-F3"),
        ("model=F3", lambda run: False),
        ("model=nano-F3,nano-F0", lambda run: run["model"] in ("nano-F3", "nano-F0")),
        ("model!=nano-F3", lambda run: run["model"] != "nano-F3"),
        ("lr>0.4", lambda run: run["learning_rate"] > 0.4),
        ("learning_rate>=0.8 lr<1.6", lambda run: 0.8 <= run["learning_rate"] < 1.6),
        ("seed:1", lambda run: run["seed"] == 1),
        ("val_loss<=0.25", lambda run: run["val_loss"] is not None and run["val_loss"] <= 0.25),
        ("status:failed", lambda run: run["status"] == "failed"),
        ("-status:failed -model:f3", lambda run: run["status"] != "failed" and run["model"] != "nano-F3"),
        ("-lr>0.4 -seed!=0", lambda run: run["learning_rate"] <= 0.4 and run["seed"] == 0),
        ("-val_loss>0.25", lambda run: run["val_loss"] is not None and run["val_loss"] <= 0.25),
        ("status!=failed loss>0", lambda run: run["status"] != "failed" and run["val_loss"] is not None),
        (
            "model:F3 lr>0.4 status:finished",
            lambda run: run["model"] == "nano-F3" and run["learning_rate"] > 0.4 and run["status"] == "finished",
        ),
        ("loader", lambda run: run["status"] == "failed"),
        ('"100% broken_here"', lambda run: run["status"] == "failed"),
        ("%", lambda run: "%" in run["reason"]),
        ("excluded:x", lambda run: False),
    ],
)
def test_words_keep_what_they_say(store, words, holds):
    expected = [run["id"] for run in asked(store) if holds(run)]
    assert [run["id"] for run in asked(store, q=words)] == expected
    with store.read() as session:
        assert queries.count_runs(session, q=words) == len(expected)


def test_a_word_is_the_beginning_of_an_id(store):
    first = asked(store)[0]["id"]
    assert [run["id"] for run in asked(store, q=first[:10])] == [first]


@pytest.mark.parametrize(
    ("words", "kind", "says"),
    [
        ("modle:F3", UnknownName, "unknown field 'modle'; did you mean \"model\"?"),
        ("lr>fast", UsageError, "learning_rate is a number, found 'fast'"),
        ("lr>inf", UsageError, "finite"),
        ("model>F3", UsageError, "model is a text and has no order"),
        ("status:finishd", UnknownName, 'did you mean "finished"?'),
        ("model:", UsageError, "has no value"),
        ('model:"F3', UsageError, "a quote that is not closed"),
        ("a " * 30, UsageError, "30 words"),
    ],
)
def test_what_is_not_understood_is_said_in_a_line(store, words, kind, says):
    with pytest.raises(kind) as caught:
        asked(store, q=words)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "sort", [sign + name for name in ("val_loss", "created_at", "learning_rate", "model", "ended_at") for sign in ("", "-")]
)
@pytest.mark.parametrize("limit", [1, 2, 4])
def test_pages_forth_and_back_are_the_whole_list(store, sort, limit):
    whole = [run["id"] for run in asked(store, sort=sort)]
    forth, back, at = [], [], None
    while page := asked(store, sort=sort, after=at, limit=limit):
        forth += [run["id"] for run in page]
        at = forth[-1]
    at = whole[-1]
    while page := asked(store, sort=sort, after=at, back=True, limit=limit):
        back = [run["id"] for run in page] + back
        at = back[0]
    assert forth == whole
    assert [*back, whole[-1]] == whole
    assert len(set(whole)) == 6


def test_what_is_not_known_comes_last(store):
    for sort in ("val_loss", "-val_loss"):
        losses = [run["val_loss"] for run in asked(store, sort=sort)]
        assert losses[4:] == [None, None]
        assert losses[:4] == sorted((loss for loss in LOSSES if loss is not None), reverse=sort.startswith("-"))


def test_every_column_can_be_sorted_by(store):
    for name in SORTABLE:
        assert len(asked(store, sort=f"-{name}")) == 6
    with pytest.raises(UnknownName, match='did you mean "val_loss"'):
        asked(store, sort="val_los")


def test_siblings_are_the_runs_of_a_cell(store):
    runs = asked(store)
    with store.read() as session:
        found = queries.siblings(session, runs[0]["id"])
    assert [run["id"] for run in found] == [
        run["id"] for run in sorted(runs, key=lambda run: run["learning_rate"]) if run["model"] == runs[0]["model"]
    ]
