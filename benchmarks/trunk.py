"""What a shared trunk saves, and whether its frontier is the cosine's: Fashion-MNIST, two models, budgets of 0.25 to 2 epochs.

    python benchmarks/trunk.py FOLDER [--minutes 25] [--rates 0.1 0.2]     trains, or goes on; FOLDER keeps store and checkpoints
    python benchmarks/trunk.py --csv benchmarks/trunk.csv                             prints the table of runs that are done

Both grids have the same models, budgets, learning rates and seeds; one a cosine for each budget, the other warmup-stable-decay with
`reuse_trunk`. Of each cell the better learning rate counts, by the mean over seeds. The seeds' standard deviation of log loss is pooled by
budget; a difference of two means of n seeds then has a standard error of std · √(2/n).
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

SCALING = str(Path(sys.executable).with_name("scaling"))
GRID = """\
name: {name}
dataset: {{name: fashion_mnist}}
models: [{{name: nano-F0, stem: medium}}, {{name: nano-F1, stem: medium}}]
epochs: [0.25, 0.5, 1, 2]
batch_size: 64
learning_rate: {{grid: {rates}}}
seeds: [0, 1, 2]
schedule: {schedule}
optimizer: {{clip: 0.16, weight_decay: 5e-4}}
resources: {{accelerator: cpu, cores: 1, mfu: 0.05}}
"""
SCHEDULES = {"cosine": "{name: cosine}", "trunk": "{name: warmup-stable-decay, reuse_trunk: true}"}
COLUMNS = (
    "schedule",
    "model",
    "epochs",
    "learning_rate",
    "seed",
    "core_hours",
    "inherited_core_hours",
    "val_loss",
    "val_top1",
    "id",
    "parent",
)
CELL = ["model", "epochs"]


def train(folder: Path, minutes: float, rates: list[float]) -> None:
    """Submit both grids, one after the other; what is not done when the time is up is checkpointed, and done in the next call."""
    deadline = time.monotonic() + 60 * minutes
    environment = os.environ | {"SCALING_DB": str(folder / "scaling.db"), "SCALING_HOME": str(folder / "runs")}
    folder.mkdir(parents=True, exist_ok=True)
    for name, schedule in SCHEDULES.items():
        (folder / f"{name}.yaml").write_text(GRID.format(name=name, schedule=schedule, rates=rates))
        command = subprocess.Popen([SCALING, "submit", f"{name}.yaml", "--yes"], cwd=folder, env=environment)
        try:
            command.wait(timeout=max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            command.send_signal(signal.SIGINT)
            command.wait()


def finished(folder: Path) -> pd.DataFrame:
    """The finished runs of both grids."""
    from orchestrator.store import open_readonly

    store = open_readonly(str(folder / "scaling.db"))
    tables = [store.runs(name).assign(schedule=name) for name in SCHEDULES]
    runs = pd.concat([table[table["status"] == "finished"] for table in tables], ignore_index=True)
    return runs.assign(inherited_core_hours=runs["inherited_core_hours"].fillna(0.0).astype(float))[list(COLUMNS)]


def best_of_cells(runs: pd.DataFrame) -> pd.DataFrame:
    """A row a cell and schedule: the learning rate with the lowest mean of log loss, that mean, and how many seeds it is of."""
    means = (
        runs.assign(log_loss=np.log(runs["val_loss"]))
        .groupby(["schedule", *CELL, "learning_rate"])["log_loss"]
        .agg(["mean", "count"])
    )
    means = means.reset_index()
    return means.loc[means.groupby(["schedule", *CELL])["mean"].idxmin()].set_index(["schedule", *CELL])


def seed_std(runs: pd.DataFrame) -> pd.Series:
    """Standard deviation of log loss between seeds by epoch budget, pooled over models and schedules: short runs scatter more."""
    logs = runs.assign(log_loss=np.log(runs["val_loss"]))
    groups = logs.groupby(["epochs", "schedule", "model", "learning_rate"])["log_loss"].agg(["var", "count"])
    freedom = groups["count"] - 1
    return np.sqrt((groups["var"] * freedom).groupby("epochs").sum() / freedom.groupby("epochs").sum())


def on_frontier(best: pd.DataFrame, flops: pd.Series) -> set[tuple[str, float]]:
    """Cells that no cell of as few training FLOPs beats: core-hours of one grid are measured beside another, FLOPs are the same."""
    return {
        cell
        for cell in best.index
        if all(
            best.loc[other, "mean"] >= best.loc[cell, "mean"]
            for other in best.index
            if other != cell and flops[other] <= flops[cell]
        )
    }


def report(runs: pd.DataFrame) -> None:
    best, std = best_of_cells(runs), seed_std(runs)
    if missing := set(SCHEDULES) - set(best.index.get_level_values("schedule")):
        print(f"no finished run yet of {', '.join(sorted(missing))}")
        return
    work = {
        "nano-F0": 56960640000.0,
        "nano-F1": 96589440000.0,
    }  # training FLOPs of an epoch, as `scaling submit --dry-run` has them
    cells = [cell for cell in best.loc["cosine"].index if cell in best.loc["trunk"].index]
    flops = pd.Series({cell: work[cell[0]] * cell[1] for cell in best.loc["cosine"].index})
    frontiers = {name: on_frontier(best.loc[name], flops) for name in SCHEDULES}
    print(
        "| model | epochs | cosine | lr | trunk | lr | difference | in standard errors | on the frontier of |\n|---|---|---|---|---|---|---|---|---|"
    )
    deviations = []
    for cell in cells:
        cosine, trunk = best.loc[("cosine", *cell)], best.loc[("trunk", *cell)]
        difference = trunk["mean"] - cosine["mean"]
        deviations.append(difference / (std[cell[1]] * np.sqrt(1 / trunk["count"] + 1 / cosine["count"])))
        where = " and ".join(name for name in SCHEDULES if cell in frontiers[name]) or "neither"
        print(
            f"| {cell[0]} | {cell[1]:g} | {np.exp(cosine['mean']):.4f} | {cosine['learning_rate']:g} | {np.exp(trunk['mean']):.4f} | "
            f"{trunk['learning_rate']:g} | {100 * np.expm1(difference):+.1f} % | {deviations[-1]:+.1f} | {where} |"
        )
    scatter = ", ".join(f"{epochs:g}: {value:.3f}" for epochs, value in std.items())
    print(f"\n- standard deviation of log loss between seeds by epochs: {scatter}")
    print(
        f"- differences in standard errors: mean {np.mean(deviations):+.2f}, root mean square {np.sqrt(np.mean(np.square(deviations))):.2f}"
    )
    for name in SCHEDULES:
        grid = runs[runs["schedule"] == name]
        alone, inherited = grid["core_hours"].sum(), grid["inherited_core_hours"].sum()
        print(
            f"- {name}: {len(grid)} runs, alone {alone:.4f} core-hours, spent {alone - inherited:.4f}, saved {100 * inherited / alone:.1f} %"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.1, 0.2])
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    if arguments.folder is not None:
        train(arguments.folder.absolute(), arguments.minutes, arguments.rates)
        with arguments.csv.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(finished(arguments.folder).itertuples(index=False, name=None))
    report(pd.read_csv(arguments.csv))


if __name__ == "__main__":
    main()
