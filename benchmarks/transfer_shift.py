"""How often `scaling transfer` finds a shift of the best size: simulated tables of both metrics, with a known shift and with none.

    python benchmarks/transfer_shift.py run [--tables 1000 --only "5 x 6"]    # appends to transfer_shift.csv; what is there is passed over
    python benchmarks/transfer_shift.py table                                  # false alarms, for docs/laws_figures.md; likewise `power`
    python benchmarks/transfer_shift.py example                                # prints docs/example_finetuned.csv

A table is a grid of pre-trained cells, each with both log metrics plus noise, of which half of the variance is shared. The surfaces are
functions of log size n and log compute x, counted from the middle of the cells, where the best size upstream is. Downstream they are those of `n − shift`, so that the best size is exp(shift) times as large at
every compute. No surface is a polynomial, which is what the estimator takes them for.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
from csv_table import markdown, rows_of
from scipy import stats

from analysis.downstream.contrast import contrast_of
from analysis.response_surface import Covered

CSV = Path(__file__).with_suffix(".csv")
COLUMNS = [
    "design",
    "truth",
    "noise",
    "errors",
    "shift",
    "tables",
    "answered",
    "alarms",
    "covered",
    "bounded",
    "mean_error",
    "median_width",
    "would_show",
    "cost",
    "cost_covered",
    "seconds",
]
LEVEL = 0.95
ALPHA, BETA = 0.34, 0.30
FLOOR, TERM = 1.0, 0.3
Surface = Callable[[np.ndarray, np.ndarray], np.ndarray]


def chinchilla(n: np.ndarray, x: np.ndarray, times: float = 1.0) -> np.ndarray:
    """E + A·N^−α + B·D^−β with D = C/N and both terms at their best ratio in the middle; times: of both exponents, at the same best size."""
    a, b = times * ALPHA, times * BETA
    return FLOOR + TERM * np.exp(-a * n) + TERM * a / b * np.exp(-b * (x - n))


def repeats(n: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The same with examples that repeat from the middle on (arXiv 2305.16264): 10 more epochs of them are worth no more."""
    seen = np.exp(x - n)
    worth = np.where(seen > 1, 1 + 10 * (1 - np.exp(-(seen - 1) / 10)), seen)
    return FLOOR + TERM * np.exp(-ALPHA * n) + TERM * ALPHA / BETA * worth**-BETA


def crossed(n: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Adds a term of size and data together."""
    return chinchilla(n, x) + 0.25 * np.exp(-0.1 * n - 0.12 * (x - n))


def by_power(of: Surface) -> Surface:
    return lambda n, x: 0.1 * of(n, x) ** 1.5


def by_floor(of: Surface) -> Surface:
    return lambda n, x: 0.05 + 0.1 * (of(n, x) - 0.7) ** 1.3


TRUTHS: dict[str, tuple[Surface, Surface]] = {
    "error = loss^1.5": (chinchilla, by_power(chinchilla)),
    "error above a floor of its own": (chinchilla, by_floor(chinchilla)),
    "error with exponents of its own": (chinchilla, lambda n, x: 0.06 + 0.05 * (chinchilla(n, x, 1.5) - FLOOR)),
    "repeated examples": (repeats, by_floor(repeats)),
    "a crossed term": (crossed, by_floor(crossed)),
}
USUAL = "error above a floor of its own"


def grid(sizes: int, budgets: int, step: float = 3.0) -> np.ndarray:
    """Cells of sizes a factor apart, each at budgets of examples that double: (cells, 2), log size and log compute."""
    n = np.log(step) * (np.arange(sizes) - (sizes - 1) / 2)
    d = np.log(2) * (np.arange(budgets) - (budgets - 1) / 2)
    return np.array([(size, size + data) for size in n for data in d])


def isoflop(sizes: int, budgets: int) -> np.ndarray:
    """Cells of sizes a factor of 1.6 apart about the best one of each budget of compute, which double."""
    x = np.log(2) * (np.arange(budgets) - (budgets - 1) / 2)
    beside = np.log(1.6) * (np.arange(sizes) - (sizes - 1) / 2)
    return np.array([(BETA / (ALPHA + BETA) * at + off, at) for at in x for off in beside])


def published() -> np.ndarray:
    """The 21 cells of tests/reference/laws/nfnet_fig1_clean21.csv: their parameters and core-hours, about their middle."""
    cells = pd.read_csv(Path(__file__).parent.parent / "tests/reference/laws/nfnet_fig1_clean21.csv")
    n = np.log(cells["model"].map({"F1": 132.6, "F3": 254.9, "F3_wide": 425.1, "F7": 499.5}).to_numpy(float))
    return np.column_stack([n - n.mean(), (x := np.log(cells["tpu_v4_core_hours"].to_numpy(float))) - x.mean()])


DESIGNS = {
    "5 x 6": grid(5, 6),
    "4 x 5": grid(4, 5),
    "3 x 4": grid(3, 4),
    "isoFLOP 6 x 5": isoflop(6, 5),
    "published 21": published(),
}
NOISES = {"0.3 %, 0.6 %": (0.003, 0.006), "0.5 %, 1 %": (0.005, 0.01), "1 %, 2 %": (0.01, 0.02)}
QUIET, MIDDLE_NOISE = "0.3 %, 0.6 %", "0.5 %, 1 %"
ERRORS = ("normal", "larger in small runs", "heavy tails")
WHOLE = "normal, of a run: two seeds, by the command"
NONE, SMALL, LARGE = 1.0, 1.15, 1.35


@dataclass(frozen=True)
class Scenario:
    """Says what a table is: its cells, both surfaces, noise, how it is distributed, and the ratio of the best sizes."""

    design: str
    truth: str
    noise: str
    errors: str
    shift: float

    @property
    def key(self) -> tuple[str, ...]:
        return (self.design, self.truth, self.noise, self.errors, f"{self.shift:g}")

    def surfaces(self) -> tuple[Surface, Surface]:
        upstream, downstream = TRUTHS[self.truth]
        return upstream, lambda n, x: downstream(n - np.log(self.shift), x)

    def draw(self, tables: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return log size (n,), log compute (n,), and both log metrics (tables, n, 2)."""
        cells = DESIGNS[self.design]
        n, x = cells.T
        rng = np.random.default_rng(crc32("|".join(self.key).encode()))
        shape = (tables, len(n), 3)
        own = (
            stats.t.rvs(3, size=shape, random_state=rng) / np.sqrt(3)
            if self.errors == "heavy tails"
            else rng.standard_normal(shape)
        )
        own = np.sqrt(0.5) * (own[..., :2] + own[..., 2:])
        if self.errors == "larger in small runs":
            own = own * np.exp(-0.25 * x)[:, None]
        clean = np.stack([np.log(surface(n, x)) for surface in self.surfaces()], axis=-1)
        return n, x, clean + own * NOISES[self.noise]

    def truth_of(self, log_x: np.ndarray) -> tuple[float, float]:
        """Return the mean shift of log size, and what it costs, at these computes where both optima lie inside the sizes tried."""
        n, x = DESIGNS[self.design].T
        covered, sizes = Covered(x, n), np.linspace(n.min() - 2, n.max() + 2, 8001)
        upstream, downstream = self.surfaces()
        found = []
        for at in log_x:
            low, high = covered.between(float(at))
            here, there = (surface(sizes, np.full_like(sizes, at)) for surface in (upstream, downstream))
            best, own = here.argmin(), there.argmin()
            if low < sizes[best] < high and low < sizes[own] < high:
                found.append((sizes[own] - sizes[best], there[best] - there[own]))
        mean = np.mean(found, axis=0)
        return float(mean[0]), float(mean[1])


def scenarios() -> Iterator[Scenario]:
    for shift in (NONE, SMALL, LARGE):
        for design in DESIGNS:
            for truth in TRUTHS:
                yield Scenario(design, truth, MIDDLE_NOISE, "normal", shift)
        for noise in NOISES:
            if noise != MIDDLE_NOISE:
                if noise == QUIET:
                    yield Scenario("published 21", USUAL, noise, "normal", shift)
                for truth in TRUTHS if shift == NONE else (USUAL,):
                    yield Scenario("5 x 6", truth, noise, "normal", shift)
        for errors in ERRORS[1:]:
            yield Scenario("5 x 6", USUAL, MIDDLE_NOISE, errors, shift)
        yield Scenario("5 x 6", USUAL, "1 %, 2 %", WHOLE, shift)


@dataclass(frozen=True)
class Answer:
    """Holds what one table says: the shift of log size and what it costs, value, low, high, and the factor that would show."""

    shift: tuple[float, float, float]
    cost: tuple[float, float]
    would_show: float


def simulated(scenario: Scenario, tables: int) -> dict[str, object]:
    n, x, both = scenario.draw(tables)
    began = time.perf_counter()
    answers = [contrast_of(x, n, one[:, 0], one[:, 1], level=LEVEL) for one in both]
    known = [
        Answer((each.shift.value, each.shift.low, each.shift.high), (each.cost.low, each.cost.high), float(np.exp(each.would_show)))
        for each in answers
        if not each.trouble
    ]
    return row_of(scenario, tables, known, began)


def by_the_command(scenario: Scenario, tables: int) -> dict[str, object]:
    """Ask as a user would, of runs with two seeds a cell, which are pooled, and two rates of fine-tuning."""
    import analysis

    began = time.perf_counter()
    answers = [analysis.transfer(runs_of(scenario, seed), downstream="top1_error", law="power").shifts[0] for seed in range(tables)]
    known = []
    for each in answers:
        if each.identified:
            ratio = each.size_ratio
            with np.errstate(divide="ignore"):
                ends = np.log([ratio.value, ratio.low, ratio.high])
            known.append(Answer(tuple(ends), (each.cost.low, each.cost.high), each.would_show))
    return row_of(scenario, tables, known, began)


def row_of(scenario: Scenario, tables: int, known: list[Answer], began: float) -> dict[str, object]:
    _, x = DESIGNS[scenario.design].T
    shift, cost = scenario.truth_of(np.linspace(x.min(), x.max(), 9))
    value, low, high = np.array([each.shift for each in known]).reshape(-1, 3).T
    cost_low, cost_high = np.array([each.cost for each in known]).reshape(-1, 2).T
    return {
        **dict(zip(COLUMNS, scenario.key, strict=False)),
        "tables": tables,
        "answered": len(known),
        "alarms": int(((low > 0) | (high < 0)).sum()),
        "covered": int(((low <= shift) & (shift <= high)).sum()),
        "bounded": int((np.isfinite(low) & np.isfinite(high)).sum()),
        "mean_error": f"{np.nanmean(value) - shift:.4f}" if known else "",
        "median_width": f"{np.median(high - low):.4f}" if known else "",
        "would_show": f"{np.nanmedian([each.would_show for each in known]):.3f}" if known else "",
        "cost": f"{cost:.6f}",
        "cost_covered": int(((cost_low <= cost + 1e-12) & (cost <= cost_high)).sum()),
        "seconds": f"{time.perf_counter() - began:.1f}",
    }


def run(tables: int, only: str) -> None:
    done = {tuple(row[name] for name in COLUMNS[:5]) for row in rows_of(CSV)} if CSV.exists() else set()
    fresh = not CSV.exists()
    with CSV.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if fresh:
            writer.writeheader()
        for scenario in scenarios():
            if scenario.key in done or only not in scenario.design:
                continue
            row = by_the_command(scenario, tables // 5) if scenario.errors == WHOLE else simulated(scenario, tables)
            writer.writerow(row)
            file.flush()
            print(*row.values(), sep=" | ", flush=True)


def runs_of(scenario: Scenario, seed: int) -> pd.DataFrame:
    """Make a table of runs, of two seeds a cell, each with a fine-tuned run at each of two rates."""
    n, x = DESIGNS[scenario.design].T
    rng = np.random.default_rng([seed, crc32("|".join(scenario.key).encode())])
    upstream, downstream = scenario.surfaces()
    rows = []
    for number, (size, compute) in enumerate(zip(n, x, strict=True)):
        params, epochs = 1e8 * np.exp(size), np.sqrt(2) * np.exp(compute - size)
        for replicate in range(2):
            own = np.sqrt(0.5) * (rng.standard_normal(2) + rng.standard_normal())
            clean = [float(surface(np.array(size), np.array(compute))) for surface in (upstream, downstream)]
            loss, error = np.array(clean) * np.exp(own * NOISES[scenario.noise])
            run = {"id": f"{number}-{replicate}", "stage": "pretraining", "parent": None, "status": "finished", "family": "f"}
            run |= {
                "model": f"{params / 1e6:.0f}M",
                "params": round(params),
                "epochs": epochs,
                "seed": replicate,
                "learning_rate": 1.0,
            }
            rows.append(run | {"core_hours": 100 * np.exp(compute), "val_loss": loss, "val_top1": 0.5})
            for rate, worse in ((0.1, 1.0), (0.2, 1.05)):
                tuned = {
                    "id": f"{run['id']}-{rate}",
                    "stage": "finetuning",
                    "parent": run["id"],
                    "epochs": 50.0,
                    "learning_rate": rate,
                }
                rows.append(run | tuned | {"core_hours": 1.0, "val_loss": 3 * error, "val_top1": 1 - error * worse})
    return pd.DataFrame(rows)


def _share(row: dict[str, str], name: str) -> str:
    """Write a count as a share of the tables in which the shift is identified; of all tables, how many these are."""
    if name == "answered":
        return f"{100 * int(row['answered']) / int(row['tables']):.0f}"
    return f"{100 * int(row[name]) / int(row['answered']):.1f}"


def _with_ends(row: dict[str, str], name: str) -> str:
    """Write a share in per cent with its 95 % interval of Clopper and Pearson."""
    count, of = int(row[name]), int(row["answered"])
    ends = stats.binomtest(count, of).proportion_ci(0.95)
    return f"{100 * count / of:.1f} ({100 * ends.low:.1f} … {100 * ends.high:.1f})"


def table() -> str:
    """False alarms, a row a scenario without a shift."""
    rows = [row for row in rows_of(CSV) if row["shift"] == "1"]
    head = (
        "cells",
        "truth",
        "noise of loss, of error",
        "errors",
        "identified, %",
        "false alarms, %",
        "interval holds the truth, %",
        "cost likewise, %",
    )
    return markdown(
        head,
        (
            (
                row["design"],
                row["truth"],
                row["noise"],
                row["errors"],
                _share(row, "answered"),
                _with_ends(row, "alarms"),
                _share(row, "covered"),
                _share(row, "cost_covered"),
            )
            for row in rows
        ),
    )


def power() -> str:
    """Power, a row a scenario with a shift: of the usual truth on every design, and of all on the first."""
    rows = [row for row in rows_of(CSV) if row["shift"] != "1"]
    groups: dict[tuple[str, ...], dict[str, dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in COLUMNS[:4]), {})[row["shift"]] = row
    small, large = f"{SMALL:g}", f"{LARGE:g}"
    head = (
        "cells",
        "truth",
        "noise",
        "errors",
        "identified, %",
        f"found at {small}, %",
        "held, %",
        f"found at {large}, %",
        "held, %",
        "cost held, %",
        "says would show",
    )
    return markdown(
        head,
        (
            (
                *key,
                _share(each[small], "answered"),
                _share(each[small], "alarms"),
                _share(each[small], "covered"),
                _share(each[large], "alarms"),
                _share(each[large], "covered"),
                _share(each[large], "cost_covered"),
                each[small]["would_show"],
            )
            for key, each in groups.items()
        ),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("run", "table", "power", "example"))
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--only", default="", help="designs whose name holds this")
    given = parser.parse_args()
    if given.do == "run":
        run(given.tables, given.only)
    elif given.do == "example":
        example = runs_of(Scenario("5 x 6", USUAL, MIDDLE_NOISE, "normal", LARGE), 0)
        print(example.to_csv(index=False, float_format="%.6g"), end="")
    else:
        print(table() if given.do == "table" else power())
