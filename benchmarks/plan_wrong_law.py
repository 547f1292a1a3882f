"""What a plan is worth when the law is wrong: simulated studies are planned, run on, and forecast again, beside other ways to spend.

    python benchmarks/plan_wrong_law.py run [--only curve --simulations 20]   # appends to plan_wrong_law.csv
    python benchmarks/plan_wrong_law.py table                                             # what the file says, for docs/laws_figures.md

Each study has two seeds a budget, 0.5 % noise, and as much money again as it has spent. Asked for is the loss at ten times the largest
compute, by `analysis.predict` with `law="auto"`, before and after. All ways to spend see the same noise of the same run.

Two truths are in the family of the laws, and four are not. They were chosen before the plan was changed, to differ in where they go wrong:

- `break`: a power law whose exponent halves, smoothly, at a third of the largest compute. The last runs show that something bends.
- `drift`: the local exponent falls steadily with log compute. Every fit is a little wrong everywhere, and more so the further out.
- `two powers`: what is learnt quickly beside what is learnt slowly. One exponent describes the small runs and another the large.
- `repeats`: sizes × epochs where repeated examples lose their worth otherwise than by R*, and each repeat costs a little besides.

A fifth, `break beyond`, halves its exponent between the largest run and the target: what no run shows, no forecast knows. It is there to
say so.

Ways to spend: `plan`; `one law`: cells by the law that describes the runs best, as if it were right (how `plan` chose before); `random`;
`powers of two`: along the frontier at twice and four times the largest compute, with the usual two seeds; `active`: `benchmarks/active_selection.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
from active_selection import LawToSelectBy, select
from csv_table import markdown
from shards import Kept, command_line

import analysis

CSV = Path(__file__).with_suffix(".csv")
COLUMNS = [
    "date", "truth", "simulation", "way", "runs", "spent", "promised", "width_before", "width_after",
    "error_before", "error_after", "inside_before", "inside_after",
]  # fmt: skip
BOOTSTRAP, SEEDS, NOISE, AHEAD = 100, 2, 0.005, 10.0
EXAMPLES, UNIT = 2e7, 1e15 / 6  # of an epoch; N·D that one core-hour buys
LADDER = 1e6 * 3.0 ** np.arange(9)
EPOCHS = np.array([0.25, 0.5, 1, 2, 4, 8])


def power_floor(x: np.ndarray) -> np.ndarray:
    return 0.5 + 2.0 * x**-0.4


def broken(x: np.ndarray, at: float) -> np.ndarray:
    return 2.0 * x**-0.4 * (1 + (x / at) ** 2.0) ** (0.2 / 2.0)


def break_within(x: np.ndarray) -> np.ndarray:
    return broken(x, 100.0)


def break_beyond(x: np.ndarray) -> np.ndarray:
    return broken(x, 1000.0)


def drift(x: np.ndarray) -> np.ndarray:
    return np.exp(np.log(2.0) - 0.4 * np.log(x) + 0.012 * np.log(x) ** 2)


def two_powers(x: np.ndarray) -> np.ndarray:
    return 0.4 + 1.4 * x**-0.6 + 0.7 * x**-0.15


def chinchilla(size: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return 0.5 + 60.0 * size**-0.34 + 40.0 * seen**-0.30


def repeats(size: np.ndarray, seen: np.ndarray) -> np.ndarray:
    unique = np.minimum(seen, EXAMPLES)
    again = seen / unique - 1.0
    return chinchilla(size, unique * (1.0 + again / (1.0 + again / 3.0))) + 0.003 * again


@dataclass(frozen=True)
class Truth:
    """A true loss of compute, or of size and examples. right: in the family of the laws."""

    name: str
    loss: Callable[..., np.ndarray]
    right: bool

    @property
    def is_grid(self) -> bool:
        return self.loss in (chinchilla, repeats)


TRUTHS = [
    Truth("curve: power and floor", power_floor, True),
    Truth("grid: size and examples", chinchilla, True),
    Truth("curve: break", break_within, False),
    Truth("curve: drift", drift, False),
    Truth("curve: two powers", two_powers, False),
    Truth("grid: repeats", repeats, False),
    Truth("curve: break beyond", break_beyond, False),
]


class Study:
    """Holds what was run of a truth, what could be run, and the noise of everything."""

    def __init__(self, truth: Truth, rng: np.random.Generator) -> None:
        self.truth = truth
        if truth.is_grid:
            cells, self.pool = self._grid(LADDER[:5], EPOCHS), self._grid(LADDER[:7], np.append(EPOCHS, [16.0, 32.0]))
        else:
            x = np.geomspace(1, 300, 10)
            cells = self._curve(x)
            self.pool = self._curve(np.concatenate([x, 300 * np.array([1.5, 2, 3, 4, 6])]))
        runs = pd.concat([cells.assign(seed=seed) for seed in range(SEEDS)], ignore_index=True)
        self.largest = float(cells["core_hours"].max())
        self.target, self.budget = AHEAD * self.largest, float(runs["core_hours"].sum())
        self.pool = self.pool[self.pool["core_hours"] <= self.budget].reset_index(drop=True).assign(seeds=1)
        self.runs = self._observed(runs, rng.standard_normal(len(runs)))
        self.outcomes = np.stack(
            [self._observed(self.pool.assign(seed=SEEDS), rng.standard_normal(len(self.pool)))["val_loss"] for _ in range(SEEDS)]
        )  # the second is of another seed of the same cell

    @staticmethod
    def _curve(x: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame({"family": "f", "model": "m", "epochs": x, "core_hours": x})

    @staticmethod
    def _grid(sizes: np.ndarray, epochs: np.ndarray) -> pd.DataFrame:
        size, of_epochs = (each.ravel() for each in np.meshgrid(sizes, epochs, indexing="ij"))
        seen = EXAMPLES * of_epochs
        return pd.DataFrame(
            {
                "family": "f", "model": [f"m{each:.3g}" for each in size], "epochs": of_epochs, "params": size,
                "examples_seen": seen, "unique_examples": np.minimum(seen, EXAMPLES), "core_hours": size * seen / UNIT,
            }
        )  # fmt: skip

    def true_loss(self, cells: pd.DataFrame) -> np.ndarray:
        names = ("params", "examples_seen") if self.truth.is_grid else ("core_hours",)
        return self.truth.loss(*(cells[name].to_numpy(float) for name in names))

    def _observed(self, cells: pd.DataFrame, noise: np.ndarray) -> pd.DataFrame:
        loss = self.true_loss(cells) * np.exp(NOISE * noise)
        ids = [
            f"{model}-{epochs:g}-{seed}" for model, epochs, seed in zip(cells["model"], cells["epochs"], cells["seed"], strict=True)
        ]
        return cells.assign(val_loss=loss, id=ids)

    @property
    def true_value(self) -> float:
        """Of the mean at the target; on a grid, of the best size of the ladder there."""
        if not self.truth.is_grid:
            return float(self.truth.loss(np.array(self.target)))
        return float(self.truth.loss(LADDER, self.target * UNIT / LADDER).min())

    def with_runs(self, chosen: list[int]) -> pd.DataFrame:
        """Return the runs and those chosen; a row that is chosen twice is run with two seeds."""
        again = np.array([chosen[:place].count(index) for place, index in enumerate(chosen)], dtype=int)
        more = self.pool.iloc[chosen].drop(columns="seeds").assign(val_loss=self.outcomes[again, chosen], seed=SEEDS + again)
        return pd.concat([self.runs, more.assign(id=[f"new-{place}" for place in range(len(chosen))])], ignore_index=True)

    def forecast(self, runs: pd.DataFrame) -> tuple[float, float, float]:
        """The value at the target with its interval, as a user would ask for it."""
        at = analysis.predict(runs, [self.target], bootstrap=BOOTSTRAP).mean()
        return at.value, at.low, at.high


@dataclass(frozen=True)
class Spent:
    """What a way chose: rows of the pool; and the width that it promised, in log, NaN where it promises none."""

    chosen: list[int]
    promised: float = float("nan")


def by_plan(study: Study, rng: np.random.Generator, law: str | None = None) -> Spent:
    pool = study.pool.assign(place=range(len(study.pool)))
    found = analysis.plan(study.runs, pool, budget=study.budget, target=study.target, law=law, bootstrap=BOOTSTRAP)
    return Spent([int(place) for place in found.chosen["place"]], float(np.log(found.after.high / found.after.low)))


def by_one_law(study: Study, rng: np.random.Generator) -> Spent:
    from analysis.planning.target import aim

    aimed = aim(study.runs, study.target, study.pool, x="core_hours", law=None, on=None, bootstrap=BOOTSTRAP)
    return by_plan(study, rng, aimed.fit.law)


def at_random(study: Study, rng: np.random.Generator) -> Spent:
    chosen, left = [], study.budget
    for index in rng.permutation(len(study.pool)):
        if study.pool["core_hours"].iloc[index] <= left:
            chosen.append(int(index))
            left -= float(study.pool["core_hours"].iloc[index])
    return Spent(chosen)


def by_powers_of_two(study: Study, rng: np.random.Generator) -> Spent:
    """Twice the largest compute, then four times, each with the usual seeds: at the size that a line through the frontier's sizes has there."""
    pool, chosen, left = study.pool, list[int](), study.budget
    x = np.log(pool["core_hours"].to_numpy(float))
    off_size = np.zeros(len(pool))
    if study.truth.is_grid:
        best = analysis.frontier(study.runs).points.query("on_frontier")
        line = np.polyfit(np.log(best["core_hours"]), np.log(best["params"]), 1)
        off_size = np.abs(np.log(pool["params"].to_numpy(float)) - np.polyval(line, x))
    for times in (2.0, 4.0, 8.0):
        index = int(np.argmin(np.abs(x - np.log(times * study.largest)) + off_size))
        for _ in range(SEEDS):
            if pool["core_hours"].iloc[index] <= left:
                chosen.append(index)
                left -= float(pool["core_hours"].iloc[index])
    return Spent(chosen)


def _power_floor(t: np.ndarray, x: np.ndarray) -> np.ndarray:
    return t[0] + t[1] * x[0] ** -t[2]


def _power_floor_slopes(t: np.ndarray, x: np.ndarray) -> np.ndarray:
    power = x[0] ** -t[2]
    return np.stack([np.ones_like(power), power, -t[1] * power * np.log(x[0])], axis=1)


def _chinchilla(t: np.ndarray, x: np.ndarray) -> np.ndarray:
    return t[0] + t[1] * (x[0] / LADDER[0]) ** -t[2] + t[3] * (x[1] / EXAMPLES) ** -t[4]


def _chinchilla_slopes(t: np.ndarray, x: np.ndarray) -> np.ndarray:
    of_size, of_seen = (
        _power_floor_slopes(np.array([0.0, *each]), at[None]) for each, at in ((t[1:3], x[0] / LADDER[0]), (t[3:], x[1] / EXAMPLES))
    )
    return np.hstack([of_size, of_seen[:, 1:]])


def by_active_selection(study: Study, rng: np.random.Generator) -> Spent:
    """Take a power law with a floor, of a grid the Chinchilla surface, for right, as the paper takes a law; see `active_selection`."""
    names = ["params", "examples_seen"] if study.truth.is_grid else ["core_hours"]
    x, candidates = (table[names].to_numpy(float).T for table in (study.runs, study.pool))
    most = float(study.runs["val_loss"].max())
    if study.truth.is_grid:
        law = LawToSelectBy(_chinchilla, [(0.0, most), *[(1e-3, 10 * most), (0.01, 2.0)] * 2], _chinchilla_slopes)
        target = np.stack([LADDER, study.target * UNIT / LADDER])
    else:
        law = LawToSelectBy(_power_floor, [(0.0, most), (1e-3, 10 * most), (0.01, 2.0)], _power_floor_slopes)
        target = np.array([[study.target]])
    cost, y = study.pool["core_hours"].to_numpy(float), study.runs["val_loss"].to_numpy(float)
    chosen, _ = select(law, x, y, candidates, cost, study.budget, target, lambda index: float(study.outcomes[0, index]), rng)
    return Spent(chosen)


WAYS: dict[str, Callable[[Study, np.random.Generator], Spent]] = {
    "plan": by_plan,
    "one law": by_one_law,
    "random": at_random,
    "powers of two": by_powers_of_two,
    "active": by_active_selection,
}


def judged(truth: Truth, way: str, number: int) -> dict[str, object]:
    """Let a way spend on one study, and compare the forecasts before and after."""
    study = Study(truth, np.random.default_rng([crc32(truth.name.encode()), 0, number]))
    true = study.true_value
    value, low, high = study.forecast(study.runs)
    spent = WAYS[way](study, np.random.default_rng([crc32(way.encode()), 0, number]))
    after, after_low, after_high = study.forecast(study.with_runs(spent.chosen))
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"), "truth": truth.name, "simulation": number, "way": way, "runs": len(spent.chosen),
        "spent": f"{study.pool['core_hours'].iloc[spent.chosen].sum() / study.budget:.3f}", "promised": f"{spent.promised:.5f}",
        "width_before": f"{np.log(high / low):.5f}", "width_after": f"{np.log(after_high / after_low):.5f}",
        "error_before": f"{np.log(value / true):.5f}", "error_after": f"{np.log(after / true):.5f}",
        "inside_before": int(low <= true <= high), "inside_after": int(after_low <= true <= after_high),
    }  # fmt: skip


def table(path: Path) -> str:
    rows, lines = pd.read_csv(path), []
    known = set(zip(rows["truth"], rows["way"], strict=True))
    for truth in (each for each in TRUTHS if each.name in set(rows["truth"])):
        for way in (each for each in WAYS if (truth.name, each) in known):
            own = rows[(rows["truth"] == truth.name) & (rows["way"] == way)]
            random = rows[(rows["truth"] == truth.name) & (rows["way"] == "random") & rows["simulation"].isin(own["simulation"])]
            promised = own["promised"].median()
            lines.append(
                (
                    f"{truth.name}{'' if truth.right else ' (wrong)'}", way, len(own), f"{own['runs'].mean():.1f}",
                    "–" if np.isnan(promised) else f"{promised:.3f}",
                    f"{own['width_before'].median():.3f} → {own['width_after'].median():.3f}",
                    f"{own['width_after'].median() / random['width_after'].median():.2f}",
                    f"{100 * own['error_before'].abs().median():.2f} → {100 * own['error_after'].abs().median():.2f} %",
                    f"{100 * own['inside_before'].mean():.0f} → {100 * own['inside_after'].mean():.0f} %",
                )
            )  # fmt: skip
    head = (
        "truth",
        "way",
        "studies",
        "runs",
        "width promised",
        "width",
        "of random's",
        "median error",
        "true mean inside",
    )
    return markdown(head, lines)


def main() -> None:
    parser = command_line(__doc__, CSV, simulations=20, simulations_of="studies of a truth")
    parser.add_argument("--ways", default=",".join(WAYS), help="of spending, with commas between")
    wanted = parser.parse_args()
    if wanted.what == "table":
        print(table(wanted.csv))
        return
    kept = Kept(wanted.csv, COLUMNS, ("truth", "way", "simulation"))
    done = kept.pieces()
    for number in range(wanted.simulations):
        for truth in (each for each in TRUTHS if wanted.only in each.name):
            for way in wanted.ways.split(","):
                if (truth.name, way, number) not in done:
                    kept.append([judged(truth, way, number)])
        print(f"study {number + 1} of {wanted.simulations} of every truth", flush=True)


if __name__ == "__main__":
    main()
