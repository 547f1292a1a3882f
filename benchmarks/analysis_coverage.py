"""Whether 95 % intervals hold the truth 95 times in 100: simulated studies, fitted as a user would.

    python benchmarks/analysis_coverage.py run [--only curve --shards 4 --simulations 250]    # appends to analysis_coverage.csv
    python benchmarks/analysis_coverage.py table                                                # what the file says, for docs/laws_figures.md

A shard is so many simulations of one scenario with seeds of its own. Shards that are in the file already, for the same scenario and number,
are passed over: stop it when you like, start it again, or give several machines different `--first`. Coverage is counted of the mean curve
and of new runs, among the runs and at 4 times the largest compute; of coefficients, only where the status says that all are identified.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd

import analysis
from scaling.outcomes import FitStatus

CSV = Path(__file__).with_suffix(".csv")
COLUMNS = ["date", "scenario", "shard", "quantity", "simulations", "covered", "of", "median_width", "oracle_width", "seconds"]
DRAWS, AHEAD = 400, 4.0

Truth = Callable[[pd.DataFrame], np.ndarray]
Count = tuple[str, np.ndarray, np.ndarray]  # quantity, whether covered, width


@dataclass(frozen=True)
class Scenario:
    """A design, a truth, and the law that is fitted. coefficients: the true ones, where the truth is of the law's family."""

    name: str
    design: pd.DataFrame
    truth: Truth
    law: str
    noise: float
    x: str | tuple[str, ...] = "core_hours"
    coefficients: dict[str, float] = field(default_factory=dict)
    objective: str = "log"
    units: dict[str, float] = field(default_factory=dict)
    """Column → factor by which the table differs from the design."""
    outlier: float = 1.0
    """By which the loss of one run, any of them, is too high."""
    of_run: float = 0.0
    """Standard deviation of what all checkpoints of a run share, in log loss."""
    hard: bool = False
    """Whether it is one of what strangers bring: their table is one of its own, with coefficients of any status."""


def curve_design(cells: int, seeds: int, *, decades: float = 3.0) -> pd.DataFrame:
    """So many budgets over three decades of compute."""
    hours = np.repeat(np.geomspace(1, 10**decades, cells), seeds)
    return pd.DataFrame(
        {"core_hours": hours, "epochs": np.repeat(np.arange(cells) + 1, seeds), "seed": np.tile(np.arange(seeds), cells)}
    )


def grid_design(sizes: int, budgets: int, seeds: int, *, ratios: tuple[float, float] = (3.0, 2.0)) -> pd.DataFrame:
    """Sizes a factor of 3 apart, each for epoch budgets that double, of 50,000 examples; or those `ratios`."""
    size, budget, seed = (axis.ravel() for axis in np.meshgrid(range(sizes), range(budgets), range(seeds), indexing="ij"))
    params, epochs = 1e5 * ratios[0] ** size, ratios[1] ** budget
    return pd.DataFrame(
        {
            "model": [f"m{each}" for each in size],
            "params": params,
            "epochs": epochs,
            "examples_seen": 5e4 * epochs,
            "seed": seed,
            "core_hours": params * epochs / 1e6,
        }
    )


def checkpoints_design(runs: int, checkpoints: int) -> pd.DataFrame:
    """Loss curves of runs of as many sizes, the same examples seen in each."""
    run, seen = (axis.ravel() for axis in np.meshgrid(range(runs), np.geomspace(5e4, 5e6, checkpoints), indexing="ij"))
    params = 1e5 * 81.0 ** (run / (runs - 1))
    return pd.DataFrame(
        {"run": [f"r{each}" for each in run], "params": params, "examples_seen": seen, "core_hours": params * seen / 1e11}
    )


CURVE = {"E": 0.5, "A": 2.0, "a": 0.4}
SURFACE = {"E": 0.6, "A": 60.0, "alpha": 0.40, "B": 40.0, "beta": 0.35}


def curve(runs: pd.DataFrame) -> np.ndarray:
    return CURVE["E"] + CURVE["A"] * runs["core_hours"].to_numpy() ** -CURVE["a"]


def two_powers(runs: pd.DataFrame) -> np.ndarray:
    """Of no law's family: a mixture of what is learnt quickly and what is learnt slowly."""
    x = runs["core_hours"].to_numpy()
    return 0.4 + 1.4 * x**-0.6 + 0.7 * x**-0.15


def surface(runs: pd.DataFrame) -> np.ndarray:
    by_size, by_examples = runs["params"].to_numpy() ** -SURFACE["alpha"], runs["examples_seen"].to_numpy() ** -SURFACE["beta"]
    return SURFACE["E"] + SURFACE["A"] * by_size + SURFACE["B"] * by_examples


def joined_surface(runs: pd.DataFrame) -> np.ndarray:
    """Of no law's family: terms that do not add (Kaplan et al. 2020, arXiv 2001.08361, equation 1.5), above a floor."""
    by_size, by_examples = (2e6 / runs["params"].to_numpy()) ** (0.4 / 0.35), 1e6 / runs["examples_seen"].to_numpy()
    return 0.6 + 0.5 * (by_size + by_examples) ** 0.35


def scenarios() -> list[Scenario]:
    found = []
    for noise in (0.003, 0.01):
        percent = f"{100 * noise:g} %"
        for cells, seeds in ((8, 1), (12, 1), (12, 3)):
            design, name = curve_design(cells, seeds), f"{cells} budgets × {seeds}, {percent}"
            found += [
                Scenario(f"curve, power-floor, {name}", design, curve, "power-floor", noise, coefficients=CURVE),
                Scenario(f"curve, auto, {name}", design, curve, "auto", noise),
                Scenario(f"curve of two powers, power-floor, {name}", design, two_powers, "power-floor", noise),
                Scenario(f"curve of two powers, auto, {name}", design, two_powers, "auto", noise),
            ]
        for seeds in (1, 2, 3):
            design, name, x = grid_design(5, 6, seeds), f"5 sizes × 6 budgets × {seeds}, {percent}", ("params", "examples_seen")
            found += [
                Scenario(f"grid, chinchilla, {name}", design, surface, "chinchilla", noise, x, SURFACE),
                Scenario(f"grid, auto, {name}", design, surface, "auto", noise, x),
                Scenario(f"grid of joined terms, chinchilla, {name}", design, joined_surface, "chinchilla", noise, x),
                Scenario(f"grid of joined terms, auto, {name}", design, joined_surface, "auto", noise, x),
            ]
            found.append(Scenario(f"two families, compare, {name}", design, surface, "compare", noise))
    return found + hard_scenarios()


def hard_scenarios() -> list[Scenario]:
    """What strangers' tables have: large units, narrow ranges, few points, floors that do not show, bounds, outliers, curves of runs."""
    surface_x, bare = ("params", "examples_seen"), ["core_hours"]
    flop, tokens = {"core_hours": 1e18}, {"params": 1e4, "examples_seen": 1e5}
    grid_, hidden = grid_design(5, 6, 1), {"E": 0.02, "A": 2.0, "a": 0.2}
    scaled = {**SURFACE, "A": SURFACE["A"] * 1e4 ** SURFACE["alpha"], "B": SURFACE["B"] * 1e5 ** SURFACE["beta"]}

    def near_zero(runs: pd.DataFrame) -> np.ndarray:
        return hidden["E"] + hidden["A"] * runs["core_hours"].to_numpy() ** -hidden["a"]

    def with_break_at_end(runs: pd.DataFrame) -> np.ndarray:
        """A saturating curve whose d lies below all runs: at the bound of its search."""
        return curve(runs)

    c12 = curve_design(12, 1)
    return [
        Scenario("FLOP: curve, power-floor, 12 budgets, 0.5 %", c12, curve, "power-floor", 0.005, coefficients={**CURVE, "A": CURVE["A"] * 1e18 ** CURVE["a"]}, units=flop, hard=True),
        Scenario("FLOP: grid, chinchilla, N 1e9, D 1e10, 0.5 %", grid_, surface, "chinchilla", 0.005, surface_x, scaled, units=tokens, hard=True),
        Scenario("narrow, 5×: curve, power-floor, 12 budgets, 0.3 %", curve_design(12, 1, decades=np.log10(5)), curve, "power-floor", 0.003, coefficients=CURVE, hard=True),
        Scenario("narrow, 5×: curve, power, 8 budgets, 1 %", curve_design(8, 1, decades=np.log10(5)), lambda runs: 2 * runs["core_hours"].to_numpy() ** -0.2, "power", 0.01, coefficients={"A": 2.0, "a": 0.2}, hard=True),
        Scenario("narrow, 10×: curve, power-floor, 12 budgets, 1 %", curve_design(12, 1, decades=1), curve, "power-floor", 0.01, coefficients=CURVE, hard=True),
        Scenario("narrow, 20×: curve, power-floor, 12 budgets, 1 %", curve_design(12, 1, decades=np.log10(20)), curve, "power-floor", 0.01, coefficients=CURVE, hard=True),
        Scenario("narrow, 5× in N and in D: grid, chinchilla, 0.3 %", grid_design(5, 6, 1, ratios=(5 ** (1 / 4), 5 ** (1 / 5))), surface, "chinchilla", 0.003, surface_x, SURFACE, hard=True),
        Scenario("5 points: power-floor, 0.5 %", curve_design(5, 1)[bare], curve, "power-floor", 0.005, coefficients=CURVE, hard=True),
        Scenario("6 points: power-floor, 0.5 %", curve_design(6, 1)[bare], curve, "power-floor", 0.005, coefficients=CURVE, hard=True),
        Scenario("5 points: power, 1 %", curve_design(5, 1)[bare], lambda runs: 2 * runs["core_hours"].to_numpy() ** -0.2, "power", 0.01, coefficients={"A": 2.0, "a": 0.2}, hard=True),
        Scenario("6 points: auto, 0.5 %", curve_design(6, 1)[bare], curve, "auto", 0.005, hard=True),
        Scenario("no floor shows: power-floor, E 0.02, 12 budgets, 1 %", c12, near_zero, "power-floor", 0.01, coefficients=hidden, hard=True),
        Scenario("at a bound: saturating, d below all runs, 12 budgets, 1 %", c12, with_break_at_end, "saturating", 0.01, coefficients=CURVE, hard=True),
        Scenario("robust: power-floor, huber-log, 12 budgets × 1, 1 %", c12, curve, "power-floor", 0.01, coefficients=CURVE, objective="huber-log", hard=True),
        Scenario("robust: power-floor, huber-log, 12 budgets × 2, 1 %", curve_design(12, 2), curve, "power-floor", 0.01, coefficients=CURVE, objective="huber-log", hard=True),
        Scenario("robust: power-floor, huber-log, 12 budgets × 3, 1 %", curve_design(12, 3), curve, "power-floor", 0.01, coefficients=CURVE, objective="huber-log", hard=True),
        Scenario("one outlier ×1.5: power-floor, huber-log, 12 budgets, 1 %", c12, curve, "power-floor", 0.01, coefficients=CURVE, objective="huber-log", outlier=1.5, hard=True),
        Scenario("one outlier ×1.5: power-floor, log, 12 budgets, 1 %", c12, curve, "power-floor", 0.01, coefficients=CURVE, outlier=1.5, hard=True),
        Scenario("one outlier ×1.5: auto, log, 12 budgets, 1 %", c12, curve, "auto", 0.01, outlier=1.5, hard=True),
        Scenario("one outlier ×1.5: auto, huber-log, 12 budgets, 1 %", c12, curve, "auto", 0.01, objective="huber-log", outlier=1.5, hard=True),
        Scenario("checkpoints: chinchilla, 12 runs × 15, 1 % a run, 0.2 % a row", checkpoints_design(12, 15), surface, "chinchilla", 0.002, surface_x, SURFACE, of_run=0.01, hard=True),
        Scenario("checkpoints: chinchilla, 24 runs × 15, 1 % a run, 0.2 % a row", checkpoints_design(24, 15), surface, "chinchilla", 0.002, surface_x, SURFACE, of_run=0.01, hard=True),
    ]  # fmt: skip


def simulated(scenario: Scenario, rng: np.random.Generator) -> pd.DataFrame:
    mean = scenario.truth(scenario.design)
    loss = mean * np.exp(scenario.noise * rng.standard_normal(len(mean)))
    if scenario.outlier != 1.0:
        loss[rng.integers(len(loss))] *= scenario.outlier
    if scenario.of_run:
        run = pd.factorize(scenario.design["run"])[0]
        loss = loss * np.exp(scenario.of_run * rng.standard_normal(run.max() + 1))[run]
    ours = {name: scenario.design[name] * factor for name, factor in scenario.units.items()}
    return scenario.design.assign(
        **ours, val_loss=loss, id=[f"r{number}" for number in range(len(mean))], status="finished", family="a"
    )


def fitted(scenario: Scenario, rng: np.random.Generator) -> Iterator[Count]:
    """One simulated study and what its intervals held."""
    table, seed = simulated(scenario, rng), int(rng.integers(2**31))
    fit = analysis.fit(table, law=scenario.law, x=scenario.x, objective=scenario.objective, bootstrap=DRAWS, seed=seed)
    axes = list(fit.axes)
    inside = scenario.design.drop_duplicates(axes).sort_values("core_hours")[axes].iloc[[1, -2]]
    inside = pd.concat([inside, np.exp(np.log(scenario.design[axes]).mean()).to_frame().T], ignore_index=True)
    beyond = scenario.design[axes].max().to_frame().T * AHEAD ** (1 / len(axes))
    for place, at in (("among the runs", inside), ("at 4 times", beyond)):
        truth = scenario.truth(at)
        scatter = np.hypot(scenario.noise, scenario.of_run)
        new = truth * np.exp(scatter * rng.standard_normal(len(truth)))
        at = at.assign(**{name: at[name] * factor for name, factor in scenario.units.items()})
        for kind, target in (("mean", truth), ("new-run", new)):
            band = fit.predict(at, kind=kind)
            low, high = band["low"].to_numpy(), band["high"].to_numpy()
            yield f"{kind} {place}", (low <= target) & (target <= high), np.log(high / low)
    if scenario.coefficients and fit.params is not None:
        interval = fit.interval().loc[list(scenario.coefficients)]
        true = np.array(list(scenario.coefficients.values()))
        low, high = interval["low"].to_numpy(), interval["high"].to_numpy()
        held, width = (low <= true) & (true <= high), (high - low) / true
        if fit.status == FitStatus.OK:
            yield "coefficients", held, width
        if scenario.hard and fit.status == FitStatus.OK and fit.status_about:
            yield "of these narrowly", held, width
        if scenario.hard and fit.status == FitStatus.BARELY_IDENTIFIED:
            yield "coefficients, barely identified", held, width
        if scenario.hard:
            yield "coefficients, any status", held, width


def compared(scenario: Scenario, rng: np.random.Generator) -> Iterator[Count]:
    """Two families that differ by 1 %, on the same grid."""
    ours, theirs = simulated(scenario, rng), simulated(scenario, rng)
    theirs = theirs.assign(family="b", id="b" + theirs["id"], val_loss=theirs["val_loss"] * 1.01)
    found = analysis.compare(pd.concat([ours, theirs], ignore_index=True), by="family", a="a", b="b").difference
    covered = found.low <= -np.log(1.01) <= found.high
    yield "difference", np.array([covered]), np.array([found.high - found.low])


def oracle_width(scenario: Scenario) -> float:
    """3.92 × the true standard deviation of the mean difference over all cells, of independent runs."""
    return 3.92 * scenario.noise * float(np.sqrt(2 / len(scenario.design))) if scenario.law == "compare" else float("nan")


def run_shard(scenario: Scenario, shard: int, simulations: int) -> list[dict[str, object]]:
    """One row a quantity."""
    started, covered, widths = time.perf_counter(), {}, {}
    for number in range(simulations):
        rng = np.random.default_rng([crc32(scenario.name.encode()), shard, number])
        one = compared(scenario, rng) if scenario.law == "compare" else fitted(scenario, rng)
        for quantity, inside, width in one:
            covered.setdefault(quantity, []).extend(inside.tolist())
            widths.setdefault(quantity, []).extend(width.tolist())
    seconds = time.perf_counter() - started
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    return [
        {
            "date": date,
            "scenario": scenario.name,
            "shard": shard,
            "quantity": quantity,
            "simulations": simulations,
            "covered": sum(inside),
            "of": len(inside),
            "median_width": f"{np.median(widths[quantity]):.6g}",
            "oracle_width": f"{oracle_width(scenario):.6g}",
            "seconds": f"{seconds:.1f}",
        }
        for quantity, inside in covered.items()
    ]


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
            words = "  ".join(f"{row['quantity']} {100 * row['covered'] / row['of']:.1f} %" for row in rows)  # type: ignore[operator]
            print(f"{scenario.name}, shard {shard}, {rows[0]['seconds']} s: {words}", flush=True)


def table(path: Path) -> str:
    """Coverage in per cent, over all shards: a row a scenario."""
    rows, hard = pd.read_csv(path), {scenario.name for scenario in hard_scenarios()}
    known = rows["scenario"].isin(hard)
    tables = [_table(rows[~known])] + ([_hard_table(rows[known])] if known.any() else [])
    return "\n\n".join(tables)


def _hard_table(rows: pd.DataFrame) -> str:
    """As the other, with a star where 95 % lies outside the 99 % binomial interval of the simulations, and with their number where only some
    count."""
    sums = rows.groupby(["scenario", "quantity"], sort=False)[["covered", "of"]].sum()
    simulations = rows.drop_duplicates(["scenario", "shard"]).groupby("scenario")["simulations"].sum()
    names = list(dict.fromkeys(rows["quantity"]))
    lines = [f"| scenario | simulations | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    for scenario in dict.fromkeys(rows["scenario"]):
        cells = []
        for name in names:
            if (scenario, name) not in sums.index:
                cells.append("–")
                continue
            covered, of = sums.loc[(scenario, name)]
            own = rows[(rows["scenario"] == scenario) & (rows["quantity"] == name)]
            studies = min(int(of), int(own["simulations"].sum()))  # what is asked of one study is not independent
            some = ""
            if name.startswith(("coefficients", "of these")):
                studies = round(of * simulations[scenario] / sums.loc[(scenario, "coefficients, any status")]["of"])
                some = "" if studies == simulations[scenario] else f" of {studies}"
            far = abs(covered / of - 0.95) > 2.576 * np.sqrt(0.95 * 0.05 / max(1, studies))
            cells.append(f"{100 * covered / of:.1f}{'*' if far else ''}{some}")
        lines.append(f"| {scenario} | {simulations[scenario]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _table(rows: pd.DataFrame) -> str:
    sums = rows.groupby(["scenario", "quantity"], sort=False)[["covered", "of"]].sum()
    coverage = (100 * sums["covered"] / sums["of"]).unstack("quantity", sort=False)
    simulations = rows.drop_duplicates(["scenario", "shard"]).groupby("scenario")["simulations"].sum()
    names = [name for name in coverage if name != "difference"]
    lines = [f"| scenario | simulations | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    compared_rows = []
    for scenario, each in coverage.iterrows():
        if "difference" in coverage and not np.isnan(each["difference"]):
            own = rows[rows["scenario"] == scenario]
            width = float(np.average(own["median_width"], weights=own["of"]))
            compared_rows.append(
                f"| {scenario} | {simulations[scenario]} | {each['difference']:.1f} | {width / own['oracle_width'].iloc[0]:.2f} |"
            )
        else:
            lines.append(
                f"| {scenario} | {simulations[scenario]} | {' | '.join('–' if np.isnan(each[n]) else f'{each[n]:.1f}' for n in names)} |"
            )
    if compared_rows:
        lines += [
            "",
            "| scenario | simulations | coverage of the difference | width / oracle's |",
            "|---|---|---|---|",
            *compared_rows,
        ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--only", default="", help="scenarios whose name has this in it")
    parser.add_argument("--first", type=int, default=0, help="number of the first shard")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--simulations", type=int, default=250, help="of a shard")
    parser.add_argument("--minutes", type=float, default=30, help="no shard is begun after this many")
    parser.add_argument("--csv", type=Path, default=CSV)
    arguments = parser.parse_args()
    if arguments.what == "table":
        print(table(arguments.csv))
    else:
        run(arguments.only, arguments.first, arguments.shards, arguments.simulations, arguments.minutes, arguments.csv)


if __name__ == "__main__":
    main()
