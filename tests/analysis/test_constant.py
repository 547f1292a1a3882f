"""Questions of a table that nobody changes are answered once; of any other table anew."""

from __future__ import annotations

import pandas as pd

from analysis.constant import constant, once_a_table
from analysis.pareto import frontier


def test_a_constant_table_is_asked_once_and_no_other_is():
    asked = []

    @once_a_table
    def largest(table: pd.DataFrame, name: str, *, besides: list[int]) -> float:
        asked.append(name)
        return max([table[name].max(), *besides])

    table = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    assert largest(table, "a", besides=[]) == 2
    table["a"] = 5.0  # whoever has made the table may change it
    assert largest(table, "a", besides=[]) == 5
    held = constant(table)
    assert [largest(held, name, besides=more) for name, more in (("a", []), ("a", []), ("b", []), ("a", [9]))] == [5, 5, 4, 9]
    assert asked == ["a", "a", "a", "b", "a"]
    copy = held.copy()
    copy["a"] = 6.0
    assert largest(copy, "a", besides=[]) == 6


def test_frontiers_of_a_constant_table_are_those_of_any_other():
    runs = pd.DataFrame(
        {
            "id": list("abcd"),
            "model": list("ssll"),
            "epochs": [1, 2, 1, 2],
            "core_hours": [1.0, 2, 3, 6],
            "val_loss": [4.0, 3, 2, 1],
        }
    )
    once = constant(runs.copy())
    first = frontier(once, x="core_hours")
    assert frontier(once, x="core_hours") is first
    assert frontier(once, x="epochs") is not first
    pd.testing.assert_frame_equal(first.points, frontier(runs, x="core_hours").points)


def test_a_table_of_the_caller_may_change_between_two_questions():
    """`cells_of` calls a table of its own constant, which must not be the caller's: all its rows are usable here."""
    runs = pd.DataFrame({"id": list("abcd"), "model": list("sslm"), "epochs": [1, 1, 1, 1], "core_hours": [1.0, 1, 3, 6], "val_loss": [4.0, 4, 2, 1]})  # fmt: skip
    assert len(frontier(runs).points) == 3
    runs["model"] = list("skml")
    assert len(frontier(runs).points) == 4
