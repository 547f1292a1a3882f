"""Whether the intervals of the optimum's exponent hold the truth: simulated grids and isoFLOP tables, asked as a user would.

    python benchmarks/optimum_coverage.py run [--only isoflop --shards 2 --simulations 100]    # appends to optimum_coverage.csv
    python benchmarks/optimum_coverage.py table                                                  # what the file says, for docs/laws_figures.md

A shard is so many simulations of one scenario with seeds of its own; shards that are in the file already are passed over. The truth is the
line that the true best size follows in log compute over the range where an approach answers, found by minimising the true loss. An
approach that refuses, or says that its answer is not identified, counts as not answering. Coverage is counted of the size's exponent.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd

import analysis
from scaling.outcomes import OptimumStatus

CSV = Path(__file__).with_suffix(".csv")
COLUMNS = [
    "date",
    "scenario",
    "shard",
    "quantity",
    "simulations",
    "answered",
    "covered",
    "mean_error",
    "median_width",
    "disagree",
    "ok",
    "ok_covered",
    "seconds",
]
BOOTSTRAP = 200

Truth = Callable[[np.ndarray, np.ndarray], np.ndarray]


def chinchilla(alpha: float, beta: float, best: float = 1e8, floor: float = 1.7) -> Truth:
    """E + A·N^−α + B·D^−β, of which the best size at 6e18 FLOP is `best` and each term is 0.6 there: N* ∝ C^(β/(α+β))."""
    A = 0.6 * best**alpha
    B = A * best**-alpha * alpha / beta * (6e18 / 6 / best) ** beta
    return lambda N, D: floor + A * N**-alpha + B * D**-beta


def crossed(N: np.ndarray, D: np.ndarray) -> np.ndarray:
    """Outside the family: a term of size and data together."""
    return chinchilla(0.34, 0.30)(N, D) + 0.25 * (N / 1e8) ** -0.1 * (D / 1e10) ** -0.12


def bent(N: np.ndarray, D: np.ndarray) -> np.ndarray:
    """Outside the family: log loss has another curvature in log size, everywhere."""
    return chinchilla(0.32, 0.30)(N, D) * np.exp(0.003 * np.log(N / 1e9) ** 2)


@dataclass(frozen=True)
class Embeddings:
    """Outside the family: `params` counts them, and the loss does not. 12·layers·width² parameters beside them, with width = 128·layers.

    words: of the vocabulary, a row of `width` each; fixed: parameters whatever the size. in_compute: whether compute is 6·N·D of all parameters.
    """

    words: float = 0.0
    fixed: float = 0.0
    in_compute: bool = False

    def cost(self, N: np.ndarray) -> np.ndarray:
        return 6 * (self.params(N) if self.in_compute else N)

    def params(self, N: np.ndarray) -> np.ndarray:
        return N + self.fixed + self.words * (128 / 12 * N) ** (1 / 3)

    def backbone(self, params: np.ndarray) -> np.ndarray:
        """Parameters beside the embeddings, of a model with so many in all."""
        N = np.exp(np.linspace(np.log(1e3), np.log(1e14), 40_001))
        return np.exp(np.interp(np.log(params), np.log(self.params(N)), np.log(N)))


@dataclass(frozen=True)
class Scenario:
    """A table of params, examples_seen and train_flops (exact), a truth, and the noise of losses and of measured compute."""

    name: str
    design: pd.DataFrame
    truth: Truth
    noise: float
    compute_noise: float
    cost: Callable[[np.ndarray], np.ndarray]


def plain_cost(N: np.ndarray) -> np.ndarray:
    return 6 * N


def convolutional_cost(N: np.ndarray) -> np.ndarray:
    """An example costs less than in proportion to the parameters, and the less the larger the model: log cost is bent in log N."""
    v = np.log(N / 1e8)
    return 6e8 * np.exp(0.85 * v - 0.02 * v**2)


def isoflop(
    truth: Truth,
    cost: Callable[[np.ndarray], np.ndarray],
    *,
    budgets: int,
    sizes: int,
    decades: float,
    off: float = 1.0,
    smallest: float = 6e18,
) -> pd.DataFrame:
    """Each size once at each budget; `sizes` over so many decades about the best, which the middle misses by the factor `off` or less."""
    rows = []
    for number, C in enumerate(np.geomspace(smallest, 6e20, budgets)):
        middle = np.log10(best_size(truth, cost, C)) + np.log10(off) * (2 * number / (budgets - 1) - 1)
        for N in 10 ** (middle + np.linspace(-decades / 2, decades / 2, sizes)):
            rows.append((N, C / cost(np.array([N]))[0], C))
    return pd.DataFrame(rows, columns=["params", "examples_seen", "train_flops"])


def grid(cost: Callable[[np.ndarray], np.ndarray], *, sizes: int, budgets: int) -> pd.DataFrame:
    """Every size for every number of epochs, a factor of 3 and of 2 apart."""
    N, epochs = (axis.ravel() for axis in np.meshgrid(1e7 * 3.0 ** np.arange(sizes), 2.0 ** np.arange(budgets), indexing="ij"))
    D = 2e9 * epochs
    return pd.DataFrame({"params": N, "examples_seen": D, "train_flops": cost(N) * D})


def best_size(truth: Truth, cost: Callable[[np.ndarray], np.ndarray], C: float) -> float:
    N = np.exp(np.linspace(np.log(1e5), np.log(1e13), 40_001))
    return float(N[np.argmin(truth(N, C / cost(N)))])


def scenarios() -> list[Scenario]:
    """Designs, truths and noises so chosen that each value meets several of the others; all of them together would take days."""
    tall, short, wide = (
        "isoflop 8 × 9 sizes, 1.5 decades",
        "isoflop 6 × 5 sizes, 1 decade, off by 1.5",
        "isoflop 6 × 9 sizes, 3 decades, off by 4",
    )
    large, small, bent_cost = "grid 7 sizes × 7 budgets", "grid 5 sizes × 6 budgets", "grid 7 sizes × 7 budgets, bent cost"
    truths = {
        "N* ∝ C^.45": chinchilla(0.33, 0.27),
        "N* ∝ C^.50": chinchilla(0.30, 0.30),
        "N* ∝ C^.55": chinchilla(0.36, 0.44, floor=1.0),
        "crossed": crossed,
        "bent": bent,
    }
    asked = [
        *((tall, "N* ∝ C^.45", 0.003, compute) for compute in (0.0, 0.03, 0.1)),
        *((large, "N* ∝ C^.45", 0.003, compute) for compute in (0.0, 0.03, 0.1)),
        *((bent_cost, "N* ∝ C^.45", 0.003, compute) for compute in (0.03, 0.1)),
        (short, "N* ∝ C^.45", 0.003, 0.0),
        (short, "N* ∝ C^.55", 0.01, 0.1),
        (wide, "N* ∝ C^.45", 0.003, 0.0),
        (wide, "N* ∝ C^.55", 0.01, 0.1),
        (tall, "N* ∝ C^.50", 0.01, 0.03),
        (large, "N* ∝ C^.50", 0.01, 0.03),
        (small, "N* ∝ C^.50", 0.003, 0.1),
        (small, "N* ∝ C^.55", 0.01, 0.0),
        *((design, "crossed", 0.003, 0.03) for design in (tall, large)),
        *((design, "bent", 0.003, 0.03) for design in (tall, wide, large)),
    ]
    found = []
    for name, which, noise, compute in asked:
        truth, cost = truths[which], convolutional_cost if name == bent_cost else plain_cost
        design = {
            tall: lambda truth=truth: isoflop(truth, plain_cost, budgets=8, sizes=9, decades=1.5, off=1.0),
            short: lambda truth=truth: isoflop(truth, plain_cost, budgets=6, sizes=5, decades=1.0, off=1.5),
            wide: lambda truth=truth: isoflop(truth, plain_cost, budgets=6, sizes=9, decades=3.0, off=4.0),
            large: lambda: grid(plain_cost, sizes=7, budgets=7),
            small: lambda: grid(plain_cost, sizes=5, budgets=6),
            bent_cost: lambda: grid(convolutional_cost, sizes=7, budgets=7),
        }[name]()
        words = f"{name}, {which}, loss {100 * noise:g} %, compute {100 * compute:g} %"
        found.append(Scenario(words, design, truth, noise, compute, cost))
    return [*found, *with_embeddings()]


def with_embeddings() -> list[Scenario]:
    """isoFLOP tables whose `params` counts embeddings: the best size is no power of compute."""
    large, small, wide = (
        "isoflop 8 × 9 sizes, 1.2 decades, from 6e17",
        "isoflop 6 × 5 sizes, 1 decade, from 6e17",
        "isoflop 6 × 9 sizes, 1.5 decades",
    )
    words = "embeddings of 32,000 words"
    tables: dict[str, dict[str, Any]] = {
        large: {"budgets": 8, "sizes": 9, "decades": 1.2, "smallest": 6e17},
        small: {"budgets": 6, "sizes": 5, "decades": 1.0, "smallest": 6e17},
        wide: {"budgets": 6, "sizes": 9, "decades": 1.5},
    }
    kinds = {
        "embeddings of 8,000 words": Embeddings(words=8e3),
        words: Embeddings(words=3.2e4),
        "embeddings of 32,000 words in compute too": Embeddings(words=3.2e4, in_compute=True),
        "1e8 embeddings": Embeddings(fixed=1e8),
    }
    loss, found = chinchilla(0.33, 0.27), []
    asked = [*product([large], kinds), *product([small, wide], [words])]
    for table, kind in asked:
        own = kinds[kind]
        design = isoflop(loss, own.cost, **tables[table])
        design["params"] = own.params(design["params"].to_numpy())
        truth = lambda params, D, own=own: loss(own.backbone(params), D)  # noqa: E731
        cost = lambda params, own=own: own.cost(own.backbone(params))  # noqa: E731
        found.append(Scenario(f"{table}, {kind}, loss 0.3 %", design, truth, 0.003, 0.0, cost))
    return found


def true_exponent(scenario: Scenario, compute: np.ndarray) -> float:
    """Of the line through the true best sizes at these computes."""
    best = [np.log(best_size(scenario.truth, scenario.cost, float(C))) for C in compute]
    return float(np.polyfit(np.log(compute), best, 1)[0])


def run_shard(scenario: Scenario, shard: int, simulations: int) -> list[dict[str, object]]:
    """One row an approach, and one of the headline."""
    started = time.perf_counter()
    seen: dict[str, list[tuple[bool, float, float, OptimumStatus]]] = {
        name: [] for name in ("surface", "isocompute", "envelope", "headline")
    }
    mean = scenario.truth(scenario.design["params"].to_numpy(), scenario.design["examples_seen"].to_numpy())
    for number in range(simulations):
        rng = np.random.default_rng([crc32(scenario.name.encode()), shard, number])
        runs = scenario.design.assign(
            id=[f"r{row}" for row in range(len(mean))],
            val_loss=mean * np.exp(scenario.noise * rng.standard_normal(len(mean))),
            train_flops=scenario.design["train_flops"] * np.exp(scenario.compute_noise * rng.standard_normal(len(mean))),
        )
        found = analysis.compute_optimal(runs, x="train_flops", bootstrap=BOOTSTRAP, seed=number)
        best = found.recommended
        for name, path in [*((path.approach, path) for path in found.paths), ("headline", best)]:
            if path is None or not path.says:
                continue
            exponent, truth = path.size_exponent, true_exponent(scenario, path.table["train_flops"].to_numpy())
            inside = exponent.low <= truth <= exponent.high
            seen[name].append((inside, exponent.value - truth, exponent.high - exponent.low, path.status))
    seconds = time.perf_counter() - started
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    rows = []
    for name, values in seen.items():
        inside, error, width, statuses = zip(*values, strict=True) if values else ((), (np.nan,), (np.nan,), ())
        rows.append(
            {
                "date": date,
                "scenario": scenario.name,
                "shard": shard,
                "quantity": name,
                "simulations": simulations,
                "answered": len(values),
                "covered": sum(inside),
                "mean_error": f"{np.mean(error):.4g}",
                "median_width": f"{np.median(width):.4g}",
                "disagree": statuses.count(OptimumStatus.APPROACHES_DISAGREE),
                "ok": statuses.count(OptimumStatus.OK),
                "ok_covered": sum(held for held, status in zip(inside, statuses, strict=True) if status == OptimumStatus.OK),
                "seconds": f"{seconds:.1f}",
            }
        )
    return rows


def run(only: str, first: int, shards: int, simulations: int, minutes: float, path: Path) -> None:
    deadline = time.perf_counter() + 60 * minutes
    done = set() if not path.exists() else set(pd.read_csv(path)[["scenario", "shard"]].itertuples(index=False, name=None))
    for shard in range(first, first + shards):
        for scenario in scenarios():
            if only not in scenario.name or (scenario.name, shard) in done:
                continue
            if time.perf_counter() > deadline:
                print("time is up; start again to go on")
                return
            rows = run_shard(scenario, shard, simulations)
            new = not path.exists()
            with path.open("a", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                if new:
                    writer.writeheader()
                writer.writerows(rows)
            words = "  ".join(
                f"{row['quantity']} {row['covered']}/{row['answered']} {row['mean_error']} ±{float(row['median_width']) / 2:.3f} d{row['disagree']}"  # type: ignore[arg-type]
                for row in rows
            )
            print(f"{scenario.name}, shard {shard}, {rows[0]['seconds']} s: {words}", flush=True)


def table(path: Path) -> str:
    """Coverage of the size's exponent in per cent of the answers, over all shards: a row a scenario."""
    rows = pd.read_csv(path)
    lines = [
        "| scenario | simulations | surface | isocompute | envelope | headline | headline: mean error, half width | approaches disagree | headline called ok | of these held |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for scenario, own in rows.groupby("scenario", sort=False):
        cells = []
        simulations = own.drop_duplicates("shard")["simulations"].sum()
        for name in ("surface", "isocompute", "envelope", "headline"):
            one = own[own["quantity"] == name]
            answered, covered = one["answered"].sum(), one["covered"].sum()
            some = "" if answered == simulations else f" of {answered}"
            cells.append(f"{100 * covered / answered:.0f}{some}" if answered else "–")
        one = own[(own["quantity"] == "headline") & (own["answered"] > 0)]
        error, width = (np.average(one[name], weights=one["answered"]) for name in ("mean_error", "median_width"))
        disagree, ok, held = (one[name].sum() for name in ("disagree", "ok", "ok_covered"))
        cells += [f"{error:+.3f}, {width / 2:.3f}", f"{100 * disagree / simulations:.0f} %", f"{100 * ok / simulations:.0f} %"]
        lines.append(f"| {scenario} | {simulations} | {' | '.join(cells)} | {f'{100 * held / ok:.0f} %' if ok else '–'} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--only", default="", help="scenarios whose name has this in it")
    parser.add_argument("--first", type=int, default=0, help="number of the first shard")
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--simulations", type=int, default=100, help="of a shard")
    parser.add_argument("--minutes", type=float, default=30, help="no shard is begun after this many")
    parser.add_argument("--csv", type=Path, default=CSV)
    arguments = parser.parse_args()
    if arguments.what == "table":
        print(table(arguments.csv))
    else:
        run(arguments.only, arguments.first, arguments.shards, arguments.simulations, arguments.minutes, arguments.csv)


if __name__ == "__main__":
    main()
