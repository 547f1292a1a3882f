"""What a training step costs, for each family and for each optimiser, side by side with timm on this CPU; and what SAM adds to one.

    python benchmarks/families.py --peer PYTHON [--csv benchmarks/families.csv] [--rounds 5]
    python benchmarks/families.py table    # what the file says, for docs/recipes.md

PYTHON is an interpreter with torch and timm. Each row takes turns: a few steps here, a few there, one side idle while the other works. Both sides have as
many parameters, random images and labels, float32. The families are compared with the optimiser of their recipe, the optimisers on one small ViT.
The first round of a side is not counted. Reported: medians and their ratio, timm / here: above 1 is faster than timm. A row of SAM has no peer: its ratio is
its step over the step without, at most 1.4 by intent.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from csv_table import markdown, rows_of
from main_job import cpu_model
from peer_process import Peer

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("what", nargs="?", choices=["run", "table"], default="run")
parser.add_argument("--peer", help="an interpreter with torch and timm")
parser.add_argument("--csv", type=Path, help="append the figures to this file")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--steps", type=int, default=2, help="steps of each side a round")
parser.add_argument("--only", help="rows whose name begins so")
arguments = parser.parse_args()
os.environ["NPROC"] = str(arguments.threads)  # before JAX starts
os.environ["JAX_PLATFORMS"] = "cpu"

CLASSES = 100


@dataclass(frozen=True)
class Row:
    """A measurement. model: (family, name, options) here; peer: timm's name and arguments, None for SAM, which is held against itself."""

    name: str
    model: tuple[str, str, dict[str, Any]]
    optimizer: str
    px: int
    batch: int
    peer: dict[str, Any] | None
    sam: bool = False
    options: dict[str, Any] = field(default_factory=dict)


SMALL = "vit", "small", {"width": 192, "depth": 6, "heads": 3, "patch": 4, "pool": "token", "gelu": "exact"}
SMALL_PEER = {
    "name": "vit_tiny_patch16_224", "img_size": 32, "patch_size": 4, "embed_dim": 192, "depth": 6, "num_heads": 3
}  # fmt: skip
ROWS = [
    Row("NFNet-F0", ("nfnet", "F0", {}), "sgd-agc", 96, 8, {"name": "dm_nfnet_f0"}),
    Row("ViT-S/16", ("vit", "ViT-S/16", {"gelu": "exact"}), "adamw", 96, 8, {"name": "vit_small_patch16_224", "img_size": 96}),
    Row("ResNet-50", ("resnet", "ResNet-50", {}), "sgd", 96, 8, {"name": "resnet50"}),
    *(Row(f"small ViT, {name}", SMALL, name, 32, 64, SMALL_PEER) for name in ("sgd", "sgd-agc", "adamw", "lamb", "muon")),
    Row("small ViT, adamw + SAM", SMALL, "adamw", 32, 64, None, sam=True),
]


class Ours:
    """This side: a program of the trainer, and its state."""

    def __init__(self, row: Row, *, sam: bool = False) -> None:
        import jax

        from trainer import DataConfig, ModelConfig, SamConfig, ScheduleConfig, TrainConfig
        from trainer.data import DataCard
        from trainer.optimizers import optimizer_from
        from trainer.program import program_for

        card = DataCard("random", "0" * 16, CLASSES, (row.px, row.px, 3), row.batch, row.batch)
        config = TrainConfig(
            DataConfig("random", card),
            ModelConfig(*row.model),
            ScheduleConfig(1.0),
            batch_size=row.batch,
            learning_rate=1e-3,
            optimizer=optimizer_from({"name": row.optimizer, "weight_decay": 0.01}),
            sam=SamConfig() if sam else None,
        )
        self.program = program_for(config)
        self.state = self.program.initial_state(config)
        self.params = sum(leaf.size for leaf in jax.tree.leaves(self.state.params))
        rng = np.random.default_rng(0)
        images = rng.normal(size=(row.batch, row.px, row.px, 3)).astype(np.float32)
        labels = rng.integers(0, CLASSES, row.batch).astype(np.int32)
        self.batch = self.program.place_batch(images, labels, np.ones(row.batch, np.float32))

    def seconds(self, steps: int) -> list[float]:
        found = []
        for _ in range(steps):
            started = time.perf_counter()
            self.state, metrics = self.program.train_step(self.state, *self.batch, np.float32(1e-3), np.uint32(0), np.uint32(1))
            metrics.loss.block_until_ready()
            found.append(time.perf_counter() - started)
        return found


def measure(row: Row, peer: Peer) -> dict[str, Any]:
    """Seconds of a step on both sides, and what belongs to them."""
    ours = Ours(row, sam=row.sam)
    if row.peer is None:
        plain = Ours(row)
        other, label, params = plain.seconds, "here, without SAM", plain.params
    else:
        made = peer.ask(
            model=row.peer, optimizer=row.optimizer, px=row.px, batch=row.batch, classes=CLASSES, threads=arguments.threads
        )
        label, params = made["peer"], made["params"]

        def other(steps: int) -> list[float]:
            return peer.ask(steps=steps)["seconds"]

    here, there = [], []
    for turn in range(arguments.rounds + 1):
        mine, theirs = ours.seconds(arguments.steps), other(arguments.steps)
        if turn:
            here += mine
            there += theirs
    return {
        "row": row.name,
        "px": row.px,
        "batch": row.batch,
        "params": ours.params,
        "peer_params": params,
        "milliseconds": 1e3 * median(here),
        "peer_milliseconds": 1e3 * median(there),
        "ratio": median(there) / median(here) if row.peer else median(here) / median(there),
        "peer": label,
        "threads": arguments.threads,
        "load": os.getloadavg()[0],
    }


def table(path: Path) -> str:
    """The newest measurement of each row."""
    newest = {row["row"]: row for row in rows_of(path)}
    head = ["step", "px, batch", "parameters here, there", "here, ms", "there, ms", "ratio", "load"]
    return markdown(
        head,
        [
            [
                row["row"],
                f"{row['px']}, {row['batch']}",
                f"{int(row['params']):,}, {int(row['peer_params']):,}",
                f"{float(row['milliseconds']):.0f}",
                f"{float(row['peer_milliseconds']):.0f}",
                f"{float(row['ratio']):.2f}",
                f"{float(row['load']):.1f}",
            ]
            for row in newest.values()
        ],
    )


def main() -> None:
    if arguments.what == "table":
        print(table(arguments.csv or Path(__file__).with_suffix(".csv")))
        return
    if arguments.peer is None:
        parser.error("--peer is needed: an interpreter with torch and timm")
    from importlib.metadata import version

    from orchestrator.provenance import code_version

    machine, peer = f"{cpu_model()}, {os.cpu_count()} cores", Peer(arguments.peer, "timm_families.py")
    print(f"{machine}; float32, {arguments.threads} threads, {arguments.rounds} rounds of {arguments.steps} steps each")
    for row in ROWS:
        if not row.name.startswith(arguments.only or ""):
            continue
        found = measure(row, peer)
        print(
            f"{row.name:>24}: {found['params']:,} parameters (peer {found['peer_params']:,}); here {found['milliseconds']:.0f} ms, "
            f"{found['peer']} {found['peer_milliseconds']:.0f} ms: ratio {found['ratio']:.2f}; load {found['load']:.1f}",
            flush=True,
        )
        if arguments.csv:
            new = not arguments.csv.exists()
            with arguments.csv.open("a", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                if new:
                    writer.writerow(["date", "code_version", "machine", "jax", *found])
                stamp = [datetime.now(UTC).strftime("%Y-%m-%d"), code_version(), machine, version("jax")]
                writer.writerow([*stamp, *(f"{value:.5g}" if isinstance(value, float) else value for value in found.values())])


if __name__ == "__main__":
    main()
