"""Laws of size and examples on runs of larger compute than they were fitted to: each by itself, and `auto` of the old and the new candidates.

    python benchmarks/surface_forecast.py [--csv benchmarks/surface_forecast.csv]    # measures, prints, and writes the file
    python benchmarks/surface_forecast.py table                                      # the file, for docs/laws_figures.md

Tables: the 240 points of Hoffmann et al. as digitised by Besiroglu et al. 2024 (arXiv 2404.10102), all of them and draws of few; and the
grids of docs/*.csv, a family each. Runs of more than a quarter, or a tenth, of the largest compute are held out. Figures are the mean of
|log(forecast / loss)| over what was held out, in per cent; of draws the mean, of tables that and the geometric one. `old auto` chooses among `chinchilla` and
`data-constrained` alone, as before the other laws were there.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from csv_table import markdown, rows_of

import analysis
from analysis.automatic import candidates
from analysis.backtest.backtest import backtest
from analysis.cells import cells_of
from analysis.fitting.estimate import Sample
from analysis.fitting.objective import objective_named
from analysis.fitting.point import fit_point
from analysis.laws import law_named
from analysis.laws.law import Law
from scaling.errors import TooFewPoints

CSV = Path(__file__).with_suffix(".csv")
ROOT = Path(__file__).parents[1]
OLD = ("chinchilla", "data-constrained")
LAWS = ("chinchilla", "chinchilla-tied", "skaling", "data-constrained", "repeat-penalty", "old auto", "auto")
DRAWS, SMALL = 20, (8, 12, 20, 40)
LOG = objective_named("log")


def chinchilla_points() -> np.ndarray:
    """N, D and loss of the 240 points, (3, 240)."""
    table = pd.read_csv(ROOT / "tests/reference/laws/epoch_chinchilla_svg_extracted.csv").sort_values("loss").iloc[:240]
    size = table["Model Size"].to_numpy(float)
    return np.stack([size, table["Training FLOP"].to_numpy(float) / (6 * size), table["loss"].to_numpy(float)])


def grids() -> Iterator[tuple[str, np.ndarray]]:
    """Name, and N, D, U and mean loss of each cell at its best learning rate, (4, cells), of the studies in docs/."""
    axes = ["params", "examples_seen", "unique_examples"]
    theirs = {
        "family": "arch",
        "model": "network",
        "params": "weights",
        "epochs": "passes",
        "val_loss": "eval_loss",
        "status": "state",
    }
    theirs |= {"examples_seen": "samples", "unique_examples": "distinct_samples", "core_hours": "wall_seconds"}
    for name in ("default_study", "example_study", "fashion_mnist", "published_study", "rivals"):
        table = analysis.read_runs(ROOT / f"docs/{name}.csv", theirs if name == "example_study" else {})
        if "stage" in table:
            table = table[table["stage"] == "pretraining"]
        for family, runs in table.groupby("family"):
            found = cells_of(runs, metric="val_loss", x=axes).runs
            means = np.exp(np.log(found[[*axes, "val_loss"]]).groupby(found["cell"]).mean()).to_numpy().T
            if means.shape[1] >= 12 and len(np.unique(means[0])) >= 3:
                yield f"{name}, {family}", means


def hold_outs() -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """What the table is, how much is held out, the cells to fit and those held out, (k + 1, n) each, with the loss last."""
    points = chinchilla_points()
    for times in (4, 10):
        fitted, held = split(points, times)
        yield "Chinchilla, all", f"{times}×", fitted, held
        rng = np.random.default_rng(times)
        for runs in SMALL:
            for _ in range(DRAWS):
                yield f"Chinchilla, {runs} runs", f"{times}×", fitted[:, rng.permutation(fitted.shape[1])[:runs]], held
        for name, cells in grids():
            for inputs in (2, 3):
                some = np.vstack([cells[:inputs], cells[3:]])
                yield f"{name}: {'N, D' if inputs == 2 else 'N, D, U'}", f"{times}×", *split(some, times)


def split(cells: np.ndarray, times: float) -> tuple[np.ndarray, np.ndarray]:
    order = np.log(cells[0] * cells[1])
    small = order <= order.max() - np.log(times) + 1e-9
    return cells[:, small], cells[:, ~small]


def forecasts(fitted: np.ndarray, at: np.ndarray) -> dict[str, np.ndarray]:
    """The log forecast of each law, and of both automatic choices, at the inputs `at` (k, n). Empty where even the plainest cannot be fitted."""
    letters = ("N", "D", "U")[: len(at)]
    inputs, y = fitted[:-1], fitted[-1]
    laws = {law.name: law for law in candidates(letters)}
    said = {name: curve(law, inputs, y, at) for name, law in laws.items() if enough(law, inputs)}
    for choice, names in (("old auto", OLD), ("auto", tuple(laws))):
        weights = chosen([laws[name] for name in names if name in laws], inputs, y, letters)
        if weights and set(weights) <= set(said):
            said[choice] = np.sum([weight * said[name] for name, weight in weights.items()], axis=0)
    return said


def chosen(laws: Sequence[Law], inputs: np.ndarray, y: np.ndarray, letters: Sequence[str]) -> dict[str, float]:
    sample = Sample(inputs, y, np.arange(len(y)), np.ones(len(y)))
    order = np.log(inputs[0] * inputs[1])
    left = list(laws)
    while left:
        try:
            members = backtest(
                left, sample, order, LOG, rows_of=lambda law: [letters.index(letter) for letter in law.axes], horizon=4.0
            ).members
        except TooFewPoints:
            break
        failed = [name for name in members if not converges(law_named(name), inputs, y)]
        if not failed:
            return members
        left = [law for law in left if law.name not in failed]
    return {laws[0].name: 1.0}


def enough(law: Law, inputs: np.ndarray) -> bool:
    return inputs.shape[1] >= law.least_points and all(len(np.unique(inputs[axis])) >= 3 for _, _, axis in law.powers)


def converges(law: Law, inputs: np.ndarray, y: np.ndarray) -> bool:
    return bool(fit_point(law, inputs[: len(law.axes)], y).converged[0])


def curve(law: Law, inputs: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
    found = fit_point(law, inputs[: len(law.axes)], y)
    return law.log_curve(at[: len(law.axes)], found.theta)[0]


def measured() -> list[list[str]]:
    errors: dict[tuple[str, str], dict[str, list[float]]] = {}
    for name, times, fitted, held in hold_outs():
        if not held.shape[1]:
            continue
        said = forecasts(fitted, held[:-1])
        for law, log_mean in said.items():
            errors.setdefault((name, times), {}).setdefault(law, []).append(float(np.mean(np.abs(log_mean - np.log(held[-1])))))
    rows = [[name, times, *(cell(by_law.get(law)) for law in LAWS)] for (name, times), by_law in errors.items()]
    for inputs in ("N, D, U", ""):
        some = [by_law for (name, _), by_law in errors.items() if name.endswith("N, D, U") == bool(inputs)]
        rows.append([f"mean of {len(some)} hold-outs of {inputs or 'N, D'}", "", *(cell(means_of(some, law)) for law in LAWS)])
        rows.append(["their geometric mean", "", *(cell(geometric(means_of(some, law))) for law in LAWS)])
    return rows


def geometric(errors: list[float] | None) -> list[float] | None:
    """The geometric mean, to which a table that nothing forecasts counts as much as any other."""
    return errors and [float(np.exp(np.mean(np.log(errors))))]


def means_of(some: Sequence[dict[str, list[float]]], law: str) -> list[float] | None:
    """The mean error of a law at each hold-out; None where it was not fitted at all of them."""
    return [float(np.mean(by_law[law])) for by_law in some] if all(law in by_law for by_law in some) else None


def cell(errors: Sequence[float] | None) -> str:
    return f"{100 * np.mean(errors):.2f}" if errors else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["run", "table"], default="run")
    parser.add_argument("--csv", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    head = ["runs", "held out", *LAWS]
    if arguments.what == "table":
        print(markdown(head, [list(row.values()) for row in rows_of(arguments.csv or CSV)]))
        return
    rows = measured()
    print(markdown(head, rows))
    if arguments.csv:
        with arguments.csv.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([head, *rows])


if __name__ == "__main__":
    main()
