"""`--unit` as products and quotients of units, numbers and columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.reading.unit_expression import factors
from analysis.reading.units import conversion
from scaling.errors import UnknownName, UsageError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a", [("a", 1)]),
        ("a*b/c*d", [("a", 1), ("b", 1), ("c", -1), ("d", 1)]),
        ("a/(6*b)", [("a", 1), ("6", -1), ("b", -1)]),
        ("a/(b/(c*d))/e", [("a", 1), ("b", -1), ("c", 1), ("d", 1), ("e", -1)]),
        (" ( a ) * 2e-3 ", [("a", 1), ("2e-3", 1)]),
        ("val/loss*Train Tokens", [("val/loss", 1), ("Train Tokens", 1)]),
        ("val/a", [("val", 1), ("a", -1)]),
        ("a*petaflop/s-days", [("a", 1), ("petaflop/s-days", 1)]),
    ],
)
def test_operands_and_their_exponents(text, found):
    assert factors(text, ["val/loss", "val", "Train Tokens", "petaflop/s-days"]) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a*", "missing at its end"),
        ("a**2", r"missing before '\*2'"),
        ("/a", "missing before '/a'"),
        ("", "missing at its end"),
        ("(a*b", "not closed"),
        ("a*b)", "closing parenthesis without"),
        ("a b", r"\* or / is missing before 'b'"),
        ("6(a)", r"\* or / is missing before '\(a\)'"),
        ("()", "missing before"),
    ],
)
def test_what_is_no_expression_says_where(text, words):
    with pytest.raises(UsageError, match=words) as caught:
        factors(text, ["a", "b"])
    assert caught.value.hint


@pytest.mark.parametrize(
    ("column", "text", "factor", "by", "per"),
    [
        ("examples_seen", "FLOP/(6*params)", 1 / 6, (), ("params",)),
        ("examples_seen", "EFLOP/6/params", 1e18 / 6, (), ("params",)),
        ("core_hours", "seconds*n_gpus/4", 1 / 3600 / 4, ("n_gpus",), ()),
        ("core_hours", "seconds/speed", 1 / 3600, (), ("speed",)),
        ("examples_seen", "hours/second*speed", 3600, ("speed",), ()),
        ("core_hours", "EFLOP/(speed*TFLOP/second)", 1e6 / 3600, (), ("speed",)),
    ],
)
def test_what_a_quotient_is_worth(column, text, factor, by, per):
    found = conversion(column, text, ["params", "n_gpus", "speed"])
    assert found.factor == pytest.approx(factor)
    assert (found.by, found.per) == (by, per)


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("seconds/0", UsageError, "positive"),
        ("FLOP/6", UsageError, "core_hours is hours, and FLOP is no unit of that"),
        ("second/hour/hour", UsageError, "core_hours is hours, and these units leave no time"),
        ("seconds*core_hours", UsageError, "names core_hours itself"),
        ("seconds/gpus", UnknownName, "unit 'gpus'"),
        ("seconds/(n_gpus", UsageError, "not closed"),
        ("__import__('os')", UsageError, "is missing before"),
    ],
)
def test_quotients_that_are_none(text, kind, words):
    with pytest.raises(kind, match=words) as caught:
        conversion("core_hours", text, ["n_gpus", "core_hours"])
    assert caught.value.hint


@pytest.fixture
def study(tmp_path):
    """N in millions, C = 6·N·D in FLOP, as a public table has them; D is what is asked for."""
    rng = np.random.default_rng(0)
    params, examples = 10 ** rng.uniform(6, 9, 30), 10 ** rng.uniform(8, 10, 30)
    path = tmp_path / "runs.csv"
    pd.DataFrame(
        {"N (millions)": params / 1e6, "flops": 6 * params * examples, "loss": 1.5 + 400 * params**-0.35 + 500 * examples**-0.3}
    ).to_csv(path, index=False)
    return path, params, examples


MAPPING = {"params": "N (millions)", "examples_seen": "flops", "val_loss": "loss"}


@pytest.mark.parametrize(
    "text",
    [
        "FLOP/(6*params)",  # by our name, in our unit
        "FLOP/(6e6*N (millions))",  # by the file's name, as it stands there
        "flops/(6*params)",  # the unit, though the column is called so too
        "1/6/params",
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_examples_from_compute_and_size(study, text, order):
    path, params, examples = study
    units = dict([("params", "M"), ("examples_seen", text)][::order])
    runs = analysis.read_runs(path, MAPPING, units)
    np.testing.assert_allclose(runs["params"], params)
    np.testing.assert_allclose(runs["examples_seen"], examples)
    fit = analysis.fit(runs, law="chinchilla", x=("params", "examples_seen"))
    assert (fit.params["alpha"], fit.params["beta"]) == pytest.approx((0.35, 0.3), rel=1e-3)


def test_what_was_divided_is_said(study):
    runs = analysis.read_runs(study[0], MAPPING, {"params": "M", "examples_seen": "FLOP/(6*params)"})
    assert analysis.source_of(runs)["notes"] == [
        "params was read as M: 1e+06 of what the file holds",
        "examples_seen was read as FLOP/(6*params): 0.166667 / params of what the file holds",
    ]


def test_conversions_in_a_circle(study):
    with pytest.raises(UsageError, match="params, examples_seen are converted by one another"):
        analysis.read_runs(study[0], MAPPING, {"params": "FLOP/(6*examples_seen)", "examples_seen": "FLOP/(6*params)"})


def test_the_column_itself_is_no_factor(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("budget,weights\n6e9,1e3\n")
    with pytest.raises(UsageError, match="names budget, the column whose numbers are multiplied by it"):
        analysis.read_runs(path, {"examples_seen": "budget"}, {"examples_seen": "budget/(6*weights)"})
    assert analysis.read_runs(path, {"examples_seen": "budget"}, {"examples_seen": "1/(6*weights)"})["examples_seen"].iloc[0] == 1e6


def test_a_divisor_of_zero_leaves_out_its_run(tmp_path):
    (tmp_path / "runs.csv").write_text("flops,params,val_loss\n6e9,0,1\n6e9,1e3,2\n")
    runs = analysis.read_runs(tmp_path / "runs.csv", {"examples_seen": "flops"}, {"examples_seen": "FLOP/(6*params)"})
    found = analysis.selection.usable_runs(runs, metric="val_loss", x="examples_seen")
    assert [entry.reason for entry in found.excluded] == ["examples_seen is infinite"]
