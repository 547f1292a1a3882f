"""The column `recipe` of `--by recipe`: how a run was trained, in words, of the settings in which the runs of the table differ."""

from __future__ import annotations

from typing import Any

import pandas as pd

from scaling.columns import RECIPE_COLUMNS, RECIPE_NEUTRAL

__all__ = ["PLAIN", "with_recipe"]

PLAIN = "plain"
"""Names the recipe whose settings are all neutral."""

_FOLLOWS = {"sam_share": "sam"}
"""A setting that says nothing without another one, which stands for both."""


def with_recipe(runs: pd.DataFrame, by: str) -> pd.DataFrame:
    """Put the column `recipe` in the place of the settings that it is made of, where `by` asks for it and the table has them.

    >>> with_recipe(pd.DataFrame({"sam": [0.0, 0.05], "crop": [False, True]}), "recipe")["recipe"].tolist()
    ['plain', 'sam 0.05 + crop']
    """
    settings = [column.name for column in RECIPE_COLUMNS if column.name in runs]
    if by != "recipe" or by in runs or not settings:
        return runs
    told = [name for name in settings if _FOLLOWS.get(name) not in settings and runs[name].nunique(dropna=False) > 1]
    recipes = [_in_words(dict(zip(told, row, strict=True))) for row in runs[told].itertuples(index=False, name=None)]
    table = runs.drop(columns=settings).assign(recipe=recipes)
    table.attrs = dict(runs.attrs)
    return table


def _in_words(settings: dict[str, Any]) -> str:
    words = []
    for name, value in settings.items():
        neutral = RECIPE_NEUTRAL[name]
        if isinstance(value, str):  # of an optimiser or a schedule, every name says something
            words.append(value)
        elif not pd.isna(value) and value != neutral:
            words.append(name if isinstance(neutral, bool) else f"{name} {value:g}")
    return " + ".join(words) or PLAIN
