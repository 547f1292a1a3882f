"""How well the end of a run is forecast while it trains, on runs of this product that have finished.

    python benchmarks/running.py curves STORE.db     # writes running_curves.csv: the held-out losses of a store's finished runs
    python benchmarks/running.py run                 # writes running.csv: each run forecast from others at 25, 50 and 75 % of its steps
    python benchmarks/running.py table               # what the file says, for docs/laws_figures.md

The curves are of 45 nano NFNets on digits: three models, five epoch budgets, three seeds, each under a cosine to zero (`experiments/digits.yaml`
with one rate, three seeds and `evaluate_at: [0.1, 0.25, 0.5, 0.75]`). A run is forecast from runs of all other cells, or from those with fewer
epochs alone. Beside it stand the law alone, and the run's own curve continued: a straight line in log loss and log steps through all of its
evaluations so far, or through the last two.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from csv_table import markdown

import analysis
from analysis.fitting.result import Fit
from analysis.running import law_of_end

CSV = Path(__file__).with_suffix(".csv")
CURVES = CSV.with_name("running_curves.csv")
RUN = [
    "id",
    "family",
    "model",
    "dataset",
    "params",
    "epochs",
    "seed",
    "steps",
    "examples_seen",
    "train_flops",
    "core_hours",
    "val_loss",
]
COLUMNS = [
    "way",
    "share",
    "id",
    "by",
    "final",
    "end",
    "low",
    "high",
    "law",
    "law_low",
    "law_high",
    "curve",
    "last_two",
    "alarm",
    "alarm_if_worse",
]
SHARES = (0.25, 0.5, 0.75)
WORSE = 1.5
"""A run that went wrong: its loss now is so many times what it was."""

Curves = dict[str, list[tuple[int, float]]]


def write_curves(db: str) -> None:
    from orchestrator.store import open_readonly
    from orchestrator.store.stopping import held_out_losses

    with open_readonly(db) as store, store.read() as session:
        runs = store.runs()
        runs = runs[runs["status"] == "finished"]
        taken = held_out_losses(session, list(runs["id"]))
    rows = [{**run, "step": step, "loss": loss} for run in runs[RUN].to_dict("records") for step, loss in taken[run["id"]]]
    pd.DataFrame(rows).to_csv(CURVES, index=False, lineterminator="\n")


def read_curves() -> tuple[pd.DataFrame, Curves]:
    rows = pd.read_csv(CURVES)
    runs = rows[RUN].drop_duplicates("id").assign(status="finished").reset_index(drop=True)
    return runs, {run: list(zip(own["step"], own["loss"], strict=True)) for run, own in rows.groupby("id")}


def folds(runs: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Each as the way, the run that is forecast, and the runs that it is forecast from."""
    for run in runs.to_dict("records"):
        cell = (runs["model"] == run["model"]) & (runs["epochs"] == run["epochs"])
        yield "other cells", run["id"], runs[~cell]
    longest = runs["epochs"].max()
    for run in runs[runs["epochs"] == longest].to_dict("records"):
        yield "fewer epochs", run["id"], runs[runs["epochs"] < longest]


def continued(curve: list[tuple[int, float]], steps: int, share: float, last: int | None) -> float:
    """The curve alone: a straight line in logarithms through its (last) evaluations up to a share."""
    taken = np.log([(step, loss) for step, loss in curve if step <= np.ceil(share * steps)])[-last if last else None :]
    return float(np.exp(np.polyval(np.polyfit(*taken.T, 1), np.log(steps)))) if len(taken) > 1 else float("nan")


def measured() -> Iterator[dict[str, object]]:
    runs, curves = read_curves()
    laws: dict[object, Fit | None] = {}
    for way, run, others in folds(runs):
        mine = runs[runs["id"] == run]
        table = pd.concat([others, mine.assign(status="running", val_loss=np.nan)], ignore_index=True)
        steps, final = int(mine["steps"].iloc[0]), float(mine["val_loss"].iloc[0])
        key = tuple(others["id"])
        laws[key] = laws[key] if key in laws else law_of_end(table, run)
        for share in SHARES:
            found = analysis.forecast_end(table, run, curves, share=share, law=laws[key])
            law, now = found.by_law, found.now
            assert law is not None
            yield {
                "way": way,
                "share": share,
                "id": run,
                "by": found.by,
                "final": f"{final:.6f}",
                **{name: f"{getattr(found.end, end):.6f}" for name, end in (("end", "value"), ("low", "low"), ("high", "high"))},
                **{name: f"{getattr(law, end):.6f}" for name, end in (("law", "value"), ("law_low", "low"), ("law_high", "high"))},
                "curve": f"{continued(curves[run], steps, share, None):.6f}",
                "last_two": f"{continued(curves[run], steps, share, 2):.6f}",
                "alarm": found.alarm or "",
                "alarm_if_worse": "above" if now is not None and WORSE * found.loss > now.high else "",
            }


def table(path: Path) -> str:
    rows, lines = pd.read_csv(path, keep_default_na=False, na_values=["nan"]), []
    for (way, share), own in rows.groupby(["way", "share"], sort=False):
        final = np.log(own["final"])

        def error(name: str, own: pd.DataFrame = own, final: pd.Series = final) -> str:
            return f"{np.sqrt(np.mean((np.log(own[name].astype(float)) - final) ** 2)):.3f}"

        inside = [
            f"{100 * np.mean((own[low] <= own['final']) & (own['final'] <= own[high])):.0f}"
            for low, high in (("low", "high"), ("law_low", "law_high"))
        ]
        half = [f"{np.median(np.log(own[high] / own[low])) / 2:.2f}" for low, high in (("low", "high"), ("law_low", "law_high"))]
        curve = f"{100 * np.mean(own['by'] == 'law-and-curve'):.0f}"
        alarms = f"{100 * np.mean(own['alarm'] != ''):.0f}, {100 * np.mean(own['alarm_if_worse'] == 'above'):.0f}"
        lines.append(
            (
                way,
                f"{100 * share:.0f} %",
                len(own),
                error("end"),
                inside[0],
                half[0],
                curve,
                error("law"),
                inside[1],
                half[1],
                error("curve"),
                error("last_two"),
                alarms,
            )
        )
    head = (
        "forecast from",
        "share of steps",
        "runs",
        "error",
        "inside 95 %",
        "half-width",
        "curve counted, %",
        "law alone: error",
        "inside",
        "half-width",
        "curve alone: error",
        "its last two",
        "alarms, %; of losses 1.5 times as high",
    )
    return markdown(head, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["curves", "run", "table"])
    parser.add_argument("db", nargs="?", default="scaling.db")
    asked = parser.parse_args()
    if asked.what == "curves":
        write_curves(asked.db)
    elif asked.what == "table":
        print(table(CSV))
    else:
        with CSV.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            for row in measured():
                writer.writerow(row)
                file.flush()


if __name__ == "__main__":
    main()
