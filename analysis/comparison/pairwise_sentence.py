"""The verdict on several sides in words: which are better than which, and what would have shown where no difference does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.comparison.sentence import less_words, would_show
from analysis.listing import and_listed

if TYPE_CHECKING:
    from analysis.comparison.pairwise import PairwiseComparison
    from analysis.comparison.result import Comparison

__all__ = ["verdict"]


def verdict(found: PairwiseComparison) -> str:
    """Write the answer about all pairs together; what could not be compared comes last."""
    wins = [(pair, better) for pair, better in zip(found.pairs, found.better, strict=True) if better is not None]
    held = [pair for pair in found.pairs if pair.withheld]
    open_pairs = [pair for pair, better in zip(found.pairs, found.better, strict=True) if better is None and not pair.withheld]
    said = [_differing(found, wins)] if wins else []
    if open_pairs:
        said.append(_alike(found, open_pairs, whole=not wins and not held and not found.missing))
    said += [f"No winner is named between {pair.a} and {pair.b}: {pair.withheld}" for pair in held]
    said += [f"{entry.a} and {entry.b} are not compared: {entry.reason}." for entry in found.missing]
    return " ".join(said)


def _differing(found: PairwiseComparison, wins: list[tuple[Comparison, str]]) -> str:
    gaps = [f"{better} than {_loser(pair, better)} by {less_words(pair)}" for pair, better in wins]
    those = and_listed(gaps)
    number = len(found.pairs)
    how = (
        f"each pair at its largest shared compute, p corrected for {number} pairs by Holm's rule"
        if number > 1
        else "at the largest shared compute"
    )
    if found.best is not None:
        return f"{found.best} is the best of {and_listed(found.sides)} at equal {found.x} ({how}): {found.metric} is lower for {those}."
    return f"At equal {found.x} ({how}) {found.metric} is lower for {those}."


def _alike(found: PairwiseComparison, pairs: list[Comparison], *, whole: bool) -> str:
    if whole:
        names = and_listed(found.sides)
        largest = max(found.detectable(pair) for pair in pairs)
        number = len(found.pairs)
        return (
            f"No evidence that {names} differ at equal {found.x}: after Holm's correction for {number} pairs none of them differs, each at its largest "
            f"shared compute; {would_show(largest)} in any of them."
        )
    which = and_listed([f"{pair.a} and {pair.b}" for pair in pairs], last="or")
    largest = max(found.detectable(pair) for pair in pairs)
    return f"There is no evidence that {which} differ; {would_show(largest)}."


def _loser(pair: Comparison, better: str) -> str:
    return pair.a if better == pair.b else pair.b
