"""One way to round numbers."""

from __future__ import annotations

import math

import pytest

from scaling.rounding import amount, as_factor, percent, significant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.041268, "0.04127"), (0.0000736, "0.00007360"), (132.0, "132.0"), (132_456.7, "132457"), (9.4812e12, "9.481e+12"),
        (2.5e-9, "2.500e-09"), (1.25e-90, "1.250e-90"), (-0.5, "-0.5000"),
        (math.inf, "∞"), (-math.inf, "−∞"), (math.nan, "–"), (None, "–"), (0.0, "0"),
    ],
)  # fmt: skip
def test_significant_digits(value, text):
    assert significant(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.01239, "0.0124"), (54.0, "54.0"), (12_345.6, "12,346"), (1.5e9, "1,500,000,000"), (1e90, "1.00e+90")]
)
def test_amounts_set_thousands_apart(value, text):
    assert amount(value) == text


def test_shares_and_factors():
    assert [percent(0.123), percent(0.0031), percent(None), percent(math.nan)] == ["12 %", "0.31 %", "–", "–"]
    assert [percent(0.123, signed=True), percent(-0.05, signed=True), percent(0.0, signed=True)] == ["+12 %", "-5.0 %", "0 %"]
    assert as_factor(math.log(1.557)) == "×/÷ 1.557"
