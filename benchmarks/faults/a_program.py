"""The program that trains the runs of the family `program`: a two-layer network in NumPy, as a user has one. A copy of it lies in the world's folder.

Its checkpoint is one array, and so has the same bytes whenever the state has the same bits. A step takes a hundredth of a second.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time

import numpy as np

from scaling.program import report

BATCH, STEP_SECONDS, SAVE_STEPS = 64, 0.01, 25


def main(arguments: list[str]) -> None:
    """Train one run; go on from SCALING_CHECKPOINT."""
    parser = argparse.ArgumentParser()
    for name, kind in (("width", int), ("epochs", float), ("lr", float), ("seed", int)):
        parser.add_argument(f"--{name}", type=kind)
    given = parser.parse_args(arguments)
    draw = np.random.default_rng(0)
    inputs = draw.uniform(-1, 1, (768, 4))
    targets = np.sin(3 * inputs).sum(1, keepdims=True) * 0.5
    held_out, inputs, targets = (inputs[:128], targets[:128]), inputs[128:], targets[128:]
    start = np.random.default_rng(given.seed)
    weights = [start.normal(0, 0.5, (4, given.width)), start.normal(0, given.width**-0.5, (given.width, 1))]
    per_epoch = len(inputs) // BATCH
    total, step = round(given.epochs * per_epoch), 0
    if path := os.environ.get("SCALING_CHECKPOINT"):
        saved = np.load(path)
        step, weights = int(saved[0]), [saved[1 : 1 + 4 * given.width].reshape(4, -1), saved[1 + 4 * given.width :].reshape(-1, 1)]
    asked = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(True))

    def save() -> None:
        path = os.path.join(os.environ["SCALING_RUN"], f"{step}.npy")
        draft = f"{path}.{os.getpid()}"
        with open(draft, "wb") as file:
            np.save(file, np.concatenate([[step], *(each.ravel() for each in weights)]))
        os.replace(draft, path)
        report(step=step, checkpoint=path)

    def loss(inputs: np.ndarray, targets: np.ndarray) -> float:
        return float(((np.tanh(inputs @ weights[0]) @ weights[1] - targets) ** 2).mean())

    report(step=step, steps=total)
    while step < total:
        rows = np.random.default_rng([given.seed, step // per_epoch]).permutation(len(inputs))
        rows = rows[(step % per_epoch) * BATCH :][:BATCH]
        hidden = np.tanh(inputs[rows] @ weights[0])
        error = 2 * (hidden @ weights[1] - targets[rows]) / BATCH
        back = (error @ weights[1].T) * (1 - hidden**2)
        weights = [weights[0] - given.lr * inputs[rows].T @ back, weights[1] - given.lr * hidden.T @ error]
        step += 1
        time.sleep(STEP_SECONDS)
        if step % per_epoch == 0:
            report(step=step, examples_seen=step * BATCH, train_loss=float((error**2).mean()))
        if asked or step % SAVE_STEPS == 0 or step == total:
            save()
        if asked and step < total:
            sys.exit(0)
    report(finished=True, val_loss=loss(*held_out), rmse=loss(*held_out) ** 0.5)


if __name__ == "__main__":
    main(sys.argv[1:])
