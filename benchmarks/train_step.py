"""A whole training step on the CPU, side by side with the same network in PyTorch + timm.

    python benchmarks/train_step.py --peer PYTHON [--csv benchmarks/train_step.csv] [--threads 2] [--rounds 10]
    python benchmarks/train_step.py table    # what the file says, for docs/speed.md

PYTHON is an interpreter with torch, timm and numpy. Both sides start from the same parameters and see the same batch; the script first shows
that they are the same function (parameter counts, logits), then takes turns: a few steps here, a few there, one side idle while the other
works, and compares losses after the first round (timm clips a gain channel by channel, the released code as a whole, so that later losses drift
apart). A step is forward, backward, adaptive gradient clipping and the update (SGD, Nesterov
momentum, coupled weight decay), as `trainer.program` runs it and as `benchmarks/peers/timm_nfnet.py` does with timm's own parts
(`adaptive_clip_grad`, `channels_last`). Reported: medians and their ratio, torch / here: above 1 is faster than torch.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
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
parser.add_argument("--rounds", type=int, default=10)
parser.add_argument("--steps", type=int, default=5, help="steps of each side a round")
parser.add_argument("--only", help="one of the networks")
arguments = parser.parse_args()
os.environ["NPROC"] = str(arguments.threads)  # before JAX starts
os.environ["JAX_PLATFORMS"] = "cpu"

PX, BATCH, CLASSES = 64, 64, 100
LEARNING_RATE, WEIGHT_DECAY = 0.1, 2e-5
NETWORKS = {
    "282k": {"width": [32, 64, 96, 96], "depth": [1, 2, 3, 2], "group_width": [8, 8, 16, 16]},
    "1.09M": {"width": [64, 128, 256, 256], "depth": [1, 2, 3, 1], "group_width": [8, 8, 16, 16]},
}


def compare(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Both sides of one network: seconds of every step, and how far their numbers are apart."""
    import jax

    from trainer import DataConfig, Execution, ModelConfig, ScheduleConfig, TrainConfig
    from trainer.data import DataCard
    from trainer.models.nfnet import resolve
    from trainer.optimizers.sgd_agc import SgdAgc
    from trainer.program import program_for

    card = DataCard("random", "0" * 16, CLASSES, (PX, PX, 3), BATCH, BATCH)
    config = TrainConfig(
        DataConfig("random", card),
        ModelConfig("nfnet", name, options),
        ScheduleConfig(1.0),
        batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        optimizer=SgdAgc(weight_decay=WEIGHT_DECAY),
    )
    program = program_for(config, Execution(scan=False))
    state = program.initial_state(config)
    state = state._replace(  # skip gains start at 0, which would leave half of the network without a gradient
        params=jax.tree_util.tree_map_with_path(
            lambda path, leaf: leaf + 0.5 if path[-1].key == "skip_gain" else leaf, state.params
        )
    )
    rng = np.random.default_rng(0)
    images = rng.normal(size=(BATCH, PX, PX, 3)).astype(np.float32)
    labels = rng.integers(0, CLASSES, BATCH).astype(np.int32)
    batch = program.place_batch(images, labels, np.ones(BATCH, np.float32))
    logits = np.asarray(jax.jit(program.module.apply)({"params": state.params}, images))

    peer, variant = Peer(arguments.peer, "timm_nfnet.py"), resolve(name, options)
    with tempfile.TemporaryDirectory() as folder:
        flat = jax.tree_util.tree_leaves_with_path(state.params)
        arrays = {"/".join(str(part.key) for part in path): np.asarray(leaf) for path, leaf in flat}
        weights = Path(folder) / "weights.npz"
        np.savez(weights, images=images, labels=labels, **arrays)
        model = options | {"stem": variant.stem_convolutions, "num_classes": CLASSES, "channels": 3}
        theirs = peer.ask(model=model, weights=str(weights), threads=arguments.threads)
    ours_seconds, peer_seconds, losses, peer_losses = [], [], [], []
    for _ in range(arguments.rounds + 1):
        for _ in range(arguments.steps):
            started = time.perf_counter()
            state, metrics = program.train_step(state, *batch, np.float32(LEARNING_RATE), np.uint32(0), np.uint32(0))
            losses.append(float(getattr(metrics, "loss", metrics)))
            ours_seconds.append(time.perf_counter() - started)
        answer = peer.ask(steps=arguments.steps)
        peer_seconds += answer["seconds"]
        peer_losses += answer["losses"]
    assert peer.process.stdin is not None
    peer.process.stdin.close()
    peer.process.wait()
    warm = arguments.steps  # the first round is not counted
    return {
        "network": name,
        "params": sum(array.size for array in arrays.values()),
        "peer_params": theirs["params"],
        "peer": f"torch {theirs['torch']}",
        "threads": arguments.threads,
        "milliseconds": 1e3 * median(ours_seconds[warm:]),
        "peer_milliseconds": 1e3 * median(peer_seconds[warm:]),
        "ratio": median(peer_seconds[warm:]) / median(ours_seconds[warm:]),
        "best_milliseconds": 1e3 * min(ours_seconds[warm:]),
        "peer_best_milliseconds": 1e3 * min(peer_seconds[warm:]),
        "logits_apart": float(np.abs(logits - np.array(theirs["logits"])).max()),
        "loss_apart": abs(losses[warm - 1] - peer_losses[warm - 1]),
        "compile_seconds": program.compile_seconds,
        "load": os.getloadavg()[0],
    }


def table(path: Path) -> str:
    """A row a measurement, in the order of the file."""
    head = ["date", "network", "threads", "here, ms", "torch, ms", "ratio", "load"]
    rows = [
        [
            row["date"],
            row["network"],
            row["threads"],
            f"{float(row['milliseconds']):.0f}",
            f"{float(row['peer_milliseconds']):.0f}",
            f"{float(row['ratio']):.2f}",
            f"{float(row['load']):.1f}",
        ]
        for row in rows_of(path)
    ]
    return markdown(head, rows)


def main() -> None:
    if arguments.what == "table":
        print(table(arguments.csv or Path(__file__).with_suffix(".csv")))
        return
    if arguments.peer is None:
        parser.error("--peer is needed: an interpreter with torch and timm")
    machine = f"{cpu_model()}, {os.cpu_count()} cores"
    print(
        f"{machine}; {PX} px, batch {BATCH}, float32, {arguments.threads} threads, {arguments.rounds} rounds of {arguments.steps} steps each"
    )
    rows = [compare(name, options) for name, options in NETWORKS.items() if arguments.only in (None, name)]
    for row in rows:
        print(
            f"{row['network']:>6}: {row['params']:,} parameters (peer {row['peer_params']:,}), logits apart {row['logits_apart']:.1e}, "
            f"loss after {arguments.steps} steps {row['loss_apart']:.1e}\n"
            f"        here {row['milliseconds']:.1f} ms (best {row['best_milliseconds']:.1f}), {row['peer']} {row['peer_milliseconds']:.1f} ms "
            f"(best {row['peer_best_milliseconds']:.1f}): ratio {row['ratio']:.2f}; compiled in {row['compile_seconds']:.1f} s; load {row['load']:.1f}"
        )
    if arguments.csv:
        from importlib.metadata import version

        from orchestrator.provenance import code_version

        new = not arguments.csv.exists()
        with arguments.csv.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(["date", "code_version", "machine", "jax", *rows[0]])
            stamp = [datetime.now(UTC).strftime("%Y-%m-%d"), code_version(), machine, version("jax")]
            writer.writerows(
                [*stamp, *(f"{value:.4g}" if isinstance(value, float) else value for value in row.values())] for row in rows
            )


if __name__ == "__main__":
    main()
