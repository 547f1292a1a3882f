"""`Nearest`: of many pairs that come bit by bit, each once, and of each question the nearest few."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Nearest", "Pairs"]

_HELD = 2**22
"""Pairs that are held before those that are too many are dropped: some 100 MB."""


class Pairs(NamedTuple):
    """Holds pairs: numbers [n] int64 of a question and of the other, and how far apart they are [n] float32."""

    question: np.ndarray
    other: np.ndarray
    away: np.ndarray


class Nearest:
    """Keeps each pair once, and of each question the `most` nearest; of those that are equally near, the ones with the lowest numbers."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: list[Pairs] = []
        self._held = 0

    def add(self, question: np.ndarray, other: np.ndarray, away: np.ndarray) -> None:
        """Take more pairs."""
        if not len(question):
            return
        self._parts.append(Pairs(question.astype(np.int64), other.astype(np.int64), away.astype(np.float32)))
        self._held += len(question)
        if self._held > _HELD:
            self._parts, self._held = [self.result()], 0  # what is left may be as many: it is looked at again after so many more

    def result(self) -> Pairs:
        """Return what is kept, by question, the nearest first."""
        if not self._parts:
            empty = np.empty(0, np.int64)
            return Pairs(empty, empty, np.empty(0, np.float32))
        question, other, away = (np.concatenate(columns) for columns in zip(*self._parts, strict=True))
        order = np.lexsort((away, other, question))
        question, other, away = question[order], other[order], away[order]
        new = np.ones(len(question), bool)
        new[1:] = (question[1:] != question[:-1]) | (other[1:] != other[:-1])
        question, other, away = question[new], other[new], away[new]
        order = np.lexsort((other, away, question))
        question, other, away = question[order], other[order], away[order]
        near = np.arange(len(question)) - np.searchsorted(question, question) < self._most
        return Pairs(question[near], other[near], away[near])
