"""Which rate to try first: the one above the trend's, or the nearest? Searches on stated loss surfaces with noise, many times over.

    python benchmarks/two_trial_rules.py [--draws 100] [--csv benchmarks/two_trial_rules.csv]
    python benchmarks/two_trial_rules.py table    # what the file says, for docs/learning_rates.md

Each draw is a search of 2 models × 4 epoch budgets (each twice the one before) through the search's own code, with the losses of a parabola in log
rate, factor 2. Regret is of the true loss at the rate found, over that at the cell's true optimum, less 1; beside it that of the best of a
full grid of five rates, which sees the same noise.
"""

from __future__ import annotations

import argparse
import csv
import math
import random
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from csv_table import markdown, rows_of

from orchestrator.search import replay as search
from orchestrator.search.cells import Policy, SearchedCell

POLICY = Policy(start=1.0, factor=2.0, seeds=(0,))
SIZES, BUDGETS = {"small": 1000, "large": 2000}, (1.0, 2.0, 4.0, 8.0)
GRID = range(-4, 1)
RULES = {"above": search.first_step, "nearest": round}


@dataclass(frozen=True)
class Truth:
    """log lr* = log c − s·log epochs − t·log size − u·log epochs·log size + scatter·z; log loss = κ·(log lr − log lr*)² + noise·z."""

    log_c: float = -0.3
    s: float = 0.25
    t: float = 0.1
    u: float = 0.03
    curvature: float = 0.05
    noise: float = 0.01
    scatter: float = 0.0


TRUTHS = {
    "falls slowly": Truth(s=0.2),
    "does not fall": Truth(s=0.0, t=0.0, u=0.0),
    "falls fast": Truth(s=0.45, t=0.2, u=0.05),
    "noisy": Truth(noise=0.05),
    "noisy, sharp": Truth(noise=0.05, curvature=0.15),
    "cells scatter about the law": Truth(noise=0.02, curvature=0.1, scatter=0.25),
    "start 8 times too high": Truth(log_c=-2.0, s=0.15, curvature=0.1, noise=0.02),
}


def draw(truth: Truth, seed: int) -> tuple[float, float, float]:
    """Trials a cell, regret of the search, regret of the full grid."""
    chance = random.Random(seed)
    cells = [SearchedCell("f", name, size, epochs, POLICY, {}) for name, size in SIZES.items() for epochs in BUDGETS]
    best = {cell.key: optimum(truth, cell) + truth.scatter * chance.gauss(0, 1) for cell in cells}
    noises = {(cell.key, step): truth.noise * chance.gauss(0, 1) for cell in cells for step in range(-14, 15)}

    def excess(key: tuple[str, str, float], step: int) -> float:
        return truth.curvature * (step * math.log(2) - best[key]) ** 2

    def row_of(cell: SearchedCell, step: int, seed: int, second: int) -> dict:
        return {"id": (cell.key, step)}

    def result_of(run: tuple) -> search.Result:
        return search.Result(math.exp(excess(*run) + noises[run]))

    states = search.replay(cells, result_of, row_of)
    grid = {cell.key: min(GRID, key=lambda step: excess(cell.key, step) + noises[cell.key, step]) for cell in cells}
    found = [math.expm1(excess(state.cell.key, state.accepted)) for state in states if state.accepted is not None]
    return mean(len(state.trials) for state in states), mean(found), mean(math.expm1(excess(*run)) for run in grid.items())


def optimum(truth: Truth, cell: SearchedCell) -> float:
    epochs, size = math.log(cell.epochs), math.log(cell.params / min(SIZES.values()))
    return truth.log_c - truth.s * epochs - truth.t * size - truth.u * epochs * size


def table(path: Path) -> str:
    """A row a truth: trials a cell and regret by each rule, and the regret of the full grid."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows_of(path):
        found.setdefault(row["truth"], {})[row["first"]] = row
    rows = []
    for truth, rules in found.items():
        said = [f"{float(rules[rule]['trials']):.2f}, {100 * float(rules[rule]['regret']):.2f} %" for rule in RULES]
        rows.append([truth, *said, f"{100 * float(rules['above']['grid_regret']):.2f} %"])
    return markdown(["losses", "rate above: trials, regret", "nearest rate: trials, regret", "full grid of five"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["run", "table"], default="run")
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "table":
        print(table(arguments.csv or Path(__file__).with_suffix(".csv")))
        return
    rows = []
    for name, truth in TRUTHS.items():
        for rule, first_step in RULES.items():
            search.first_step = first_step
            search._by_trend.cache_clear()
            trials, found, grid = map(mean, zip(*(draw(truth, seed) for seed in range(arguments.draws)), strict=True))
            rows.append(
                {"truth": name, "first": rule, "trials": f"{trials:.3f}", "regret": f"{found:.5f}", "grid_regret": f"{grid:.5f}"}
            )
            print(
                f"{name:28} {rule:8} {trials:.3f} trials a cell, regret {100 * found:.2f} %, full grid {100 * grid:.2f} %",
                flush=True,
            )
    if arguments.csv:
        with arguments.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
