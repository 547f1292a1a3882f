"""Whether `compare` errs as often as it says: its p-values where the sides do not differ, and its interval of a crossing that is known.

    python benchmarks/compare_null.py --draws 1000 --crossings 300    # prints the table of docs/laws_figures.md

Two families are simulated on grids of sizes × epoch budgets, with log-normal noise, and compared as a user would. The truth of a side at a
compute is the lowest loss of the true surface among all sizes and epochs between those tried, found by brute force. Where the sides are
alike, the p-value of "the difference is the true one" must be uniform: the table has the p-value of a Kolmogorov–Smirnov test of that, and how often
the 5 % level refuses. Where side b falls faster, it overtakes at a compute that is known: the table has how often the interval holds it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pandas as pd
from scipy import optimize, stats

import analysis
from analysis import Comparison

FLOOR, A, ALPHA, B, BETA = 0.6, 60.0, 0.40, 40.0, 0.35
EXAMPLES = 5e4
NOISE = 0.006
SIZES = tuple(1e5 * 3.0**rank for rank in range(5))
EPOCHS = tuple(2.0**step for step in range(6))
BEST_RATE, CURVATURE = 1e-3, 0.005
"""Of the loss over the learning rate: a rate twice too high or low costs 0.24 %, less than the noise of a run."""
FALLS = 0.03
"""How much faster side b's loss falls, where the sides cross: its log changes by this much less for each e-fold of compute."""


@dataclass(frozen=True)
class Grid:
    """One side's sizes and epoch budgets. cost: how many times as much compute a cell takes. rates: the learning rates that each cell tried; seeds: of
    each. noise: of a run, the standard deviation of its log loss."""

    sizes: tuple[float, ...] = SIZES
    epochs: tuple[float, ...] = EPOCHS
    cost: float = 1.0
    rates: tuple[float, ...] = (BEST_RATE,)
    seeds: int = 1
    noise: float = NOISE

    def runs(self, family: str, factor: Callable[[np.ndarray], np.ndarray], rng: np.random.Generator) -> pd.DataFrame:
        """A run a cell, rate and seed; factor: compute → what the loss is multiplied with."""
        axes = np.meshgrid(self.sizes, self.epochs, self.rates, np.arange(self.seeds), indexing="ij")
        size, epochs, rate, seed = (axis.ravel() for axis in axes)
        compute = self.cost * size * epochs / 1e6
        off = CURVATURE * np.log(rate / BEST_RATE) ** 2
        loss = surface(size, epochs) * factor(compute) * np.exp(off + self.noise * rng.standard_normal(len(size)))
        names = [f"{family}{self.sizes.index(each)}" for each in size]
        return pd.DataFrame(
            {
                "family": family,
                "model": names,
                "params": size,
                "epochs": epochs,
                "learning_rate": rate,
                "seed": seed,
                "core_hours": compute,
                "val_loss": loss,
            }
        )

    def log_best(self, compute: float) -> float:
        """The log of the lowest true loss at this compute, sizes and epochs within those tried."""
        low = max(min(self.epochs), compute * 1e6 / (self.cost * max(self.sizes)))
        high = min(max(self.epochs), compute * 1e6 / (self.cost * min(self.sizes)))
        epochs = np.geomspace(low, max(low, high), 400)
        return float(np.log(surface(compute * 1e6 / (self.cost * epochs), epochs)).min())

    def reach(self) -> tuple[float, float]:
        """The least and the largest compute."""
        return (
            self.cost * min(self.sizes) * min(self.epochs) / 1e6,
            self.cost * max(self.sizes) * max(self.epochs) / 1e6,
        )


def surface(size: np.ndarray, epochs: np.ndarray) -> np.ndarray:
    return FLOOR + A * size**-ALPHA + B * (EXAMPLES * epochs) ** -BETA


@dataclass(frozen=True)
class Design:
    """Two sides, and the columns that the table lacks. alike: whether the sides would be alike had they tried the same sizes, which is the truth then."""

    name: str
    a: Grid
    b: Grid
    without: tuple[str, ...] = ()
    alike: bool = False

    def compared(self, rng: np.random.Generator, pivot: float | None = None) -> Comparison:
        """pivot: the compute around which side b falls faster; None: the sides are alike."""

        def factor(compute: np.ndarray) -> np.ndarray:
            return np.ones_like(compute) if pivot is None else (compute / pivot) ** -FALLS

        table = pd.concat([self.a.runs("a", np.ones_like, rng), self.b.runs("b", factor, rng)], ignore_index=True)
        same = [name for name in ("learning_rate", "seed") if table[name].nunique() == 1]
        return analysis.compare(table.drop(columns=[*self.without, *same]), a="a", b="b")

    def truth(self, compute: float, pivot: float | None = None) -> float:
        """log(best of a / best of b)."""
        faster = 0.0 if pivot is None else FALLS * np.log(compute / pivot)
        return faster if self.alike else self.a.log_best(compute) - self.b.log_best(compute) + faster

    def middle(self) -> float:
        """The compute in the middle of the shared range."""
        reaches = self.a.reach(), self.b.reach()
        return float(np.sqrt(max(low for low, _ in reaches) * min(high for _, high in reaches)))

    def crossing(self, pivot: float) -> float:
        """The compute at which the true frontiers cross."""
        near = self.middle() / 30, self.middle() * 30
        return float(np.exp(optimize.brentq(lambda u: self.truth(np.exp(u), pivot), *np.log(near))))


BARE = ("epochs", "params")
BETWEEN = tuple(1.4 * each for each in EPOCHS)
LONG = tuple(2.0**step for step in range(9))
WIDE = tuple(4.0**step for step in range(6))
RATES = tuple(BEST_RATE * 2.0**step for step in range(-2, 3))
DESIGNS = (
    Design("paired, with epochs", Grid(), Grid()),
    Design("paired, without epochs", Grid(), Grid(), BARE),
    Design("joint, with epochs", Grid(), Grid(epochs=BETWEEN)),
    Design("joint, without epochs", Grid(), Grid(epochs=BETWEEN), BARE),
    Design("one model a side", Grid(SIZES[2:3], LONG), Grid(SIZES[2:3], LONG)),
    Design("unequal ranges", Grid(SIZES[:4]), Grid(tuple(3 * each for each in SIZES))),
    Design("compute and loss alone, paired", Grid(), Grid(), (*BARE, "model")),
    Design("compute and loss alone, joint", Grid(), Grid(epochs=BETWEEN), (*BARE, "model")),
    Design("5 learning rates against 1, paired", Grid(rates=RATES), Grid()),
    Design("5 learning rates against 1, joint", Grid(rates=RATES), Grid(epochs=BETWEEN)),
    Design(
        "5 learning rates against 2, one model a side",
        Grid(SIZES[2:3], LONG, rates=RATES),
        Grid(SIZES[2:3], LONG, rates=RATES[2:4]),
    ),
    Design("5 seeds against 1, paired", Grid(seeds=5), Grid()),
    Design("5 seeds against 1, joint", Grid(seeds=5), Grid(epochs=BETWEEN)),
    Design("5 sizes against the 3 smallest", Grid(epochs=WIDE), Grid(SIZES[:3], WIDE), alike=True),
)


def p_of_truth(found: Comparison, design: Design, shift: float = 0.0) -> tuple[float, float]:
    """Of the true difference, plus `shift`, at the largest shared compute, and of its mean along the shared compute (paired: zero by design)."""
    difference = found.found
    largest = difference.at_largest.value - design.truth(difference.shared[1]) - shift
    mean = difference.mean.value - shift
    if difference.design == "joint":
        mean -= np.mean([design.truth(compute) for compute in np.geomspace(*difference.shared, 41)])
    ratios = largest / difference.at_largest.error, mean / difference.mean.error
    return tuple(float(2 * stats.t.sf(abs(each), difference.degrees_of_freedom)) for each in ratios)  # type: ignore[return-value]


def rows(
    draws: int, designs: tuple[Design, ...] = DESIGNS, *, crossings: int | None = None, shift: float = 0.0
) -> Iterator[dict[str, float | str]]:
    """One a design: what the table shows. crossings: draws with a crossing, where not as many. shift: by which the truth is misstated."""
    for design in designs:
        seeds = [[crc32(design.name.encode()), draw] for draw in range(draws)]
        p = np.array([p_of_truth(design.compared(np.random.default_rng(seed)), design, shift) for seed in seeds])
        pivot = design.middle()
        truth = design.crossing(pivot)
        compared = [design.compared(np.random.default_rng([1, *seed]), pivot) for seed in seeds[:crossings]]
        held = [found.crossing.at.low <= truth <= found.crossing.at.high for found in compared]
        width = np.log([found.crossing.at.high / found.crossing.at.low for found in compared if found.crossing.proven])
        yield {
            "design": design.name,
            "draws": draws,
            "largest_ks": stats.kstest(p[:, 0], "uniform").pvalue,
            "largest_refused": float(np.mean(p[:, 0] < 0.05)),
            "mean_ks": stats.kstest(p[:, 1], "uniform").pvalue,
            "mean_refused": float(np.mean(p[:, 1] < 0.05)),
            "crossing_held": float(np.mean(held)),
            "crossing_shown": float(np.mean([found.crossing.proven for found in compared])),
            "right_winner": float(np.mean([found.better == "b" for found in compared])),
            "width": float(np.exp(np.median(width) / 2)) if len(width) else float("nan"),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000, help="of a design")
    parser.add_argument("--crossings", type=int, default=500, help="of a design whose sides cross")
    parser.add_argument("--only", default="", help="designs whose name has this in it")
    arguments = parser.parse_args()
    print(
        "| design | draws: alike, crossing | at the largest compute: KS p | refused at 5 % | mean: KS p | refused at 5 % | crossing held by its 95 % interval |"
        " crossing shown | winner right | half the interval's width, median |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in rows(
        arguments.draws, tuple(design for design in DESIGNS if arguments.only in design.name), crossings=arguments.crossings
    ):
        shares = [
            f"{100 * float(row[name]):.1f} %"
            for name in ("largest_refused", "mean_refused", "crossing_held", "crossing_shown", "right_winner")
        ]
        print(
            f"| {row['design']} | {row['draws']}, {arguments.crossings} | {row['largest_ks']:.2g} | {shares[0]} | {row['mean_ks']:.2g} | {shares[1]} | {shares[2]} | {shares[3]} |"
            f" {shares[4]} | ×/÷ {row['width']:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
