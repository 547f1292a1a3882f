"""Whether the verdict on several sides errs as often as it says, and whether a difference that "would have shown" shows.

    python benchmarks/compare_pairs.py --draws 1000    # prints the tables of docs/laws_figures.md

Families are simulated as in `benchmarks.compare_null`. Three alike: a false alarm is a draw in which any pair is said to differ; it must be
5 % after Holm's correction. Two that differ by 3 % at every size and budget: the noise is chosen so that 3 % is about the difference
that the comparison says it would show with a power of 80 %; then it must show in about 80 % of the draws.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
import pandas as pd

import analysis
from analysis import Comparison, PairwiseComparison
from benchmarks.compare_null import LONG, NOISE, SIZES, Grid

DIFFERENCE = 0.03
_PILOT = 60


@dataclass(frozen=True)
class Design:
    """Two sides that line up or do not; of three, the third is as the first."""

    name: str
    a: Grid
    b: Grid

    def runs(self, losses: dict[str, float], noise: float, rng: np.random.Generator) -> pd.DataFrame:
        """Simulate sides by name, each with the factor of its loss, the second on grid b, all others on grid a."""
        grids = [self.a, self.b, self.a]
        sides = [
            replace(grid, noise=noise).runs(name, lambda compute, loss=loss: np.full_like(compute, loss), rng)
            for grid, (name, loss) in zip(grids, losses.items(), strict=False)
        ]
        return pd.concat(sides, ignore_index=True).drop(columns=["learning_rate", "seed"])


DESIGNS = (
    Design("paired", Grid(), Grid()),
    Design(
        "joint", Grid(), Grid(epochs=tuple(np.geomspace(1.0, 32.0, 8)))
    ),  # over the same range, else the sides would not be alike
    Design("one model a side", Grid(SIZES[2:3], LONG), Grid(SIZES[2:3], LONG)),
)


def seeds(design: Design, what: str, draws: int) -> Iterator[np.random.Generator]:
    return (np.random.default_rng([crc32(f"{design.name} {what}".encode()), draw]) for draw in range(draws))


def false_alarms(design: Design, draws: int) -> tuple[float, float]:
    """Return the shares of draws in which some pair of three alike sides is said to differ: as the verdict says, and without the correction."""
    found = []
    for rng in seeds(design, "alike", draws):
        verdict = analysis.compare_sides(design.runs({"a": 1.0, "b": 1.0, "c": 1.0}, NOISE, rng))
        assert isinstance(verdict, PairwiseComparison)
        found.append((any(verdict.better), any(pair.p_value_at_largest < 1 - verdict.level for pair in verdict.pairs)))
    corrected, plain = np.mean(found, axis=0)
    return float(corrected), float(plain)


def noise_for(design: Design, difference: float = DIFFERENCE) -> float:
    """Return the noise of a run at which `difference` is about what the comparison says it would show."""
    said = [found.detectable for found in _compared(design, "pilot", _PILOT, 1.0, NOISE)]
    return NOISE * float(np.log1p(difference) / np.median(np.log1p(said)))


def power(design: Design, draws: int, noise: float, difference: float = DIFFERENCE) -> tuple[float, float]:
    """Return the median of what was said to be shown, and the share of draws in which a true difference is."""
    found = list(_compared(design, "power", draws, 1 + difference, noise))
    return float(np.median([each.detectable for each in found])), float(np.mean([each.better == "b" for each in found]))


def _compared(design: Design, what: str, draws: int, worse: float, noise: float) -> Iterator[Comparison]:
    return (analysis.compare(design.runs({"a": worse, "b": 1.0}, noise, rng)) for rng in seeds(design, what, draws))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000, help="of a design")
    parser.add_argument("--only", default="", help="designs whose name has this in it")
    arguments = parser.parse_args()
    draws = arguments.draws
    print(
        "| design | draws | three alike: some pair differs, by Holm | by the p-values alone | noise of a run | "
        f"would have shown, median | {DIFFERENCE:.0%} shows |\n|---|---|---|---|---|---|---|".replace("%", " %", 1)
    )
    for design in (design for design in DESIGNS if arguments.only in design.name):
        corrected, plain = false_alarms(design, draws)
        noise = noise_for(design)
        said, shown = power(design, draws, noise)
        print(
            f"| {design.name} | {draws} | {100 * corrected:.1f} % | {100 * plain:.1f} % | {100 * noise:.2f} % | {100 * said:.1f} % | {100 * shown:.1f} % |",
            flush=True,
        )


if __name__ == "__main__":
    main()
