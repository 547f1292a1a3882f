"""Colours of models: a function of size alone, told apart, and legible on both pages by the formula of WCAG 2."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.figures.colours import FAMILY_HUES, size_colour
from analysis.figures.style import looks

PAGES = ("#fbfbfa", "#131517")


def luminance(colour):
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one, other):
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("family", [None, *range(len(FAMILY_HUES))])
def test_every_colour_is_legible_on_both_pages(page, family):
    assert min(contrast(size_colour(params, family), page) for params in np.geomspace(10, 1e12, 150)) >= 3.0


def test_larger_models_of_a_thousandfold_are_darker():
    found = [luminance(size_colour(params)) for params in np.geomspace(1.01e6, 0.99e9, 12)]
    assert found == sorted(found, reverse=True)


def test_twice_the_size_is_told_apart():
    for params in np.geomspace(1e3, 1e11, 60):
        one, other = (np.array([int(size_colour(p)[at : at + 2], 16) for at in (1, 3, 5)]) for p in (params, 2 * params))
        assert np.abs(one - other).sum() > 25


def table(models):
    return pd.DataFrame([{"family": family, "model": name, "params": params} for family, name, params in models])


def test_a_model_keeps_its_look_when_others_arrive():
    whole = table([("nfnet", f"F{number}", 2e6 * 2**number) for number in range(12)])
    found = looks(whole)
    assert len({look.marker for look in found.values()}) == len({look.colour for look in found.values()}) == 12
    some = whole.iloc[[1, 4, 7]]
    assert {name: look.colour for name, look in looks(some).items()} == {name: found[name].colour for name in ("F1", "F4", "F7")}
    assert looks(some, whole) == {name: found[name] for name in ("F1", "F4", "F7")}


def test_families_are_hues_and_a_family_to_come_changes_nothing():
    whole = table([*(("nfnet", f"F{n}", 1e6 * 3**n) for n in range(3)), *(("vit", f"V{n}", 1e6 * 3**n) for n in range(3))])
    found = looks(whole)
    assert found["nfnet F1"].colour == size_colour(3e6, 0)
    assert found["vit V1"].colour == size_colour(3e6, 1)
    assert looks(whole.iloc[:3], whole) == {name: look for name, look in found.items() if name.startswith("nfnet")}
