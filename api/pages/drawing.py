"""The part of a frontier that an SVG chart draws: the cells that matter most, and as many runs as the browser draws smoothly."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis import Frontier

__all__ = ["MOST_CELLS", "MOST_MARKS", "Drawn", "drawn"]

MOST_MARKS = 2_000
"""Markers an SVG chart redraws without a stutter. WebGL would carry more, but needs `unsafe-eval`."""

MOST_CELLS = 1_000


@dataclass(frozen=True)
class Drawn:
    """Holds a `frontier` of what is drawn alone, and how many `cells` and `runs` there are in all."""

    frontier: Frontier
    cells: int
    runs: int

    @property
    def is_all(self) -> bool:
        return len(self.frontier.points) == self.cells and len(self.frontier.runs) == self.runs


def drawn(frontier: Frontier) -> Drawn:
    """Choose what to draw: all of it when it is small; else every compute-optimal cell, an even sample of the others, and of their runs."""
    points = _even_sample(frontier.points, MOST_CELLS, first=frontier.points["on_frontier"])
    runs = frontier.runs[frontier.runs["cell"].isin(points["cell"])] if len(points) < len(frontier.points) else frontier.runs
    optimal = runs["cell"].isin(points.loc[points["on_frontier"], "cell"])
    kept = _even_sample(runs, MOST_MARKS - len(points), first=optimal)
    return Drawn(replace(frontier, points=points, runs=kept), len(frontier.points), len(frontier.runs))


def _even_sample(table: pd.DataFrame, most: int, *, first: pd.Series) -> pd.DataFrame:
    """Return at most `most` rows in their order: those marked `first` before all others, evenly spaced where not all have room."""
    if len(table) <= most:
        return table
    marked = _spaced(np.flatnonzero(first), most)
    others = _spaced(np.flatnonzero(~first), most - len(marked))
    return table.iloc[np.sort(np.concatenate([marked, others]))]


def _spaced(places: np.ndarray, most: int) -> np.ndarray:
    return places if len(places) <= most else places[np.linspace(0, len(places) - 1, most).astype(int)] if most else places[:0]
