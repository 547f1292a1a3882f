"""Whether the bound of `analysis.regret` holds: simulated studies whose best sizes are known.

    python benchmarks/regret.py run [--only grid --shards 2 --simulations 50]     # appends to regret.csv
    python benchmarks/regret.py table                                              # what the file says, for docs/laws_figures.md

A bound is one-sided, so that it is to lie above the true regret in at least 95 of 100 studies. The true regret of a choice is the true loss
of its size and data over the least true loss of any size at the same compute, minus one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
from csv_table import markdown
from optimum_coverage import Scenario, Truth, bent, chinchilla, crossed, grid, isoflop, plain_cost
from shards import command_line, run_shards

import analysis

CSV = Path(__file__).with_suffix(".csv")
COLUMNS = [
    "date",
    "scenario",
    "shard",
    "choice",
    "simulations",
    "answered",
    "covered",
    "median_true",
    "median_bound",
    "median_excess",
]
BOOTSTRAP = 200
UNIQUE, WORTH = 2e9, 6.0


def repeated(N: np.ndarray, D: np.ndarray) -> np.ndarray:
    """The truth of Muennighoff et al. 2023 (arXiv 2305.16264): repeats of 2e9 examples are worth less and less."""
    U = np.minimum(D, UNIQUE)
    return chinchilla(0.33, 0.30)(N, U * (1 + WORTH * (1 - np.exp(-(D / U - 1) / WORTH))))


def joined(N: np.ndarray, D: np.ndarray) -> np.ndarray:
    """Outside the family: terms that do not add (Kaplan et al. 2020, arXiv 2001.08361, equation 1.5), above a floor."""
    return 1.7 + 0.9 * ((1e8 / N) ** (0.33 / 0.3) + 1e10 / D) ** 0.3


def scenarios() -> list[Scenario]:
    """Designs, truths and noises; compute scatters by 3 %."""
    small = grid(plain_cost, sizes=5, budgets=6)
    epochs = small["examples_seen"] / UNIQUE
    with_epochs = small.assign(epochs=epochs, unique_examples=UNIQUE, model=[f"m{N:.0e}" for N in small["params"]])
    own = chinchilla(0.33, 0.27)
    table = isoflop(own, plain_cost, budgets=6, sizes=5, decades=1.5)

    def of(name: str, design: pd.DataFrame, truth: Truth, noise: float) -> Scenario:
        return Scenario(f"{name}, loss {100 * noise:g} %", design, truth, noise, 0.03, plain_cost)

    found = [of("grid 5 × 6, chinchilla", small, own, noise) for noise in (0.003, 0.01)]
    found += [of("grid 5 × 6, repeated epochs", with_epochs, repeated, noise) for noise in (0.003, 0.01)]
    found += [of("isoflop 6 × 5, chinchilla", table, own, 0.003)]
    found += [of("grid 5 × 6, crossed", small, crossed, noise) for noise in (0.003, 0.01)]
    found += [of("grid 5 × 6, bent", small, bent, noise) for noise in (0.003, 0.01)]
    return [*found, *(of("grid 5 × 6, joined", small, joined, noise) for noise in (0.003, 0.01))]


def true_regret(scenario: Scenario, size: float, data: float) -> float:
    """By how much the true loss of a choice lies above the least at its compute, as a share of that."""
    N = np.exp(np.linspace(np.log(1e5), np.log(1e13), 20_001))
    C = scenario.cost(np.array([size]))[0] * data
    reached = scenario.truth(np.array([size]), np.array([data]))[0]
    return float(reached / scenario.truth(N, C / scenario.cost(N)).min() - 1)


def run_shard(scenario: Scenario, shard: int, simulations: int) -> list[dict[str, object]]:
    """A row a kind of choice."""
    design = scenario.design
    mean = scenario.truth(design["params"].to_numpy(), design["examples_seen"].to_numpy())
    seen: dict[str, list[tuple[float, float]]] = {"best-so-far": [], "best-size": [], "best-model": []}
    per_epoch = UNIQUE if "epochs" in design else 1.0
    for number in range(simulations):
        rng = np.random.default_rng([crc32(scenario.name.encode()), shard, number])
        runs = design.assign(
            id=[f"r{row}" for row in range(len(mean))],
            val_loss=mean * np.exp(scenario.noise * rng.standard_normal(len(mean))),
            train_flops=design["train_flops"] * np.exp(scenario.compute_noise * rng.standard_normal(len(mean))),
        )
        for choice in analysis.regret(runs, x="train_flops", bootstrap=BOOTSTRAP, seed=number).choices:
            if not choice.reason:
                seen[choice.kind].append((choice.most, true_regret(scenario, choice.size, choice.data * per_epoch)))
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    rows = []
    for kind, pairs in seen.items():
        most, true = np.array(pairs).T if pairs else np.full((2, 1), np.nan)
        rows.append(
            {
                "date": date,
                "scenario": scenario.name,
                "shard": shard,
                "choice": kind,
                "simulations": simulations,
                "answered": len(pairs),
                "covered": int(np.sum(most >= true)),
                "median_true": f"{np.median(true):.6f}",
                "median_bound": f"{np.median(most):.6f}",
                "median_excess": f"{np.median(most - true):.6f}",
            }
        )
    return rows


def table(path: Path) -> str:
    rows = pd.read_csv(path)
    lines = []
    for (scenario, kind), own in rows.groupby(["scenario", "choice"], sort=False):
        answered, covered, simulations = (int(own[name].sum()) for name in ("answered", "covered", "simulations"))
        true, bound, excess = (100 * np.average(own[name], weights=own["answered"]) for name in COLUMNS[-3:])
        share = f"{100 * covered / answered:.0f}{'' if answered == simulations else f' of {answered}'}"
        lines.append((scenario, kind, simulations, share, f"{true:.3f} %", f"{bound:.3f} %", f"{excess:.3f}"))
    head = (
        "scenario",
        "choice",
        "simulations",
        "bound holds, %",
        "true regret (median)",
        "bound (median)",
        "bound above it, points (median)",
    )
    return markdown(head, lines)


def main() -> None:
    parser = command_line(__doc__, CSV, simulations=50, simulations_of="of a shard")
    parser.add_argument("--shards", type=int, default=2)
    wanted = parser.parse_args()
    if wanted.what == "table":
        print(table(wanted.csv))
    else:
        held = "{choice} {covered}/{answered}"
        run_shards(wanted, COLUMNS, scenarios(), run_shard, lambda rows: [held.format(**row) for row in rows])


if __name__ == "__main__":
    main()
