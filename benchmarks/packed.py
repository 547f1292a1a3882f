"""Runs packed into one program against the same runs one after the other: speed of each, and how far apart they end.

    python benchmarks/packed.py [--csv benchmarks/packed.csv] [--only nano-F0] [--stem small] [--threads 1] [--runs 2] [--form looped]
    python benchmarks/packed.py table    # what the file says, for docs/packing.md

For each network, stem and number of threads: K runs that differ in learning rate and seed are trained by `trainer.train_many`, and one by one by
`trainer.train`, for `--steps` steps each, in turns: a pack, the single runs, a pack, … Reported is what a step of a run takes (of a packed one, its
share) from the first step to the last, in milliseconds of processor time and of wall time, each the least of `--rounds` rounds; the ratio single /
packed of both (above 1: packing pays); and the largest difference of the held-out loss between a packed run and the same run alone.
Where other programs use the machine, processor time is the one to look at. Compilation is not in it; its seconds are a column.

Both forms of a packed step are measured: `looped`, which a CPU is given, and `vectorised`, which GPUs and TPUs are given (`trainer.packed`). Each
number of threads is a process of its own, since JAX's threads are fixed when it starts. On a GPU or TPU the same script measures there: it has
not been run on one.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from csv_table import markdown, rows_of
from main_job import cpu_model

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("what", nargs="?", choices=["run", "table"], default="run")
parser.add_argument("--csv", type=Path, help="append the figures to this file")
parser.add_argument("--only", help="one of the networks")
parser.add_argument("--stem", choices=("small", "medium"), help="of digits, or of Fashion-MNIST")
parser.add_argument("--threads", type=int, choices=(1, 2), help="one of the numbers of threads")
parser.add_argument("--runs", type=int, help="one of the numbers of runs at once")
parser.add_argument("--form", choices=("looped", "vectorised"))
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument(
    "--steps", type=int, default=100, help="of a run; short ones log each of their steps, from 100 on every second one"
)
arguments = parser.parse_args()

NANO = ("nano-F0", "nano-F1", "nano-F3")
TINY = {"width": [8], "depth": [2], "group_width": 4, "stem": "small"}
NETWORKS = [("tiny", "small"), *[(network, stem) for stem in ("small", "medium") for network in NANO]]
"""With the stem for 8 px (digits) and the one for 28 px (noise of Fashion-MNIST's shape)."""
BATCH, EXAMPLES, HELD_OUT = 64, 4096, 256


def dataset(options: dict[str, Any]) -> Any:
    """Noise of Fashion-MNIST's shape, with labels that hang on it a little: speed does not depend on what is in the images."""
    import numpy as np

    from trainer.data import ArrayExamples, DataCard, Dataset

    labels = np.arange(EXAMPLES + HELD_OUT) % 10
    images = np.random.default_rng(0).integers(0, 156, (len(labels), 28, 28, 1)) + 10 * labels[:, None, None, None]
    parts = (slice(0, EXAMPLES), slice(EXAMPLES, None))
    train, held_out = (
        ArrayExamples(images[part].astype(np.uint8), labels[part], full_scale=255.0, mean=0.5, std=0.25) for part in parts
    )
    return Dataset(DataCard("noise", "0" * 16, 10, (28, 28, 1), EXAMPLES, HELD_OUT), train, held_out)


def configs(network: str, stem: str, runs: int) -> list[Any]:
    """Runs of `--steps` steps: learning rates on a factor-2 grid, a new seed for every fourth."""
    from trainer import DataConfig, ModelConfig, ScheduleConfig, TrainConfig, data

    model = ModelConfig("nfnet", network, TINY if network == "tiny" else {"stem": stem})
    read = DataConfig("digits", data.card("digits", {}))
    if stem == "medium":
        options = {"source": "benchmarks.packed:dataset"}
        read = DataConfig("source", dataset(options).card, options)
    schedule = ScheduleConfig(arguments.steps * BATCH / read.card.train_examples)
    return [TrainConfig(read, model, schedule, BATCH, 0.4 / 2 ** (number % 4), seed=number // 4) for number in range(runs)]


class Stopwatch:
    """Processor and wall time between the moment when the last of `runs` runs says `started` and the first report after the last step."""

    def __init__(self, runs: int) -> None:
        self._starting, self._steps, self._since = runs, arguments.steps, (0.0, 0.0)
        self.seconds: tuple[float, float] | None = None
        self.compile_seconds = 0.0

    def hear(self, event: Any) -> None:
        from trainer.events import Compiled, Progress, Started

        match event:
            case Compiled(seconds=seconds):
                self.compile_seconds = seconds
            case Started():
                self._starting -= 1
                self._since = time.process_time(), time.perf_counter()
            case Progress(step=self._steps) if not self._starting and self.seconds is None:
                self.seconds = time.process_time() - self._since[0], time.perf_counter() - self._since[1]


def measure(network: str, stem: str, threads: int, runs: int, form: str) -> dict[str, Any]:
    """One line of the table."""
    import trainer.packed
    from trainer import train, train_many

    trainer.packed.default_form = lambda: form
    many = configs(network, stem, runs)
    times: dict[str, list[tuple[float, float]]] = {"packed": [], "single": []}
    compiled: dict[str, float] = {}
    for number in range(arguments.rounds + 1):
        with tempfile.TemporaryDirectory() as home:
            pack = Stopwatch(runs)
            folders = [f"{home}/packed-{number}" for number in range(runs)]
            together = train_many(many, directories=folders, on_event=lambda _, event, pack=pack: pack.hear(event))
            watches, alone = [Stopwatch(1) for _ in many], []
            for index, (config, watch) in enumerate(zip(many, watches, strict=True)):
                alone.append(train(config, directory=f"{home}/{index}", on_event=watch.hear))
        if number == 0:  # it has compiled
            compiled = {"packed": pack.compile_seconds, "single": watches[0].compile_seconds}
            continue
        for name, group in (("packed", [pack]), ("single", watches)):
            each = [watch.seconds for watch in group if watch.seconds is not None]
            cpu, wall = (1e3 * sum(kind) / runs / arguments.steps for kind in zip(*each, strict=True))
            times[name].append((cpu, wall))
    least = {name: [min(kind) for kind in zip(*rounds, strict=True)] for name, rounds in times.items()}
    differences = [abs(one.val_loss - other.val_loss) for one, other in zip(together, alone, strict=True)]
    return {
        "network": network,
        "stem": stem,
        "threads": threads,
        "form": form,
        "runs": runs,
        "steps": arguments.steps,
        "packed_cpu_ms": least["packed"][0],
        "single_cpu_ms": least["single"][0],
        "cpu_ratio": least["single"][0] / least["packed"][0],
        "packed_ms": least["packed"][1],
        "single_ms": least["single"][1],
        "ratio": least["single"][1] / least["packed"][1],
        "packed_images_per_second": 1e3 * BATCH / least["packed"][1],
        "single_images_per_second": 1e3 * BATCH / least["single"][1],
        "packed_compile_seconds": compiled["packed"],
        "single_compile_seconds": compiled["single"],
        "largest_val_loss_difference": max(differences),
        "load": os.getloadavg()[0],
    }


def write(row: dict[str, Any]) -> None:
    print(
        f"{row['network']:>8} {row['stem']:<6} {row['threads']} threads {row['form']:<10} K={row['runs']}: a step and run packed {row['packed_cpu_ms']:.2f} ms "
        f"of processor time, alone {row['single_cpu_ms']:.2f}: ratio {row['cpu_ratio']:.2f} (wall time {row['ratio']:.2f}); compiled in "
        f"{row['packed_compile_seconds']:.0f} s, losses apart {row['largest_val_loss_difference']:.1e}; load {row['load']:.1f}",
        flush=True,
    )
    if arguments.csv is None:
        return
    from orchestrator.provenance import code_version

    new = not arguments.csv.exists()
    stamp = [datetime.now(UTC).strftime("%Y-%m-%d"), code_version(), f"{cpu_model()}, {os.cpu_count()} cores", version("jax")]
    with arguments.csv.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(["date", "code_version", "machine", "jax", *row])
        writer.writerow([*stamp, *(f"{value:.4g}" if isinstance(value, float) else value for value in row.values())])


def table(path: Path) -> str:
    """A row a measurement: by network, threads, form, steps and runs at once."""
    head = ["network", "stem", "threads", "steps a run", "K", "form", "processor ms a step and run: packed / alone"]
    head += ["ratio", "wall-time ratio", "losses apart", "load"]

    def place(row: dict[str, str]) -> tuple[Any, ...]:
        network = NETWORKS.index((row["network"], row["stem"]))
        return network, int(row["threads"]), row["form"], int(row["steps"]), int(row["runs"])

    rows = [
        [
            *(row[name] for name in ("network", "stem", "threads", "steps", "runs", "form")),
            f"{float(row['packed_cpu_ms']):.2f} / {float(row['single_cpu_ms']):.2f}",
            f"{float(row['cpu_ratio']):.2f}",
            f"{float(row['ratio']):.2f}",
            f"{float(row['largest_val_loss_difference']):.0e}",
            f"{float(row['load']):.0f}",
        ]
        for row in sorted(rows_of(path), key=place)
    ]
    return markdown(head, rows)


def main() -> None:
    if arguments.what == "table":
        print(table(arguments.csv or Path(__file__).with_suffix(".csv")))
        return
    if arguments.threads is None:
        for threads in (1, 2):
            environment = os.environ | {"NPROC": str(threads)}
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--threads", str(threads)], env=environment, check=True)
        return
    os.environ["NPROC"] = str(arguments.threads)  # before JAX starts
    sys.path.append(str(Path(__file__).parent.parent))  # the data set is imported by its name
    asked = (arguments.only, arguments.stem, arguments.form, arguments.runs)
    for network, stem in NETWORKS:
        for form, runs in (("looped", 2), ("looped", 4), ("looped", 8), ("vectorised", 4)):
            if all(want in (None, given) for want, given in zip(asked, (network, stem, form, runs), strict=True)):
                write(measure(network, stem, arguments.threads, runs, form))


if __name__ == "__main__":
    main()
