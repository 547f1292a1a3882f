"""What the blocks of a stage as one loop save: operations, seconds to lower and to compile, F0 against F7, unrolled against scanned.

    python benchmarks/compile_time.py [--models F0 F7] [--px 32] [--batch 2] [--csv benchmarks/compile_time.csv]

A whole training step (forward, backward, clipping, update) on the backend of the machine that runs it, nothing run, no cache. Small images and
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

    from trainer import DataConfig, Execution, ModelConfig, ScheduleConfig, TrainConfig, data
    from trainer.backend import compiler_options
    from trainer.compiled import Compiler
    from trainer.sharding import Placement
    from trainer.step import Steps

    shape = arguments.px, arguments.px, 3
    card = data.card(
        "declared",
        {"title": "of this size", "train_examples": 1, "validation_examples": 1, "num_classes": 1000, "image_shape": list(shape)},
    )
    config = TrainConfig(DataConfig("declared", card), ModelConfig("nfnet", model), ScheduleConfig(1.0), arguments.batch, 1.0)
    compiler = Compiler(config, Execution(scan=scan), Placement())
    step = Steps(
        compiler.module, compiler.optimizer, config.label_smoothing, config.ema, compiler.placement.gathered, compiler.layout
    )
    kinds = [((arguments.batch, *shape), jnp.float32), ((arguments.batch,), jnp.int32), ((arguments.batch,), jnp.float32)]
    kinds += [((), jnp.float32), ((), jnp.uint32), ((), jnp.uint32)]
    shapes = [jax.ShapeDtypeStruct(*kind) for kind in kinds]
    options = compiler_options()
    clocks = [(time.perf_counter(), time.process_time())]
    lowered = jax.jit(step.whole, donate_argnums=0).lower(compiler.state_shapes, *shapes)
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
