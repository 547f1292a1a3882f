"""Whether an answer hangs on what it must not: units, the order of rows, names of models, a column that says nothing.

    python -m benchmarks.invariance run [--minutes 30 --only chinchilla]   # what invariance.csv lacks is asked and appended, what moved is printed
    python -m benchmarks.invariance table                                  # what the file says, for docs/laws_figures.md

Questions are every law × objective × interval method × table, and optimum, comparison and plan; each is asked as it stands, then after each change.

An answer is a dict of numbers without a unit and of words: exponents with their intervals, the law that was chosen with its weights, predictions
over the unit of the metric, optimum, comparison, plan. After a change of unit (inputs that share one together, `epochs` not) or of presentation each
number must agree within 1e-6 of itself, each word exactly. Presentation is the order of rows, the names of models, and columns that have one value
for all runs: one of no meaning, and those whose names mean something here, `epochs`, `steps`, `family` and `model` among them (`SAME`), where the
table lacks them. `tests/analysis/test_invariance.py` runs a sample.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

import analysis
from analysis.laws import law_named, law_names
from benchmarks.csv_table import markdown, rows_of
from scaling.errors import ScalingError

COLUMNS = ["date", "question", "answered", "changes", "moved", "which", "seconds"]
TOLERANCE = 1e-6
REFERENCE = Path(__file__).parent.parent / "tests" / "reference" / "laws"
OBJECTIVES = ("log", "huber-log", "relative", "mse")
INTERVALS = ("auto", "pairs", "wild")
INPUTS = {
    ("C",): ("core_hours",),
    ("N", "D"): ("params", "examples_seen"),
    ("N", "D", "U"): ("params", "examples_seen", "unique_examples"),
    ("N", "K", "M"): ("params", "steps", "batch_size"),
}
"""Letters of a law's inputs → columns."""

Answer = dict[str, float | str]

SAME: dict[str, object] = {
    "batch_size": 256,
    "learning_rate": 0.1,
    "optimizer": "sgd",
    "seed": 0,
    "status": "finished",
    "image_size": 32,
    "accelerator": "h100",
    "epochs": 1,
    "steps": 1000,
    "family": "a",
    "model": "m",
}
"""Columns whose names mean something, with one value for all runs."""


@dataclass(frozen=True)
class Change:
    """What is done to a table. units: column → factor; `numbers` of an answer in the unit of the metric are divided by that of val_loss."""

    name: str
    units: dict[str, float]
    of: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table

    def table(self, table: pd.DataFrame) -> pd.DataFrame:
        scaled = {name: table[name] * factor for name, factor in self.units.items() if name in table}
        return self.of(table.assign(**scaled))

    def unit(self, name: str) -> float:
        return self.units.get(name, 1.0)


def changes() -> list[Change]:
    found = [
        Change("rows permuted", {}, lambda table: table.sample(frac=1, random_state=7)),
        Change("rows reversed", {}, lambda table: table.iloc[::-1].reset_index(drop=True)),
        Change("models renamed", {}, _renamed),
        Change("a column added", {}, lambda table: table.assign(note="same")),
        Change(
            "our own columns added", {}, lambda table: table.assign(**{name: SAME[name] for name in SAME.keys() - table.columns})
        ),
    ]
    for factor in (1e-9, 1e-3, 3.7, 1e9):
        found += [
            Change(f"compute × {factor:g}", {"core_hours": factor}),
            Change(f"metric × {factor:g}", {"val_loss": factor}),
            Change(f"params × {factor:g}", {"params": factor}),
            Change(f"examples × {factor:g}", {"examples_seen": factor, "unique_examples": factor}),
        ]
    return found


def _renamed(table: pd.DataFrame) -> pd.DataFrame:
    """Names whose order is the other way round."""
    if "model" not in table:
        return table
    names = sorted(table["model"].unique())
    return table.assign(model=table["model"].map({name: f"z{len(names) - place:03d}" for place, name in enumerate(names)}))


def curve(seeds: int = 2, noise: float = 0.01, cells: int = 12, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    hours = np.repeat(np.geomspace(1, 1000, cells), seeds)
    loss = (0.5 + 2 * hours**-0.4) * np.exp(noise * rng.standard_normal(len(hours)))
    return pd.DataFrame({"core_hours": hours, "epochs": hours, "seed": np.tile(range(seeds), cells), "val_loss": loss})


def grid(noise: float = 0.01, seed: int = 0, cost_noise: float = 0.05, family: str = "a") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    size, budget = (axis.ravel() for axis in np.meshgrid(range(5), range(6), indexing="ij"))
    params, epochs = 1e5 * 3.0**size, 2.0 ** (budget - 1.0)
    seen = 5e4 * epochs
    loss = 0.6 + 60 * params**-0.4 + 40 * seen**-0.35
    return pd.DataFrame(
        {
            "family": family,
            "model": [f"{family}{each}" for each in size],
            "params": params,
            "epochs": epochs,
            "examples_seen": seen,
            "unique_examples": np.minimum(seen, 5e4),
            "core_hours": params * seen / 1e11 * np.exp(cost_noise * rng.standard_normal(30)),
            "val_loss": loss * np.exp(noise * rng.standard_normal(30)),
        }
    )


def isoflop(noise: float = 0.003, seed: int = 0) -> pd.DataFrame:
    """Seven sizes at each of six equal budgets, and no epochs: N ∝ C^0.47 at best."""
    rng = np.random.default_rng(seed)
    budget, off = (
        axis.ravel() for axis in np.meshgrid(np.geomspace(1e18, 1e21, 6), 10 ** np.linspace(-0.6, 0.6, 7), indexing="ij")
    )
    params = 3e8 * (budget / 3e19) ** 0.47 * off
    seen = budget / 6 / params
    loss = 1.7 + 0.7 * (params / 3e8) ** -0.34 + 0.6 * (seen / (3e19 / 6 / 3e8)) ** (-0.34 * 0.47 / 0.53)
    return pd.DataFrame(
        {
            "params": params,
            "examples_seen": seen,
            "core_hours": budget,
            "val_loss": loss * np.exp(noise * rng.standard_normal(len(loss))),
        }
    )


def tables() -> dict[str, pd.DataFrame]:
    nfnet = analysis.read_runs(
        REFERENCE / "nfnet_fig1_clean21.csv", {"core_hours": "tpu_v4_core_hours", "val_loss": "imagenet_top1_error_pct"}
    )
    chinchilla = pd.read_csv(REFERENCE / "epoch_chinchilla_svg_extracted.csv")
    params, flops = chinchilla["Model Size"], chinchilla["Training FLOP"]
    published = pd.DataFrame(
        {"params": params, "examples_seen": flops / 6 / params, "core_hours": flops, "val_loss": chinchilla["loss"]}
    )
    return {
        "curve": curve(),
        "short curve": curve(seeds=1, cells=8, seed=1),
        "grid": grid(),
        "noisy grid": grid(noise=0.05, seed=2),
        "isoflop": isoflop(),
        "nfnet": nfnet,
        "chinchilla": published.sort_values("val_loss")[:-5][::4].reset_index(drop=True),
    }


def fit_answer(table: pd.DataFrame, change: Change, *, law: str, x: tuple[str, ...], **settings: str) -> Answer:
    fit = analysis.fit(change.table(table), law=law, x=x, bootstrap=100, **settings)
    answer: Answer = {
        "law": fit.law,
        "status": fit.status.value,
        "runs": ",".join(sorted(map(str, fit.runs["val_loss"].rank().tolist()))),
    }
    answer |= {f"weight {name}": weight for name, weight in (fit.members or {}).items()}
    if fit.members is None:
        exponents = [shape.name for shape in law_named(fit.law).shapes if not shape.is_logged]
        for name in exponents:
            answer |= {
                name: fit.coefficients[name],
                f"{name} low": fit.interval()["low"][name],
                f"{name} high": fit.interval()["high"][name],
            }
        if "E" in fit.coefficients:
            ends = [fit.coefficients["E"], *fit.interval().loc["E"]]
            answer |= {
                f"E {place}": end / change.unit("val_loss") for place, end in zip(("value", "low", "high"), ends, strict=True)
            }
    at = pd.DataFrame(
        {name: np.array([table[name].min(), table[name].median(), 3 * table[name].max()]) * change.unit(name) for name in x}
    )
    for kind in ("mean", "new-run"):
        for number, row in enumerate(fit.predict(at, kind=kind).to_dict("records")):
            answer |= {f"{kind} {number} {name}": value / change.unit("val_loss") for name, value in row.items()}
    return answer


def optimum_answer(table: pd.DataFrame, change: Change) -> Answer:
    found = analysis.compute_optimal(change.table(table), bootstrap=100)
    answer: Answer = {"recommended": found.recommended.approach if found.recommended else "none"}
    for path in found.paths:
        answer[f"{path.approach} status"] = path.status.value
        for name, interval in (("size", path.size_exponent), ("epochs", path.epochs_exponent)):
            if interval is not None:
                answer |= {f"{path.approach} {name} {end}": getattr(interval, end) for end in ("value", "low", "high")}
    return answer


def comparison_answer(table: pd.DataFrame, change: Change) -> Answer:
    other = grid(seed=5, family="b").assign(val_loss=lambda runs: 1.02 * runs["val_loss"] * runs["core_hours"] ** -0.01)
    found = analysis.compare(change.table(pd.concat([table.assign(family="a"), other], ignore_index=True)), by="family")
    return {
        "better": str(found.better),
        "ratio": found.ratio.value,
        "ratio low": found.ratio.low,
        "p": found.p_value,
        "at largest": found.difference_at_largest.value,
        "trend": found.trend.value,
        "speed-up": found.speed_up.value,
    }


def plan_answer(table: pd.DataFrame, change: Change) -> Answer:
    """Candidates are each model at twice its longest budget."""
    runs = change.table(table)
    longest = runs.sort_values("epochs").groupby("params").tail(1)
    candidates = longest[["model", "params", "epochs", "examples_seen", "unique_examples", "core_hours"]].assign(
        **{name: 2 * longest[name] for name in ("epochs", "examples_seen", "core_hours")}
    )
    budget, target = float(candidates["core_hours"].sum() / 2), float(runs["core_hours"].max() * 10)
    payload = analysis.plan(runs, candidates.reset_index(drop=True), budget_core_hours=budget, target=target).to_dict()
    picks = sorted(f"{row['params'] / change.unit('params'):.4g}:{row['epochs']:g}" for row in payload["chosen"])
    answer: Answer = {"law": payload["law"], "picks": " ".join(picks)}
    for when in ("now", "after"):
        for kind, interval in payload[when].items():
            answer |= {f"{when} {kind} {end}": interval[end] / change.unit("val_loss") for end in ("value", "low", "high")}
    return answer


def questions(some: dict[str, pd.DataFrame]) -> Iterator[tuple[str, Callable[[Change], Answer]]]:
    """A name and a way to ask under a change, for every law, objective and method that a table can answer, and every further answer."""
    for place, table in some.items():
        forms = {law: (law, law_named(law).axes) for law in law_names()}
        for name, (law, letters) in {**forms, "auto": ("auto", ("C",)), "auto of N and D": ("auto", ("N", "D"))}.items():
            x = INPUTS[letters]
            if not set(x) <= set(table):
                continue
            for objective in OBJECTIVES:
                for intervals in INTERVALS:
                    if intervals == "wild" and objective == "huber-log":
                        continue

                    def ask(change: Change, table=table, law=law, x=x, objective=objective, intervals=intervals) -> Answer:  # noqa: ANN001
                        return fit_answer(table, change, law=law, x=x, objective=objective, intervals=intervals)

                    yield f"{place}: {name}, {objective}, {intervals}", ask
        if {"params", "examples_seen"} <= set(table):
            yield f"{place}: optimum", lambda change, table=table: optimum_answer(table, change)
        if "epochs" in table and "params" in table:
            yield f"{place}: compare", lambda change, table=table: comparison_answer(table, change)
            yield f"{place}: plan", lambda change, table=table: plan_answer(table, change)


def asked(ask: Callable[[Change], Answer], change: Change) -> Answer:
    """The answer; a refusal is one, too."""
    try:
        return ask(change)
    except ScalingError as error:
        return {"refused": type(error).__name__}


def moved(before: Answer, after: Answer) -> list[str]:
    """What differs between two answers."""
    found = [f"{name} is in one alone" for name in before.keys() ^ after.keys()]
    for name in before.keys() & after.keys():
        one, other = before[name], after[name]
        if isinstance(one, str) or isinstance(other, str):
            same = one == other
        else:
            same = (
                (one == other) or bool(np.isclose(one, other, rtol=TOLERANCE, atol=1e-9)) or bool(np.isnan(one) and np.isnan(other))
            )
        if not same:
            found.append(f"{name}: {one} → {other}")
    return sorted(found)


def run(only: str, minutes: float, again: bool, path: Path) -> None:
    deadline = time.perf_counter() + 60 * minutes
    known = {row["question"] for row in rows_of(path)} if path.exists() and not again else set()
    kinds = changes()
    for name, ask in questions(tables()):
        if only not in name or name in known:
            continue
        if time.perf_counter() > deadline:
            print("time is up")
            return
        began, first, faults = time.perf_counter(), asked(ask, Change("none", {})), []
        for change in kinds:
            if found := moved(first, asked(ask, change)):
                faults.append(change.name)
                print(f"{name}; {change.name}: {'; '.join(found[:4])}", flush=True)
        answered = "refused" if "refused" in first else "yes"
        seconds = f"{time.perf_counter() - began:.1f}"
        append(path, [f"{datetime.now(UTC):%F}", name, answered, len(kinds), len(faults), "; ".join(faults), seconds])


def append(path: Path, row: list[object]) -> None:
    """One line at once, so that two processes can share the file."""
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, row] if fresh else [row])


def table(path: Path) -> str:
    """A line for each table: how many questions were answered or refused, asked again after how many changes, and how many answers moved."""
    last = {row["question"]: row for row in rows_of(path)}
    groups: dict[str, list[dict[str, str]]] = {}
    for question, row in last.items():
        groups.setdefault(question.split(":")[0], []).append(row)
    lines = [
        [
            place,
            len(rows),
            sum(row["answered"] != "yes" for row in rows),
            f"{sum(int(row['changes']) for row in rows):,}",
            sum(int(row["moved"]) for row in rows),
            f"{min(row['date'] for row in rows)} … {max(row['date'] for row in rows)}",
        ]
        for place, rows in groups.items()
    ]
    return markdown(["table", "questions", "of them refused", "answers after a change", "of them moved", "asked on"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--minutes", type=float, default=30, help="no question is begun after this many")
    parser.add_argument("--only", default="", help="questions whose name has this in it")
    parser.add_argument("--again", action="store_true", help="also those that the file has")
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    if options.what == "table":
        print(table(options.csv))
    else:
        run(options.only, options.minutes, options.again, options.csv)


if __name__ == "__main__":
    main()
