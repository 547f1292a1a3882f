"""A sample of `benchmarks/invariance.py`: no unit, order of rows, name or column that says nothing changes an answer."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from benchmarks.invariance import SAME, Change, asked, changes, moved, questions, tables

_QUESTIONS, _CHANGES = 24, 2


@pytest.fixture(scope="module")
def asks():
    return dict(questions(tables()))


@pytest.fixture(scope="module")
def before(asks):
    """The answer to a question as it stands, computed once."""
    return cache(lambda name: asked(asks[name], Change("none", {})))


def test_every_law_objective_and_method_is_asked(asks):
    assert len(asks) > 300
    assert {
        "curve: power, log, auto",
        "grid: chinchilla, huber-log, pairs",
        "grid: optimum",
        "grid: compare",
        "grid: plan",
        "isoflop: optimum",
    } <= set(asks)


def sample():
    """Other questions and changes than their neighbours', the same at every run."""
    rng = np.random.default_rng(20261128)
    names = list(dict(questions(tables())))
    kinds = changes()
    return [
        (names[i], kinds[j])
        for i in rng.choice(len(names), _QUESTIONS, replace=False)
        for j in rng.choice(len(kinds), _CHANGES, replace=False)
    ]


@pytest.mark.parametrize(("name", "change"), sample(), ids=lambda value: value if isinstance(value, str) else value.name)
def test_an_answer_does_not_hang_on_presentation(asks, before, name, change):
    assert not moved(before(name), asked(asks[name], change))


def of_whole_grids():
    """Each question gets two of the four factors of a unit, of which one is far from 1; the other changes are asked of all."""
    factors = {
        "grid: optimum": ("1e-09", "3.7"),
        "grid: plan": ("0.001", "1e+09"),
        "grid: compare": ("1e-09", "0.001", "3.7", "1e+09"),
    }
    return [
        (name, change)
        for name, own in factors.items()
        for change in changes()
        if "×" not in change.name or change.name.split()[-1] in own
    ]


@pytest.mark.parametrize(("name", "change"), of_whole_grids(), ids=lambda value: value if isinstance(value, str) else value.name)
def test_optimum_comparison_and_plan(asks, before, name, change):
    assert "refused" not in before(name)
    assert not moved(before(name), asked(asks[name], change))


@pytest.mark.parametrize("name", ["epochs", "steps", "family", "model"])
def test_no_constant_column_alone_moves_the_optimum_of_equal_budgets(asks, before, name):
    """Each size once at each budget, one pass over the data: `epochs` of 1 say nothing about how much a run was trained on."""
    assert before("isoflop: optimum")["surface status"] == "ok"
    assert not moved(
        before("isoflop: optimum"),
        asked(asks["isoflop: optimum"], Change(name, {}, lambda table: table.assign(**{name: SAME[name]}))),
    )


def test_a_change_that_matters_is_seen(asks):
    other = Change(
        "one loss higher",
        {},
        lambda table: table.assign(val_loss=table["val_loss"].where(table.index != 3, 1.1 * table["val_loss"])),
    )
    assert moved(asked(asks["curve: power, log, auto"], Change("none", {})), asked(asks["curve: power, log, auto"], other))
