"""Cases of `benchmarks/strangers.py` are answered rightly; docs/strangers.md shows all of them."""

from __future__ import annotations

import re

import pytest

from benchmarks.strangers import BEGIN, CASES, END, PAGE, SECTIONS, on_page

NUMBER = re.compile(r"\d+(\.\d+)?(e[+-]?\d+)?")
"""Figures move a little with the machine; which words are said must not."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_right_value_is_said(case):
    said, right = case.run()
    assert right, f"{case.name}: before: {case.before}; now: {said}"
    assert said
    (row,) = (line for line in PAGE.read_text().splitlines() if line.startswith(f"| {case.name}<br>"))
    words = NUMBER.sub("#", said).replace("|", "")
    assert words in NUMBER.sub("#", row).replace("|", ""), "`python -m benchmarks.strangers --docs` renews the page"


def test_the_page_shows_every_case():
    page = PAGE.read_text()
    assert f"{len(CASES)} of {len(CASES)} cases are right now." in page, "`python -m benchmarks.strangers --docs` renews it"
    for case in CASES:
        for command in case.commands:
            assert f"`{command}`" in page, case.name
        assert f"| {case.name}<br>" in page
        assert f"| {case.before} |" in page


def test_every_section_of_the_page_has_cases():
    assert {case.section for case in CASES} == set(SECTIONS)


def test_only_what_the_script_makes_is_replaced():
    assert on_page(f"above\n{BEGIN}\nold\n\n{END}\nbelow", "new") == f"above\n{BEGIN}\nnew\n\n{END}\nbelow"
