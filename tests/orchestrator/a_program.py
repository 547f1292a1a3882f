"""A training program as a user has one: a two-layer network in NumPy, with checkpoints. TROUBLE says what it does wrong, SLOW how long a step takes."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np

from scaling.program import report

BATCH = 64
TROUBLE = os.environ.get("TROUBLE", "")


def main(arguments):
    parser = argparse.ArgumentParser()
    for name, kind in (("width", int), ("epochs", int), ("lr", float), ("seed", int)):
        parser.add_argument(f"--{name}", type=kind)
    given = parser.parse_args(arguments)
    draw = np.random.default_rng(0)
    inputs = draw.uniform(-1, 1, (768, 4))
    targets = np.sin(3 * inputs).sum(1, keepdims=True) * 0.5
    held_out, inputs = (inputs[:128], targets[:128]), inputs[128:]
    targets = targets[128:]
    start = np.random.default_rng(given.seed)
    weights = [start.normal(0, 0.5, (4, given.width)), start.normal(0, given.width**-0.5, (given.width, 1))]
    per_epoch = len(inputs) // BATCH
    total, step = given.epochs * per_epoch, 0
    if TROUBLE != "damaged" and (path := os.environ.get("SCALING_CHECKPOINT")):
        saved = np.load(path)
        weights, step = [saved["first"], saved["second"]], int(saved["step"])
    asked = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(True))

    def save():
        path = os.path.join(os.environ.get("SCALING_RUN", "."), f"{step}.npz")
        np.savez(f"{path}.part.npz", first=weights[0], second=weights[1], step=step)
        os.replace(f"{path}.part.npz", path)
        if TROUBLE == "no checkpoint":
            os.remove(path)
        report(step=step, checkpoint=os.path.basename(path) if TROUBLE == "relative" else path)

    def loss(inputs, targets):
        return float(((np.tanh(inputs @ weights[0]) @ weights[1] - targets) ** 2).mean())

    if TROUBLE == "again and again" and int(os.environ["SCALING_ATTEMPT"]) < 5:
        sys.exit(75)
    if TROUBLE == "never begins":
        time.sleep(600)
    if TROUBLE == "workers":
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
    report(step=step, steps=total)
    print("it began at step", step)
    while step < total:
        rows = np.random.default_rng([given.seed, step // per_epoch]).permutation(len(inputs))
        rows = rows[(step % per_epoch) * BATCH :][:BATCH]
        hidden = np.tanh(inputs[rows] @ weights[0])
        error = 2 * (hidden @ weights[1] - targets[rows]) / BATCH
        back = (error @ weights[1].T) * (1 - hidden**2)
        rate = given.lr * 0.5 * (1 + np.cos(np.pi * step / total))
        weights[0] -= rate * inputs[rows].T @ back
        weights[1] -= rate * hidden.T @ error
        step += 1
        time.sleep(float(os.environ.get("SLOW", "0")))
        trouble(step, total)
        if step % per_epoch == 0:
            report(step=step, examples_seen=step * BATCH, train_loss=float((error**2).mean()))
            if (step // per_epoch) % 4 == 0:
                save()
        if asked:
            save()
            sys.exit(0)
    report(finished=True, val_loss=loss(*held_out), rmse=loss(*held_out) ** 0.5)
    if TROUBLE == "finished twice":
        report(finished=True, val_loss=7.0, rmse=7.0)
    if TROUBLE == "nan after the end":
        report(step=0, val_loss=float("nan"))
    if TROUBLE == "long after the end":
        with open(os.environ["SCALING_EVENTS"], "a") as events:
            events.write("x" * 10_000_000)
    if TROUBLE == "stays":
        time.sleep(600)


def trouble(step, total):
    """What goes wrong halfway."""
    if step != total // 2 or not TROUBLE:
        return
    first = os.environ["SCALING_ATTEMPT"] == "1"
    if TROUBLE == "exit":
        print("line 1\n" * 30 + "the disk of my own is full")
        sys.exit(3)
    if TROUBLE == "damaged" and os.environ["SCALING_ATTEMPT"] != "3":
        os.kill(os.getpid(), signal.SIGKILL)
    if TROUBLE == "again" and first:
        sys.exit(75)
    if TROUBLE == "nothing":
        sys.exit(0)
    if TROUBLE == "nan":
        report(step=step, train_loss=float("nan"))
    if TROUBLE == "hang":
        time.sleep(600)
    if TROUBLE == "backwards":
        report(step=step - 1)
        report(step=0)
    if TROUBLE == "column":
        report(step=step, params=12)
    if TROUBLE == "no metric":
        report(step=total, finished=True)
        sys.exit(0)
    if TROUBLE in ("not json", "long"):
        with open(os.environ["SCALING_EVENTS"], "a") as events:
            events.write("loss is 2.3\n" if TROUBLE == "not json" else json.dumps({"text": "x" * 10_000_000}) + "\n")
        time.sleep(5)


if __name__ == "__main__":
    main(sys.argv[1:])
