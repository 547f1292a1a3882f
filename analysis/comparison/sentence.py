"""A comparison in words: who is better at the largest shared compute, where they cross, and what the average over budgets is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analysis.comparison.difference import POWER
from analysis.interval import Interval
from scaling.rounding import amount, percent, significant

if TYPE_CHECKING:
    from analysis.comparison.result import Comparison

__all__ = ["caveats", "crossing_words", "edge_words", "less_words", "no_crossing_words", "rates_words", "sentence", "would_show"]


def sentence(found: Comparison) -> str:
    """Write the answer; its first part names the side that is better at the largest shared compute, or says why none is named."""
    if found.withheld:
        return " ".join((_no_winner(found), *found.caveats))
    return " ".join((_winner(found), _average(found), *found.caveats))


def caveats(found: Comparison) -> tuple[str, ...]:
    """Say which compute, and which learning rates, the answer is about."""
    said = []
    if found.found.edges and found.found.narrowed:
        low, high = (amount(end) for end in found.found.shared)
        said.append(f"Only from {low} to {high} {found.unit} are the sides compared: elsewhere {_edges(found)}. {_cure(found)}")
    elif found.found.edges and not found.withheld:
        said.append(
            f"How much is less certain than that: {_edges(found)}; {found.better or 'neither'} is better at the sizes nearest to each other, too."
        )
    if found.rates is not None and not found.rates.decide:
        said.append(f"{_counts(found)} The lowest of several trials is low by luck too, so that {_counted(found)}.")
    return tuple(said)


def edge_words(found: Comparison) -> str:
    """Say why the sizes tried allow no winner, and what to do."""
    return f"The difference may only tell which sizes were tried, for {_edges(found)}. {_cure(found)}"


def rates_words(found: Comparison) -> str:
    """Say why the learning rates tried allow no winner, and what to do."""
    assert found.rates is not None, "the sides searched alike"
    fewer, more = (found.b, found.a)[found.rates.searched], (found.a, found.b)[found.rates.searched]
    return (
        f"{_counts(found)} Where {_counted(found)}, {fewer} is better; where all that were tried count, it is not. "
        f"Try as many rates on {fewer} as on {more}."
    )


def no_crossing_words(found: Comparison) -> str:
    """Say why no crossing is given where the sizes or rates tried decide it; no full stop."""
    why = (
        _edges(found) if found.found.edges and not found.found.narrowed else "the learning rates tried decide which side is better"
    )
    return f"where {found.a} and {found.b} cross is not determined: {why}"


def _no_winner(found: Comparison) -> str:
    at = amount(found.found.shared[1])
    return (
        f"No winner is named between {found.a} and {found.b}. {found.withheld} As tried, at {at} {found.unit}, {found.end}, {found.metric} is "
        f"{_percent(found.difference_at_largest)} for {found.a}."
    )


def _edges(found: Comparison) -> str:
    names = found.a, found.b
    return ", and ".join(
        f"the best of {names[edge.side]} is of the {'largest' if edge.wants == 'larger' else 'smallest'} models that it tried at equal compute, while "
        f"{names[1 - edge.side]} gains by {edge.wants} ones"
        for edge in found.found.edges
    )


def _cure(found: Comparison) -> str:
    wanted = [f"{edge.wants} models of {(found.a, found.b)[edge.side]}" for edge in found.found.edges]
    return f"Train {' and '.join(wanted)} at these computes, or compare the sizes that both tried."


def _counted(found: Comparison) -> str:
    assert found.rates is not None, "the sides searched alike"
    near = "nearest to where the other cells of its side have their best"
    return (
        f"only the rate {near} counts in a cell"
        if found.rates.count == 1
        else f"only the {found.rates.count} rates {near} count in a cell"
    )


def _counts(found: Comparison) -> str:
    assert found.rates is not None, "the sides searched alike"
    return f"{found.a} tried {found.rates.of_a:.2g} learning rates a cell, {found.b} {found.rates.of_b:.2g}."


def crossing_words(found: Comparison) -> str:
    """Say where the sides cross, or why that is not known; one sentence without a full stop."""
    crossing = found.crossing
    if crossing.overtakes is not None and crossing.proven:
        loser = found.a if crossing.overtakes == found.b else found.b
        more = f"; it is {crossing.reason}" if crossing.reason else ""
        return f"{crossing.overtakes} overtakes {loser} at about {_range(crossing.at)} {found.unit}{more}"
    if crossing.overtakes is not None:
        return f"whether they cross, at about {_range(crossing.at)} {found.unit}, is not determined: {crossing.reason}"
    return str(crossing.reason)


def _winner(found: Comparison) -> str:
    end, x = found.difference_at_largest, found.x
    at = amount(found.found.shared[1]) + (f" {found.unit}" if found.unit != x else "")
    if found.better is None:
        worst = max(abs(end.low), abs(end.high))
        return (
            f"No evidence that {found.a} and {found.b} differ at equal {x}: at {at}, {found.end}, {found.metric} is {_percent(end)} for {found.a}, "
            f"p = {significant(found.p_value_at_largest, 2)}, no difference beyond noise; {would_show(found.detectable)}. "
            f"A difference above {percent(math.expm1(worst))} is ruled out at {100 * found.level:g} %. "
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
    tail = f"p = {significant(found.p_value_at_largest, 2)}; {worth}."
    if found.crossing.proven and found.crossing.overtakes == found.better:
        return f"{crossing_words(found)}; at {at}, {found.end}, {found.better} is better by {_less(gap)} in {found.metric}, {tail}"
    said = f"{found.better} is better than {loser} at equal {x}: at {at}, {found.end}, {found.metric} is {_percent(gap)}, {tail}"
    return f"{said} {_upper(crossing_words(found))}. {_trend(found)}"


def less_words(found: Comparison) -> str:
    """Say by how much the better side's metric is lower at the largest shared compute: `2.1 % (1.8 … 2.4)`."""
    end = found.difference_at_largest
    return _less(end if end.value < 0 else _negative(end))


def would_show(detectable: float) -> str:
    """Say which true difference the runs would have shown; a share, 0.03 for 3 %."""
    return f"a difference of {percent(detectable)} would have shown ({100 * POWER:g} % power)"


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
    return f"On average {over}: {found.a} {_percent(found.difference)}, p = {significant(found.p_value, 2)}."


def _range(at: Interval) -> str:
    low = f"{amount(at.low)} …" if math.isfinite(at.low) else "no lower bound …"
    return f"{amount(at.value)} ({low} {amount(at.high) if math.isfinite(at.high) else 'no upper bound'})"


def _percent(log_ratio: Interval) -> str:
    """Write the log of a ratio as `2.1 % lower (1.8 … 2.4)`; a positive one is higher."""
    if log_ratio.value > 0:
        ends = [math.expm1(end) for end in (log_ratio.value, log_ratio.low, log_ratio.high)]
        return f"{percent(ends[0])} higher ({significant(100 * ends[1], 2)} … {significant(100 * ends[2], 2)})"
    return _less(log_ratio).replace(" %", " % lower")


def _less(log_ratio: Interval) -> str:
    """Write how far the ratio is below one: `2.1 % (1.8 … 2.4)`."""
    value, low, high = (-math.expm1(end) for end in (log_ratio.value, log_ratio.high, log_ratio.low))
    return f"{percent(value)} ({significant(100 * low, 2)} … {significant(100 * high, 2)})"


def _upper(words: str) -> str:
    """Begin with a capital, unless the first word is a name."""
    return words[0].upper() + words[1:] if words.split(" ")[0] in ("the", "whether", "no", "above", "below") else words


def _negative(interval: Interval) -> Interval:
    return Interval(-interval.value, -interval.high, -interval.low)


def _inverse(interval: Interval) -> Interval:
    return Interval(1 / interval.value, 1 / interval.high, 1 / interval.low if interval.low > 0 else math.inf)
