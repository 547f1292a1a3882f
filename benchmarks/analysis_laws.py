"""The laws on published data: what they find, beside what is known.

    python benchmarks/analysis_laws.py [--csv benchmarks/analysis_laws.csv]    # fits, prints, and appends to the file
    python benchmarks/analysis_laws.py table                                   # the last call in the file, for docs/laws_figures.md

- the 240 points of Hoffmann et al. as digitised by Besiroglu et al. 2024 (arXiv 2404.10102): the optimum of their objective, with intervals;
- the NFNet study (arXiv 2310.16764): from the 21 points of F1 … F7 up to 75k core-hours, the fine-tuned error of F7+ at 110k core-hours;
- the 20 language curves of Alabdulmohsin et al. 2022 (arXiv 2209.06640): error on the part of each that was kept for it, by every law and by
  `auto`, whose rule is the same for all.
"""

from __future__ import annotations

import argparse
import csv
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from csv_table import markdown, rows_of

import analysis
from analysis.automatic import automatic, candidates
from analysis.fitting.estimate import Precision, Sample
from analysis.fitting.objective import objective_named
from analysis.fitting.point import fit_point

CSV = Path(__file__).with_suffix(".csv")
HEAD = ["data", "", "found", "known or wanted"]
DATA = Path(__file__).parents[1] / "tests" / "reference" / "laws"
Row = tuple[str, str, str, str]  # data, what, found, known or wanted

PUBLISHED = {"E": (1.769, 1.871), "A": (285, 744), "alpha": (0.317, 0.373), "B": (1042, 5810), "beta": (0.331, 0.415)}
WANTED = {"NMT": 0.012, "LM": 0.0010, "BB": 0.009}


def chinchilla() -> Iterator[Row]:
    table = pd.read_csv(DATA / "epoch_chinchilla_svg_extracted.csv").rename(columns={"Model Size": "params", "loss": "val_loss"})
    table["examples_seen"] = table["Training FLOP"] / (6 * table["params"])
    points = table.sort_values("val_loss").iloc[:240]
    fit = analysis.fit(points, x=("params", "examples_seen"), law="chinchilla", objective="huber-log")
    residual = np.abs(fit.residuals["residual"])
    loss = float(np.where(residual <= 1e-3, 0.5 * residual**2, 1e-3 * (residual - 0.5e-3)).sum())
    yield "Chinchilla, 240 points", "sum of Huber(1e-3)", f"{loss:.12f}", "0.001018274018"
    for letter, value in fit.coefficients.items():
        low, high = fit.interval().loc[letter]
        yield (
            "Chinchilla, 240 points",
            f"{letter}, 95 % interval",
            f"{value:.5g} ({low:.5g} … {high:.5g})",
            "{:g} … {:g}".format(*PUBLISHED[letter]),
        )
    yield "Chinchilla, 240 points", "status", fit.status.value, ""


def nfnet() -> Iterator[Row]:
    runs = analysis.read_runs(
        DATA / "nfnet_fig1_clean21.csv", {"core_hours": "tpu_v4_core_hours", "error": "imagenet_top1_error_pct"}
    )
    for on, law in itertools.product(("frontier", "all"), ("power", "power-floor", "auto")):
        fit = analysis.fit(runs, metric="error", law=law, on=on)
        band = fit.predict([110_000.0], kind="new-run").iloc[0]
        members = "" if fit.members is None else " of " + ", ".join(f"{name} {weight:.2f}" for name, weight in fit.members.items())
        said = f"{band['mean']:.2f} % ({band['low']:.2f} … {band['high']:.2f}), {', '.join(each.code.value for each in fit.diagnostics)}"
        yield "NFNet, 21 points to 75k", f"error at 110k core-hours, {law}{members}, {fit.on_words}", said, "9.7 ± 0.15 %"


def curves() -> Iterator[Row]:
    errors: dict[str, dict[str, list[float]]] = {}
    aim, precision = objective_named("log"), Precision(bootstrap=100)
    held = []
    for (domain, *_), curve in pd.read_csv(DATA / "revisiting_benchmark.lang.csv").groupby(["Domain", "Task", "Model"]):
        seen, ahead = curve[curve["Training"] == 1], curve[curve["Training"] == 0]
        x, y = seen["Seen Examples"].to_numpy(float), seen["Loss"].to_numpy(float)
        at, truth = ahead["Seen Examples"].to_numpy(float)[None], np.log(ahead["Loss"].to_numpy(float))
        sample = Sample(x[None], y, np.unique(x, return_inverse=True)[1], np.ones(len(x)))
        said = {law.name: law.log_curve(at, fit_point(law, x[None], y).theta)[0] for law in candidates(["C"])}
        said["geometric mean of all"] = np.mean(list(said.values()), axis=0)
        found = automatic(sample, ["C"], objective=aim, precision=precision)
        said["auto"] = found.estimate.log_mean(at)
        low, high = found.estimate.log_new_run(at)
        held.append(np.mean((low <= truth) & (truth <= high)))
        for law, log_mean in said.items():
            errors.setdefault(law, {}).setdefault(str(domain), []).append(float(np.sqrt(np.mean((log_mean - truth) ** 2))))
    for law, by_domain in errors.items():
        for domain, each in by_domain.items():
            wanted = f"≤ {WANTED[domain]:g}" if law == "auto" else ""
            yield f"{domain}, {len(each)} curves", f"mean RMSLE, {law}", f"{np.mean(each):.5f}", wanted
    yield "20 curves", "points kept aside inside auto's 95 % interval of a new run", f"{100 * np.mean(held):.0f} %", "95 %"


def last_call(path: Path) -> list[list[str]]:
    """The rows that the last call appended: those from the last one that is named like the first."""
    rows = [[row[name] for name in ("data", "what", "found", "known_or_wanted")] for row in rows_of(path)]
    return rows[max(number for number, row in enumerate(rows) if row[:2] == rows[0][:2]) :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["run", "table"], default="run")
    parser.add_argument("--csv", type=Path, help="append the figures to this file")
    arguments = parser.parse_args()
    if arguments.what == "table":
        print(markdown(HEAD, last_call(arguments.csv or CSV)))
        return
    rows = [*chinchilla(), *nfnet(), *curves()]
    print(markdown(HEAD, rows))
    if arguments.csv:
        new = not arguments.csv.exists()
        with arguments.csv.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(["date", "data", "what", "found", "known_or_wanted"])
            writer.writerows([datetime.now(UTC).strftime("%Y-%m-%d"), *row] for row in rows)


if __name__ == "__main__":
    main()
