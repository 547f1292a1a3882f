"""Units, names and the order of rows change no answer of `compare`."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

import analysis
from tests.analysis.grids import chinchilla, grid

BARE = ["epochs", "examples_seen", "unique_examples", "params", "model"]


def falls_faster(N, D):
    return chinchilla(N, D) * (N * D / 3e14) ** -0.02


def two(*, drop=(), seeds=1, spread=0.0, **more) -> pd.DataFrame:
    runs = pd.concat(
        [grid(noise=0.004, seeds=seeds), grid(falls_faster, family="vit", noise=0.004, rng_seed=1, seeds=seeds, **more)],
        ignore_index=True,
    )
    runs["core_hours"] *= np.exp(spread * np.random.default_rng(3).standard_normal(len(runs)))
    return runs.drop(columns=list(drop))


TABLES = {
    "paired": two(seeds=2),
    "paired, sizes a factor of two apart": two(sizes=tuple(1e6 * 2.0**k for k in range(5)), drop=["epochs", "examples_seen"]),
    "joint": two(cost=1.5),
    "joint, measured compute": two(spread=0.06, seeds=2),
    "models alone": two(drop=BARE[:-1]),
    "compute and loss, paired": two(drop=BARE),
    "compute and loss, joint": two(drop=BARE, cost=1.37),
    "one model": two(sizes=(9e6,), epochs=tuple(2.0**k for k in range(10))).query("family == 'vit' or model == 'nfnet-2'"),
}


@cache
def compared(name):
    """The comparison of a table as it is, which most tests here hold another against."""
    return analysis.compare(TABLES[name])


def numbers(found, unit=1.0):
    """All that a comparison says, without units."""
    found_numbers = [
        found.difference_at_largest,
        found.difference,
        found.difference_on_frontier,
        found.trend,
        found.speed_up,
        found.speed_up_at_largest,
    ]
    listed = [end for each in found_numbers for end in (each.value, each.low, each.high)]
    listed += [found.p_value, found.p_value_at_largest, found.p_value_trend, found.found.noise_std]
    listed += [end / unit for end in (found.crossing.at.value, found.crossing.at.low, found.crossing.at.high)]
    listed += [end / unit for end in found.found.shared]
    return np.array(listed)


def alike(found, as_before, unit=1.0):
    assert found.found.design == as_before.found.design
    assert found.runs_used == as_before.runs_used
    assert found.better == as_before.better
    assert found.crossing.overtakes == as_before.crossing.overtakes
    np.testing.assert_allclose(numbers(found, unit), numbers(as_before), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("factor", [1e-9, 3e-4, 7e3, 1e9])
@pytest.mark.parametrize("column", ["core_hours", "val_loss"])
def test_units(name, factor, column):
    runs = TABLES[name]
    found = analysis.compare(runs.assign(**{column: runs[column] * factor}))
    alike(found, compared(name), factor if column == "core_hours" else 1.0)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows(name, seed):
    runs = TABLES[name]
    alike(analysis.compare(runs.sample(frac=1, random_state=seed).reset_index(drop=True)), compared(name))


@pytest.mark.parametrize("name", TABLES)
def test_names(name):
    runs = TABLES[name]
    as_before = compared(name)
    renamed = runs.assign(id=[f"z{number}" for number in range(len(runs))][::-1])
    if "model" in runs:
        names = sorted(runs["model"].unique())
        renamed["model"] = runs["model"].map(dict(zip(names, np.random.default_rng(0).permutation(names), strict=True)))
    alike(analysis.compare(renamed), as_before)
    sides = analysis.compare(runs.assign(family=runs["family"].map({"nfnet": "zebra", "vit": "ant"})), a="zebra", b="ant")
    np.testing.assert_allclose(numbers(sides), numbers(as_before), rtol=1e-6, atol=1e-12)
    assert {"zebra": "nfnet", "ant": "vit", None: None}[sides.better] == as_before.better


@pytest.mark.parametrize("name", TABLES)
def test_a_constant_column(name):
    runs = TABLES[name]
    alike(analysis.compare(runs.assign(host="one", width=3.0)), compared(name))
    if "epochs" not in runs and "params" not in runs:  # of a grid whose sizes and epochs nobody wrote down
        alike(analysis.compare(runs.assign(params=1e6, examples_seen=1e7)), compared(name))


@pytest.mark.parametrize("name", TABLES)
def test_swapped_sides_are_mirrored(name):
    one, other = (analysis.compare(TABLES[name], a=a, b=b) for a, b in (("nfnet", "vit"), ("vit", "nfnet")))
    assert other.better == one.better
    assert other.crossing.overtakes == one.crossing.overtakes
    for ours, theirs in (
        (one.difference_at_largest, other.difference_at_largest),
        (one.difference, other.difference),
        (one.trend, other.trend),
    ):
        np.testing.assert_allclose(
            (ours.value, ours.low, ours.high), (-theirs.value, -theirs.high, -theirs.low), rtol=1e-6, atol=1e-12
        )
    for end in ("value", "low", "high"):
        np.testing.assert_allclose(getattr(other.crossing.at, end), getattr(one.crossing.at, end), rtol=1e-6)


def test_sides_that_are_equal_but_for_rounding_do_not_differ():
    """The same losses, computed in another order: a difference of 1e-16 is none, however small its scatter."""
    x = np.geomspace(1, 1000, 12)
    sides = [
        pd.DataFrame({"family": name, "core_hours": x, "val_loss": loss}) for name, loss in (("a", 3 * x**-0.1), ("b", x**-0.1 * 3))
    ]
    found = analysis.compare(pd.concat(sides, ignore_index=True))
    assert found.better is None
    assert found.crossing.overtakes is None
