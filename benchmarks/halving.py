"""Whether the interval halves when the advice of `scaling plan --halve` is followed: simulated studies, asked, extended and asked again.

    python benchmarks/halving.py run [--only curve --shards 1 --simulations 40]   # appends to halving.csv
    python benchmarks/halving.py table                                             # what the file says, for docs/laws_figures.md

Each way that is named is followed, whether it is the cheapest or not. The width is that of the forecast's interval in log, for images like
those that were held out; the error is that of the forecast against the true loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
from csv_table import markdown
from shards import command_line, run_shards

import analysis
from analysis.halving import Way

CSV = Path(__file__).with_suffix(".csv")
COLUMNS = [
    "date",
    "scenario",
    "shard",
    "way",
    "simulation",
    "cheapest",
    "foretold",
    "width",
    "before",
    "error_before",
    "error_after",
]
BOOTSTRAP, DECADES = 200, 3.0


@dataclass(frozen=True)
class Scenario:
    """A truth over compute, at so many budgets with seeds; standard deviations in log loss. held_out: of what all runs share."""

    name: str
    truth: Callable[[np.ndarray], np.ndarray]
    budgets: int
    seeds: int
    of_seeds: float
    of_cells: float = 0.0
    held_out: float = 0.0
    ahead: float = 4.0
    law: str = "auto"


def power_floor(x: np.ndarray) -> np.ndarray:
    return 0.5 + 2.0 * x**-0.4


def two_powers(x: np.ndarray) -> np.ndarray:
    """Of no law's family: a mixture of what is learnt quickly and what is learnt slowly."""
    return 0.4 + 1.4 * x**-0.6 + 0.7 * x**-0.15


def scenarios() -> list[Scenario]:
    return [
        Scenario("curve of 12 × 2, seeds 1 %", power_floor, 12, 2, 0.01),
        Scenario("curve of 12 × 2, seeds 1 %, at 10 times", power_floor, 12, 2, 0.01, ahead=10.0),
        Scenario("curve of 12 × 2, seeds 1 %, law named", power_floor, 12, 2, 0.01, law="power-floor"),
        Scenario("curve of 12 × 2, seeds 0.3 %, cells 1 %", power_floor, 12, 2, 0.003, of_cells=0.01),
        Scenario("curve of 12 × 2, seeds 0.3 %, held-out images 3 %", power_floor, 12, 2, 0.003, held_out=0.03),
        Scenario("curve of 12 × 2, seeds 1 %, held-out images 1 %", power_floor, 12, 2, 0.01, held_out=0.01),
        Scenario("curve of two powers, 12 × 2, seeds 0.3 %", two_powers, 12, 2, 0.003),
    ]


class Study:
    """Holds what was run, and can be extended."""

    def __init__(self, scenario: Scenario, rng: np.random.Generator) -> None:
        self.scenario, self.rng = scenario, rng
        self.shift, self.images = rng.standard_normal(), 1.0
        self.cells: dict[float, float] = {}
        self.runs: list[tuple[float, float]] = []
        for x in np.geomspace(1, 10**DECADES, scenario.budgets):
            self.add(float(x), scenario.seeds)

    def add(self, x: float, seeds: int) -> None:
        own = self.cells.setdefault(x, self.scenario.of_cells * self.rng.standard_normal())
        mean = float(np.log(self.scenario.truth(np.array(x)))) + own
        self.runs += [(x, mean + self.scenario.of_seeds * self.rng.standard_normal()) for _ in range(seeds)]

    def copy(self) -> Study:
        other = object.__new__(Study)
        other.__dict__ = {**self.__dict__, "cells": dict(self.cells), "runs": list(self.runs)}
        return other

    def table(self) -> pd.DataFrame:
        found = pd.DataFrame(self.runs, columns=["core_hours", "log_loss"])
        error = self.scenario.held_out / np.sqrt(self.images)
        loss = np.exp(found["log_loss"] + error * self.shift)
        seed = found.groupby("core_hours").cumcount()
        table = pd.DataFrame({"core_hours": found["core_hours"], "seed": seed, "val_loss": loss})
        table = table.assign(model="m", epochs=found["core_hours"])
        return table.assign(val_loss_standard_error=error * loss) if self.scenario.held_out else table

    def follow(self, way: Way) -> Study:
        after = self.copy()
        after.images *= way.images if way.name != "images" else way.times
        if way.name == "seeds":
            more = round((way.times - 1) * self.scenario.seeds)
            for x in list(self.cells):
                after.add(x, more)
        if way.chosen is not None:
            for x, seeds in zip(way.chosen["core_hours"], way.chosen["seeds"], strict=True):
                known = [own for own in self.cells if abs(own / x - 1) < 1e-6]
                after.add(known[0] if known else float(x), int(seeds))
        if way.name == "larger":
            largest = max(self.cells)
            for step in range(1, int(np.ceil(np.log2(way.times) - 1e-9))):
                after.add(largest * 2.0**step, 1)
            after.add(largest * way.times, self.scenario.seeds)
        return after


def asked(study: Study, seed: int) -> tuple[analysis.Halving, float, float]:
    """The answer, the width in log, and the error of the forecast in log."""
    target = study.scenario.ahead * 10**DECADES
    found = analysis.halve(study.table(), target=target, law=study.scenario.law, on="all", bootstrap=BOOTSTRAP, seed=seed)
    width = float(np.log(found.interval.high / found.interval.low))
    return found, width, float(np.log(found.interval.value / study.scenario.truth(np.array(target))))


def run_shard(scenario: Scenario, shard: int, simulations: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    for number in range(simulations):
        study = Study(scenario, np.random.default_rng([crc32(scenario.name.encode()), shard, number]))
        found, before, error = asked(study, number)
        for way in found.ways:
            if way.name in ("seeds", "images") and (not way.halves or way.images > 1):
                continue  # no end of them would do alone
            _, after, error_after = asked(study.follow(way), number)
            rows.append(
                {
                    "date": date,
                    "scenario": scenario.name,
                    "shard": shard,
                    "way": way.name if way.images == 1.0 else f"{way.name} and images",
                    "simulation": number,
                    "cheapest": int(way is found.cheapest),
                    "foretold": f"{way.width:.4f}",
                    "width": f"{after / before:.4f}",
                    "before": f"{before:.5f}",
                    "error_before": f"{error:.5f}",
                    "error_after": f"{error_after:.5f}",
                }
            )
    return rows


def table(path: Path) -> str:
    rows, lines = pd.read_csv(path), []
    for (scenario, way), own in rows.groupby(["scenario", "way"], sort=False):
        low, middle, high = np.quantile(own["width"], [0.1, 0.5, 0.9])
        fell = (own["error_after"].abs().median(), own["error_before"].abs().median())
        lines.append(
            (
                scenario,
                way,
                len(own),
                int(own["cheapest"].sum()),
                f"{own['foretold'].median():.2f}",
                f"{middle:.2f} ({low:.2f} … {high:.2f})",
                f"{100 * fell[1]:.2f} % → {100 * fell[0]:.2f} %",
            )
        )
    head = ("scenario", "way", "followed", "the cheapest", "width foretold", "width after (10 … 90 %)", "median error")
    return markdown(head, lines)


def main() -> None:
    parser = command_line(__doc__, CSV, simulations=40, simulations_of="of a shard")
    parser.add_argument("--shards", type=int, default=1)
    wanted = parser.parse_args()
    if wanted.what == "table":
        print(table(wanted.csv))
    else:
        run_shards(wanted, COLUMNS, scenarios(), run_shard, lambda rows: [len(rows)])


if __name__ == "__main__":
    main()
