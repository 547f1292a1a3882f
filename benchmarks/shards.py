"""Simulations in pieces, whose results are kept in a CSV: the commands `run`, which goes on where the last one ended, and `table`.

`halving.py`, `regret.py` and `plan_wrong_law.py` are made of it.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pandas as pd


class Named(Protocol):
    """What is simulated: a scenario, a truth."""

    @property
    def name(self) -> str: ...


Scenario = TypeVar("Scenario", bound=Named)


@dataclass(frozen=True)
class Kept:
    """The file of a study. key: the columns whose values name a piece of it."""

    path: Path
    columns: Sequence[str]
    key: Sequence[str]

    def pieces(self) -> set[tuple[Any, ...]]:
        """Those that the file has."""
        if not self.path.exists():
            return set()
        known = pd.read_csv(self.path)
        return set(zip(*(known[name] for name in self.key), strict=True))

    def append(self, rows: Iterable[dict[str, object]]) -> None:
        """Write the rows of a piece, below the names of the columns."""
        is_new = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerows(rows)


def command_line(about: str | None, path: Path, *, simulations: int, simulations_of: str) -> argparse.ArgumentParser:
    """The parser of `run` and `table`, to which a study adds what it alone asks."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--only", default="", help="those whose name has this in it")
    parser.add_argument("--simulations", type=int, default=simulations, help=simulations_of)
    parser.add_argument("--csv", type=Path, default=path)
    return parser


def run_shards(
    asked: argparse.Namespace,
    columns: Sequence[str],
    scenarios: Sequence[Scenario],
    run_shard: Callable[[Scenario, int, int], list[dict[str, object]]],
    said: Callable[[list[dict[str, object]]], Iterable[object]],
) -> None:
    """Simulate what is not in the file yet, a shard of every scenario before the next shard. said: of a shard's rows, to print."""
    kept = Kept(asked.csv, columns, ("scenario", "shard"))
    done = kept.pieces()
    for shard in range(asked.shards):
        for scenario in scenarios:
            if asked.only in scenario.name and (scenario.name, shard) not in done:
                rows = run_shard(scenario, shard, asked.simulations)
                kept.append(rows)
                print(scenario.name, shard, *said(rows), flush=True)
