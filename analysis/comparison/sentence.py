"""A comparison in words: who is better at the largest shared compute, where they cross, and what the average over budgets is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analysis.interval import Interval
from analysis.numbers import significant

if TYPE_CHECKING:
    from analysis.comparison.result import Comparison

__all__ = ["crossing_words", "sentence"]


def sentence(found: Comparison) -> str:
    """The answer; its first part names the side that is better at the largest shared compute."""
    return f"{_winner(found)} {_average(found)}"


def crossing_words(found: Comparison) -> str:
    """Where the sides cross, or why that is not known; one sentence without a full stop."""
    crossing = found.crossing
    if crossing.overtakes is not None and crossing.proven:
        loser = found.a if crossing.overtakes == found.b else found.b
        more = f"; it is {crossing.reason}" if crossing.reason else ""
        return f"{crossing.overtakes} overtakes {loser} at about {_range(crossing.at)} {found.x}{more}"
    if crossing.overtakes is not None:
        return f"whether they cross, at about {_range(crossing.at)} {found.x}, is not determined: {crossing.reason}"
    return str(crossing.reason)


def _winner(found: Comparison) -> str:
    end, x = found.difference_at_largest, found.x
    at = _amount(found.found.shared[1])
    if found.better is None:
        worst = max(abs(end.low), abs(end.high))
        return (
            f"No difference between {found.a} and {found.b} beyond noise at the largest shared {x}, {at}: {found.metric} {_percent(end)} for {found.a}, "
            f"p = {found.p_value_at_largest:.2g}. A difference above {100 * math.expm1(worst):.2g} % is ruled out at {100 * found.level:g} %. "
            f"{_upper(crossing_words(found))}."
        )
    loser = found.a if found.better == found.b else found.b
    gap = end if found.better == found.a else _negative(end)  # log of the better over the worse: below zero
    needs = found.speed_up_at_largest if loser == found.a else _inverse(found.speed_up_at_largest)
    worth = (
        f"{loser} needs {needs.words()} times the {x} to equal it there"
        if needs.bounded and needs.value > 1
        else f"how much {x} that is worth is not determined"
    )
    tail = f"p = {found.p_value_at_largest:.2g}; {worth}."
    if found.crossing.proven and found.crossing.overtakes == found.better:
        return f"{crossing_words(found)}; at {at}, the largest shared, {found.better} is better by {_less(gap)} in {found.metric}, {tail}"
    said = f"{found.better} is better than {loser} at equal {x}: at {at}, the largest shared, {found.metric} is {_percent(gap)}, {tail}"
    return f"{said} {_upper(crossing_words(found))}. {_trend(found)}"


def _trend(found: Comparison) -> str:
    if found.p_value_trend >= 1 - found.level:
        return f"The gap shows no change with {found.x}."
    return f"The gap {'grows' if found.trend.value * found.difference_at_largest.value > 0 else 'shrinks'} with {found.x}."


def _average(found: Comparison) -> str:
    count = found.found.pairs
    over = (
        f"over {count} shared budgets"
        if found.found.design == "paired"
        else f"over the shared {found.x}, from {count} cells that do not pair"
    )
    return f"On average {over}: {found.a} {_percent(found.difference)}, p = {found.p_value:.2g}."


def _range(at: Interval) -> str:
    low = f"{_amount(at.low)} …" if math.isfinite(at.low) else "no lower bound …"
    return f"{_amount(at.value)} ({low} {_amount(at.high) if math.isfinite(at.high) else 'no upper bound'})"


def _amount(value: float) -> str:
    """Three digits, or all of a whole number: `54.0`, `1,000`."""
    return f"{value:,.0f}" if 999.5 <= value < 1e6 else significant(value, 3)


def _percent(log_ratio: Interval) -> str:
    """`2.1 % lower (1.8 … 2.4)`, of the log of a ratio; a positive one is higher."""
    if log_ratio.value > 0:
        ends = [100 * math.expm1(end) for end in (log_ratio.value, log_ratio.low, log_ratio.high)]
        return f"{ends[0]:.2g} % higher ({ends[1]:.2g} … {ends[2]:.2g})"
    return _less(log_ratio).replace(" %", " % lower")


def _less(log_ratio: Interval) -> str:
    """`2.1 % (1.8 … 2.4)`: how far the ratio is below one."""
    value, low, high = (0 - 100 * math.expm1(end) for end in (log_ratio.value, log_ratio.high, log_ratio.low))
    return f"{value:.2g} % ({low:.2g} … {high:.2g})"


def _upper(words: str) -> str:
    """With a capital, unless the first word is a name."""
    return words[0].upper() + words[1:] if words.split(" ")[0] in ("the", "whether", "no", "above", "below") else words


def _negative(interval: Interval) -> Interval:
    return Interval(-interval.value, -interval.high, -interval.low)


def _inverse(interval: Interval) -> Interval:
    return Interval(1 / interval.value, 1 / interval.high, 1 / interval.low if interval.low > 0 else math.inf)
