"""What the blocks of a stage as one loop save: operations, seconds to lower and to compile, F0 against F7, unrolled against scanned.

    python benchmarks/compile_time.py [--models F0 F7] [--px 32] [--batch 2] [--csv benchmarks/compile_time.csv]

Loss and gradients of the whole network on the backend of the machine that runs it, no optimiser, nothing run, no cache. Small images and
batches: compile time hardly depends on them. Each case is a process of its own, so that none profits from another.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from main_job import cpu_model

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--models", nargs="+", default=["F0", "F7"])
parser.add_argument("--px", type=int, default=32)
parser.add_argument("--batch", type=int, default=2)
parser.add_argument("--csv", type=Path, help="append the figures to this file")
parser.add_argument("--case", nargs=2, metavar=("MODEL", "SCAN"), help=argparse.SUPPRESS)
arguments = parser.parse_args()


def measure(model: str, scan: bool) -> dict[str, float]:
    """Operations of the lowered program; CPU-seconds and wall seconds of each step towards a compiled one."""
    import jax
    import jax.numpy as jnp

    from trainer.backend import compiler_options
    from trainer.models.nfnet import build

    module = build(model, num_classes=1000, scan=scan)
    images = jax.ShapeDtypeStruct((arguments.batch, arguments.px, arguments.px, 3), jnp.float32)
    params = jax.eval_shape(module.init, jax.random.key(0), images)["params"]

    def loss(params, images):  # noqa: ANN001
        return jnp.mean(jnp.square(module.apply({"params": params}, images, train=True)))

    options = compiler_options()
    clocks = [(time.perf_counter(), time.process_time())]
    lowered = jax.jit(jax.grad(loss)).lower(params, images)
    clocks.append((time.perf_counter(), time.process_time()))
    operations = sum(" = " in line for line in lowered.as_text().splitlines())
    clocks.append((time.perf_counter(), time.process_time()))
    lowered.compile(compiler_options=options)
    clocks.append((time.perf_counter(), time.process_time()))
    return {
        "operations": operations,
        "lower_seconds": clocks[1][0] - clocks[0][0],
        "compile_seconds": clocks[3][0] - clocks[2][0],
        "lower_cpu_seconds": clocks[1][1] - clocks[0][1],
        "compile_cpu_seconds": clocks[3][1] - clocks[2][1],
    }


def main() -> None:
    if arguments.case:
        print(json.dumps(measure(arguments.case[0], arguments.case[1] == "True")))
        return
    machine, rows = cpu_model(), []
    for model in arguments.models:
        for scan in (False, True):
            command = [
                sys.executable,
                __file__,
                "--px",
                str(arguments.px),
                "--batch",
                str(arguments.batch),
                "--case",
                model,
                str(scan),
            ]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
            rows.append({"model": model, "blocks": "scanned" if scan else "unrolled"} | found)
            print(
                f"{model:4} {rows[-1]['blocks']:9} {found['operations']:7,} operations, lowered in {found['lower_seconds']:6.1f} s, "
                f"compiled in {found['compile_seconds']:6.1f} s ({found['compile_cpu_seconds']:.1f} CPU-s)",
                flush=True,
            )
    if arguments.csv:
        new = not arguments.csv.exists()
        with arguments.csv.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(["date", "machine", "px", "batch", *rows[0]])
            stamp = [datetime.now(UTC).strftime("%Y-%m-%d"), machine, arguments.px, arguments.batch]
            writer.writerows(
                [*stamp, *(f"{value:.4g}" if isinstance(value, float) else value for value in row.values())] for row in rows
            )


if __name__ == "__main__":
    main()
