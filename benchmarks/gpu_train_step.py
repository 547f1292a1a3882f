"""Training NFNets on one accelerator in bfloat16, side by side with timm: images a second, MFU, memory.

    python benchmarks/gpu_train_step.py --peer PYTHON [--models F0 F1 F3] [--px 224] [--batch 128] [--csv benchmarks/gpu_train_step.csv]
    python benchmarks/gpu_train_step.py --smoke          # the same path at toy size on a CPU, without a peer: does it run?

Here: bfloat16 compute, float32 parameters, the step of `trainer.program`. Peer: timm's dm_nfnet models with automatic mixed precision in
bfloat16, the faster of `channels_last` and contiguous, `torch.compile`, timm's adaptive gradient clipping, SGD with Nesterov momentum.
Grouped 3×3 convolutions are first timed in each form that `trainer.models.nfnet.convolution.FORMS` knows, at the shapes of each stage, forward and backward,
so that the form which an accelerator is given can be chosen by measurement. MFU is 6 × MACs × images a second / peak, dense bfloat16.

Not run on a GPU yet: written without one at hand.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scaling.accelerators import accelerator_of_device
from trainer import DataConfig, ModelConfig, NumericsConfig, ScheduleConfig, TrainConfig
from trainer.data import DataCard
from trainer.models import family
from trainer.models.nfnet import resolve
from trainer.models.nfnet.convolution import FORMS
from trainer.optimizers.sgd_agc import SgdAgc
from trainer.program import program_for

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--peer", help="an interpreter with torch and timm; without one, only this side is timed")
parser.add_argument("--models", nargs="+", default=["F0", "F1", "F3"])
parser.add_argument("--px", type=int, default=224)
parser.add_argument("--batch", type=int, default=128)
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--csv", type=Path, help="append the figures to this file")
parser.add_argument("--smoke", action="store_true", help="toy size")
arguments = parser.parse_args()
if arguments.smoke:
    arguments.models, arguments.px, arguments.batch, arguments.steps = ["nano-F0"], 16, 4, 2
CLASSES = 1000


def peak_flops() -> float | None:
    """Of this device, dense bfloat16; None for one that `scaling.accelerators` does not list."""
    kind = jax.devices()[0].device_kind
    entry = accelerator_of_device(kind)
    return entry.peak_flops_per_device if entry else None


def grouped_forms(model: str) -> list[tuple[int, str, float]]:
    """(stage, form, milliseconds forward and backward) of the 3×3 convolution of each stage's later blocks; the fastest is the one to use."""
    variant, rows = resolve(model, {}), []
    side = arguments.px
    for _, stride in variant.stem_convolutions:
        side = -(-side // stride)
    for stage, stride in enumerate(variant.strides):
        side = -(-side // stride)
        groups, channels = variant.groups_and_bottleneck(stage)
        x = jnp.ones((arguments.batch, side, side, channels), jnp.bfloat16)
        kernel = jnp.ones((3, 3, channels // groups, channels), jnp.bfloat16)
        for name, form in FORMS.items():

            def both(x, kernel, form=form, groups=groups):  # noqa: ANN001
                y, backward = jax.vjp(lambda x, kernel: form(x, kernel, stride=1, groups=groups), x, kernel)
                return backward(y)

            compiled = jax.jit(both).lower(x, kernel).compile()
            rows.append((stage + 1, name, 1e3 * seconds(lambda c=compiled, x=x, k=kernel: jax.block_until_ready(c(x, k)))))
    return rows


def seconds(call: Any) -> float:
    """Median of a few calls, the first ones not counted."""
    times = []
    for _ in range(arguments.steps + 3):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return median(times[3:])


def here(model: str) -> dict[str, Any]:
    """A step of this project."""
    shape = (arguments.px, arguments.px, 3)
    card = DataCard("random", "0" * 16, CLASSES, shape, arguments.batch, arguments.batch)
    config = TrainConfig(
        DataConfig("random", card),
        ModelConfig("nfnet", model),
        ScheduleConfig(1.0),
        batch_size=arguments.batch,
        learning_rate=0.1,
        optimizer=SgdAgc(weight_decay=2e-5),
        numerics=NumericsConfig("bfloat16"),
    )
    program = program_for(config)
    state = program.initial_state(config)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(arguments.batch, *shape)).astype(np.float32)
    labels = rng.integers(0, CLASSES, arguments.batch).astype(np.int32)
    batch = jax.device_put(program.place_batch(images, labels, np.ones(arguments.batch, np.float32)))

    def step() -> None:
        nonlocal state
        state, metrics = program.train_step(state, *batch, np.float32(0.1), np.uint32(0), np.uint32(0))
        jax.block_until_ready(metrics)

    step_seconds = seconds(step)
    memory = jax.devices()[0].memory_stats() or {}
    return measured("here", model, step_seconds, memory.get("peak_bytes_in_use"), program.compile_seconds)


def measured(side: str, model: str, step_seconds: float, memory: int | None, compile_seconds: float) -> dict[str, Any]:
    macs = family("nfnet").macs(model, {}, num_classes=CLASSES, image_shape=(arguments.px, arguments.px, 3))
    rate, peak = arguments.batch / step_seconds, peak_flops()
    return {
        "side": side,
        "model": model,
        "px": arguments.px,
        "batch": arguments.batch,
        "images_per_second": rate,
        "mfu": 6 * macs * rate / peak if peak else None,
        "memory_bytes": memory,
        "compile_seconds": compile_seconds,
    }


def peer(model: str) -> dict[str, Any]:
    """A step of timm, in a process of its own, so that neither side holds the other's memory."""
    script = Path(__file__).parent / "peers" / "timm_gpu.py"
    order = {"model": f"dm_nfnet_{model.lower()}", "px": arguments.px, "batch": arguments.batch, "steps": arguments.steps}
    done = subprocess.run([arguments.peer, str(script), json.dumps(order)], stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return measured(
        f"timm, {found['memory_format']}", model, found["step_seconds"], found["memory_bytes"], found["compile_seconds"]
    )


def main() -> None:
    device = jax.devices()[0]
    print(f"{device.device_kind} ({device.platform}), {arguments.px} px, batch {arguments.batch}, bfloat16")
    rows = []
    for model in arguments.models:
        for stage, form, milliseconds in grouped_forms(model):
            print(f"{model:8} stage {stage}: grouped 3x3 as {form:15} {milliseconds:9.3f} ms")
        rows.append(here(model))
        if arguments.peer:
            jax.clear_caches()
            rows.append(peer(model))
        for row in rows[-2 if arguments.peer else -1 :]:
            mfu = "–" if row["mfu"] is None else f"{row['mfu']:.1%}"
            memory = "–" if row["memory_bytes"] is None else f"{row['memory_bytes'] / 1e9:.2f} GB"
            print(
                f"{model:8} {row['side']:22} {row['images_per_second']:9.1f} images/s, MFU {mfu}, memory {memory}, compiled in {row['compile_seconds']:.1f} s"
            )
    if arguments.csv:
        new = not arguments.csv.exists()
        with arguments.csv.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(["date", "device", *rows[0]])
            stamp = [datetime.now(UTC).strftime("%Y-%m-%d"), device.device_kind]
            writer.writerows(
                [*stamp, *(f"{value:.4g}" if isinstance(value, float) else value for value in row.values())] for row in rows
            )


if __name__ == "__main__":
    main()
