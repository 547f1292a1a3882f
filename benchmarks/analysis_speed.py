"""How long a law takes, beside what others use, on the 240 points of Hoffmann et al. as digitised by Besiroglu et al.

    python benchmarks/analysis_speed.py [--peers PYTHON] [--olmo-file FILE] [--starts 4500] [--csv benchmarks/analysis_speed.csv]
    python benchmarks/analysis_speed.py table    # the last figure of each in the file, for docs/laws_figures.md

Ours: the point estimate, 1,000 bootstrap draws, the automatic choice on one of the 20 published language curves, and a fit with everything in
it. Each is the median of several, after one that warms up.

Peers run in a process of their own, started by PEERS, an interpreter whose environment has them; without it they are left out and said so:

    python -m venv peers && peers/bin/pip install chinchilla pandas tqdm

- `chinchilla` from the package index: its BFGS over a grid, with its own Huber loss on log residuals, one process for each core.
- OLMo-core's `ChinchillaParametricFit`: no wheel of ai2-olmo-core on the index has `model_ladder.analysis` (3.0.0, 2.6.0 and 2.4.0 do
  not), so give the file `src/olmo_core/model_ladder/analysis/scaling_laws.py` of a checkout; it needs numpy and scipy alone.
- 4,500 starts of L-BFGS as in Hoffmann et al., appendix D.2 (scipy, with the gradient written out), on every core.

The loss beside each time is the sum of Huber(1e-3) of log residuals at what it found: fast and wrong is no use.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from csv_table import markdown, rows_of

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "reference" / "laws"
DELTA = 1e-3
HEAD = ["", "seconds", "Huber loss"]


def chinchilla_points() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """params, examples seen and loss of the 240 points: the 5 highest losses are left out, as in Besiroglu et al. 2024, arXiv 2404.10102."""
    with (DATA / "epoch_chinchilla_svg_extracted.csv").open() as file:
        rows = [[float(row[name]) for name in ("Model Size", "Training FLOP", "loss")] for row in csv.DictReader(file)]
    params, flops, loss = np.array(sorted(rows, key=lambda row: row[2])[:240]).T
    return params, flops / (6 * params), loss


def huber_of(values: dict[str, float], points: tuple[np.ndarray, np.ndarray, np.ndarray]) -> float:
    params, examples, loss = points
    mean = values["E"] + values["A"] * params ** -values["alpha"] + values["B"] * examples ** -values["beta"]
    size = np.abs(np.log(loss) - np.log(mean))
    return float(np.sum(np.where(size <= DELTA, 0.5 * size**2, DELTA * (size - 0.5 * DELTA))))


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def ours() -> list[tuple[str, float, float]]:
    """(what, seconds, loss where there is one)."""
    import pandas as pd

    import analysis
    from analysis.automatic import candidates
    from analysis.backtest.backtest import backtest
    from analysis.fitting.bootstrap import pairs_draws
    from analysis.fitting.estimate import Precision, Sample
    from analysis.fitting.objective import objective_named
    from analysis.fitting.point import fit_point
    from analysis.fitting.tangent import tangent_at
    from analysis.laws import law_named

    points = chinchilla_points()
    inputs, loss = np.stack(points[:2]), points[2]
    law, aim = law_named("chinchilla"), objective_named("huber-log")
    found = fit_point(law, inputs, loss, objective=aim)
    theta = found.theta[0]
    sample = Sample(inputs, loss, np.arange(len(loss)), np.ones(len(loss)))
    tangent = tangent_at(law, sample, theta, aim, found.at_bound[0])
    table = pd.DataFrame({"params": points[0], "examples_seen": points[1], "val_loss": loss})

    curves = pd.read_csv(DATA / "revisiting_benchmark.lang.csv")
    curves = curves[curves["Training"] == 1]
    one_a_domain = [curve for _, curve in curves.groupby(["Domain", "Task", "Model"])][::4]

    def choose() -> None:
        for curve in one_a_domain:
            x, y = curve["Seen Examples"].to_numpy(float), curve["Loss"].to_numpy(float)
            own = Sample(x[None], y, np.unique(x, return_inverse=True)[1], np.ones(len(x)))
            backtest(candidates(["C"]), own, np.log(x), objective_named("log"), rows_of=lambda law: [0], horizon=4.0)

    values = {name: float(value[0]) for name, value in found.values.items()}
    return [
        ("point estimate", median_seconds(lambda: fit_point(law, inputs, loss, objective=aim), 7), huber_of(values, points)),
        ("1,000 bootstrap draws", median_seconds(lambda: pairs_draws(law, sample, aim, theta, tangent, Precision()), 3), np.nan),
        ("automatic choice, one curve", median_seconds(choose, 5) / len(one_a_domain), np.nan),
        (
            "analysis.fit with intervals",
            median_seconds(lambda: analysis.fit(table, x=("params", "examples_seen"), law="chinchilla", objective="huber-log"), 3),
            np.nan,
        ),
    ]


_POINTS = chinchilla_points()
_LOGS = tuple(np.log(each) for each in _POINTS)


def _from_start(start: tuple[float, ...]) -> tuple[float, list[float]]:
    from scipy import optimize

    log_n, log_d, log_loss = _LOGS

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        a, b, e, alpha, beta = theta
        terms = np.stack([a - alpha * log_n, b - beta * log_d, np.full_like(log_n, e)])
        total = np.logaddexp.reduce(terms, axis=0)
        share, r = np.exp(terms - total), total - log_loss
        psi = np.clip(r, -DELTA, DELTA)
        size = np.abs(r)
        value = np.sum(np.where(size <= DELTA, 0.5 * r * r, DELTA * (size - 0.5 * DELTA)))
        sums = share @ psi
        return float(value), np.array([sums[0], sums[1], sums[2], -np.sum(share[0] * psi * log_n), -np.sum(share[1] * psi * log_d)])

    found = optimize.minimize(objective, np.array(start), jac=True, method="L-BFGS-B")
    return float(found.fun), found.x.tolist()


def many_starts(number: int) -> tuple[str, float, float]:
    """The grid of starts of Hoffmann et al., thinned evenly to so many."""
    grid = list(
        itertools.product(
            np.arange(0, 30, 5.0), np.arange(0, 30, 5.0), np.arange(-1, 1.5, 0.5), np.arange(0, 2.5, 0.5), np.arange(0, 2.5, 0.5)
        )
    )
    chosen = [grid[int(place)] for place in np.linspace(0, len(grid) - 1, number)]
    started = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        results = pool.map(_from_start, chosen, chunksize=32)
    seconds = time.perf_counter() - started
    best = min(loss for loss, _ in results)
    there = sum(loss <= best * (1 + 1e-4) for loss, _ in results)
    return f"{number:,} starts of L-BFGS ({there} of them get there)", seconds, best


def peer_chinchilla() -> dict[str, float]:
    """Runs inside the peers' interpreter. The grid of its README, over logarithms of E, A and B."""
    import chinchilla  # type: ignore[import-not-found]
    from chinchilla._metrics import log_huber  # type: ignore[import-not-found]

    params, examples, loss = _POINTS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "df.csv"
        path.write_text(
            "C,N,D,loss\n" + "".join(f"{6 * n * d},{n},{d},{each}\n" for n, d, each in zip(params, examples, loss, strict=True))
        )
        model = chinchilla.Chinchilla(
            folder,
            param_grid={
                "e": np.linspace(-1, 1.5, 4),
                "a": np.linspace(1, 10, 4),
                "b": np.linspace(1, 10, 4),
                "alpha": np.linspace(0.1, 0.7, 4),
                "beta": np.linspace(0.1, 0.7, 4),
            },
            loss_fn=lambda true, said: log_huber(true, said, delta=DELTA),
            log_level=50,
        )
        started = time.perf_counter()
        try:
            model.fit(parallel=True)
        finally:
            seconds = time.perf_counter() - started
        values = {name: float(getattr(model, name)) for name in ("E", "A", "B", "alpha", "beta")}
    return {"seconds": seconds, "loss": huber_of(values, _POINTS)}


def peer_olmo(file: str) -> dict[str, float]:
    """Runs inside the peers' interpreter."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("olmo_scaling_laws", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    started = time.perf_counter()
    found = module.ChinchillaParametricFit.fit(*_POINTS)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "loss": huber_of(found.fitted_params._asdict(), _POINTS)}


def from_peer(interpreter: Path, name: str, *arguments: str) -> tuple[float, float] | str:
    """(seconds, loss), or why there is none."""
    done = subprocess.run([interpreter, __file__, "--inside", name, *arguments], capture_output=True, text=True)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"ended with {done.returncode}"
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return answer["seconds"], answer["loss"]


def line_of(label: str, seconds: float, loss: float) -> list[str]:
    """A line of the table; a loss that is NaN was not asked for."""
    return [label, f"{seconds:.4g}", "" if np.isnan(loss) else f"{loss:.10f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["run", "table"], default="run")
    parser.add_argument("--peers", type=Path, help="interpreter of an environment that has them")
    parser.add_argument("--olmo-file", help="scaling_laws.py of a checkout of OLMo-core")
    parser.add_argument("--starts", type=int, default=4500)
    parser.add_argument("--csv", type=Path, help="append the figures to this file")
    parser.add_argument("--inside", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        name, *rest = arguments.inside
        print(json.dumps(peer_chinchilla() if name == "chinchilla" else peer_olmo(*rest)))
        return
    if arguments.what == "table":
        last = {row["what"]: row for row in rows_of(arguments.csv or Path(__file__).with_suffix(".csv"))}
        lines = [line_of(name, float(row["seconds"]), float(row["huber_loss"] or "nan")) for name, row in last.items()]
        print(markdown(HEAD, lines))
        return

    rows = [(f"scaling: {what}", seconds, loss) for what, seconds, loss in ours()]
    if arguments.starts:
        rows.append(many_starts(arguments.starts))
    missing = []
    peers = [("chinchilla package, 1,024 starts", ["chinchilla"])]
    peers += [("OLMo-core, 1,024 starts", ["olmo", arguments.olmo_file])] if arguments.olmo_file else []
    for label, command in peers if arguments.peers else []:
        answer = from_peer(arguments.peers, *command)
        if isinstance(answer, str):
            missing.append(f"{label}: {answer}")
        else:
            rows.append((label, *answer))

    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    print(f"240 points, {machine}\n\n{markdown(HEAD, [line_of(*row) for row in rows])}")
    for line in missing:
        print(f"not measured: {line}")
    if arguments.csv:
        new = not arguments.csv.exists()
        with arguments.csv.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(["date", "machine", "what", "seconds", "huber_loss"])
            date = datetime.now(UTC).strftime("%Y-%m-%d")
            writer.writerows(
                [date, machine, label, f"{seconds:.6g}", "" if np.isnan(loss) else f"{loss:.12g}"] for label, seconds, loss in rows
            )


if __name__ == "__main__":
    main()
