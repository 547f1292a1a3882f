"""Two trials a cell against the full grid of five learning rates, on real runs: trials, regret against seed noise, share of core-hours.

    python benchmarks/two_trial.py digits --folder DIR [--minutes 30] [--csv benchmarks/two_trial.csv]
    python benchmarks/two_trial.py fashion_mnist --folder DIR
    python benchmarks/two_trial.py table    # what the file says, for docs/learning_rates.md

Submits the search on the first seed, the search on all seeds and then the grid into one store in DIR, through the real command. Runs that
several want are done once, so what is compared is the same runs: which of the grid's a search would have needed. May be stopped, or given `--minutes`, and called again: it goes on
where it stopped. With `--csv`, the table of cells is written there once both are done.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean, stdev

from csv_table import markdown, rows_of

SCALING = str(Path(sys.executable).with_name("scaling"))
GRID = "{grid: [0.1, 0.2, 0.4, 0.8, 1.6]}"
SEARCH = "{{policy: two-trial, start: 0.4, factor: 2, seeds: {seeds}}}"
RUNS = (("search", SEARCH.format(seeds="first")), ("search-all-seeds", SEARCH.format(seeds="all")), ("grid", GRID))
TITLES = {"digits": "digits", "fashion_mnist": "Fashion-MNIST"}
NUMBERS = {
    "trials",
    "regret",
    "loss",
    "best_of_grid",
    "runs",
    "grid_runs",
    "train_flops",
    "core_hours",
    "grid_core_hours",
    "seed_std",
}
STUDIES = {
    "digits": """\
name: {name}
dataset: {{name: digits, validation_examples: 597}}
models: [nano-F0, nano-F1, nano-F3]
epochs: [2, 4, 8, 16]
batch_size: 32
learning_rate: {learning_rate}
seeds: [0, 1]
optimizer: {{clip: 0.16, weight_decay: 0.002}}
resources: {{accelerator: cpu, cores: 1, mfu: 0.04}}
""",
    "fashion_mnist": """\
name: {name}
dataset: {{name: fashion_mnist}}
models: [{{name: nano-F0, stem: medium}}, {{name: nano-F1, stem: medium}}]
epochs: [0.25, 0.5, 1, 2]
batch_size: 64
learning_rate: {learning_rate}
seeds: [0, 1]
optimizer: {{clip: 0.16, weight_decay: 5e-4}}
resources: {{accelerator: cpu, cores: 1, mfu: 0.05}}
""",
}


def submit(folder: Path, study: str, kind: str, learning_rate: str, seconds: float) -> bool:
    """Whether it was seen through in time; else it was asked to checkpoint and pause. A learning rate that diverges is a result."""
    file = folder / f"{study}-{kind}.yaml"
    file.write_text(STUDIES[study].format(name=f"{study}-{kind}", learning_rate=learning_rate))
    with (folder / f"{study}-{kind}.log").open("a") as log:
        process = subprocess.Popen([SCALING, "submit", file.name], cwd=folder, env=environment(folder), stdout=log, stderr=log)
        try:
            code = process.wait(seconds)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.send_signal(signal.SIGINT)
            code = process.wait()
    if code not in (0, 130):
        raise SystemExit(f"scaling submit {file} left with exit code {code}; see {log.name}")
    return code == 0


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {"SCALING_DB": str(folder / "scaling.db"), "SCALING_HOME": str(folder / "runs"), "NO_COLOR": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=[*STUDIES, "table"])
    parser.add_argument("--folder", type=Path, help="store, checkpoints and logs; kept between calls")
    parser.add_argument("--minutes", type=float, default=30.0, help="stop after so long; the next call goes on")
    parser.add_argument("--csv", type=Path, help="append the cells to this file")
    arguments = parser.parse_args()
    if arguments.study == "table":
        print(table(arguments.csv or Path(__file__).with_suffix(".csv")))
        return
    if arguments.folder is None:
        parser.error("--folder is needed: where store, checkpoints and logs are kept")
    folder = arguments.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)

    deadline = time.monotonic() + 60 * arguments.minutes
    for kind, learning_rate in RUNS:
        if not submit(folder, arguments.study, kind, learning_rate, max(1.0, deadline - time.monotonic())):
            print(f"stopped in the {kind}; the same command goes on")
            return
    asked = [SCALING, "lr", "--searches"]
    subprocess.run(asked, cwd=folder, env=environment(folder), check=True)
    if arguments.csv:
        found = subprocess.run([*asked, "--json"], cwd=folder, env=environment(folder), check=True, capture_output=True, text=True)
        cells = [
            {"experiment": search["experiment"], **cell}
            for search in json.loads(found.stdout)["searches"]
            for cell in search["cells"]
        ]
        write(arguments.csv, arguments.study, cells)


def table(path: Path) -> str:
    """A row a search. Shares are of sums over cells; ± is the standard error of a mean over cells."""
    head = [
        "",
        "trials a cell",
        "at the grid's best rate",
        "loss above the grid's best",
        "log loss above it",
        "share of the grid's FLOPs",
    ]
    head += ["of its core-hours", "seeds of one rate differ by"]
    cells: dict[str, list[dict[str, str]]] = {}
    for row in rows_of(path):
        cells.setdefault(row["experiment"], []).append(row)
    rows = []
    for experiment, own in cells.items():
        numbers = {name: [float(row[name]) for row in own] for name in own[0] if name in NUMBERS}
        grid, search = (
            sum(n * flops for n, flops in zip(numbers[name], numbers["train_flops"], strict=True)) for name in ("grid_runs", "runs")
        )
        above = [math.log(loss / best) for loss, best in zip(numbers["loss"], numbers["best_of_grid"], strict=True)]
        error = len(own) ** -0.5
        rows.append(
            [
                TITLES[own[0]["study"]]
                + (", search on both seeds" if experiment.endswith("all-seeds") else ", search on the first seed"),
                f"{mean(numbers['trials']):.2f}",
                f"{sum(each == 0 for each in numbers['regret'])} of {len(own)} cells",
                f"{100 * mean(numbers['regret']):.1f} ± {100 * error * stdev(numbers['regret']):.1f} %",
                f"{mean(above):.3f} ± {error * stdev(above):.3f}",
                f"{search / grid:.1%}".replace("%", " %"),
                f"{sum(numbers['core_hours']) / sum(numbers['grid_core_hours']):.1%}".replace("%", " %"),
                f"{100 * math.sqrt(mean(each**2 for each in numbers['seed_std'])):.0f} %",
            ]
        )
    return markdown(head, [*rows, ["goal", "≤ 2.2", "", "within seed noise", "", "", "≤ 45 %", ""]])


def write(path: Path, study: str, cells: list[dict[str, object]]) -> None:
    """One row a cell, in place of earlier rows of the study."""
    from orchestrator.provenance import code_version

    rows = [{"study": study, "code_version": code_version(), **cell} for cell in cells]
    if path.exists():
        with path.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["study"] != study] + rows
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
