"""Compares ResNets with those of PyTorch + timm that have the same weights, and writes timm's figures for the tests.

    python -m benchmarks.resnet_logits --peer PYTHON [--write]

PYTHON is an interpreter with torch, timm and numpy. Models, images and weights are those of `tests/trainer/seeded_resnet.py`; timm computes in float64.
A line a case: how many parameters each side has, and the largest difference, relative to the spread, of logits in evaluation, of logits in training,
and of the averages after that batch. It ends with an error above 1e-5. This project computes evaluations in float32, and training in float64:
the 53 norms of ResNet-50 over few values enlarge the rounding of float32 to 1e-4, which is shown besides.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

os.environ["JAX_PLATFORMS"] = "cpu"

import jax

from tests.trainer.seeded_resnet import CASES, FIGURES, Case, images, weights
from trainer.models import resnet
from trainer.models.initial import variable_shapes

ALLOWED = 1e-5
KEPT, KEPT_AVERAGES = 8, 2
"""Logits an image, and channels a norm, that the tests' file keeps."""


def named(tree: Any) -> dict[str, Any]:
    """Name the leaves of a tree by their paths."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(str(part.key) for part in path): leaf for path, leaf in leaves}


def here(case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the variables of a case, and what this project makes of them."""
    module = resnet.build(case.model, num_classes=case.classes, **case.options)
    variables = weights(variable_shapes(module, image_shape=case.image))
    with jax.default_matmul_precision("highest"):
        evaluated = jax.jit(module.apply)(variables, images(case))
        rounded, _ = trained(module, variables, case)
    with jax.enable_x64(True):
        logits, state = trained(module.clone(dtype=np.float64), variables, case)
    return variables, {"eval": evaluated, "train": logits, "rounded": rounded, "statistics": named(state["batch_stats"])}


def trained(module: Any, variables: dict[str, Any], case: Case) -> Any:
    """Return logits and averages of a training batch."""
    return jax.jit(lambda variables, x: module.apply(variables, x, train=True, mutable=["batch_stats"]))(variables, images(case))


def asked(case: Case, variables: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write what the peer needs, and return the question."""
    np.savez(folder / "case.npz", images=images(case), **named(variables))
    dimensions = resnet.resolve(case.model, case.options)
    model = asdict(dimensions) | {"inside": dimensions.inside, "channels": case.image[2], "classes": case.classes}
    return {"model": model, "weights": str(folder / "case.npz")}


def apart(ours: Any, theirs: Any) -> float:
    """Return the largest difference of two arrays, relative to the spread of the second."""
    return float(np.abs(np.asarray(ours) - np.asarray(theirs)).max() / max(1.0, np.std(theirs)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="an interpreter with torch and timm")
    parser.add_argument("--write", action="store_true", help=f"write {FIGURES.name}")
    arguments = parser.parse_args()
    script, kept, worst = Path(__file__).parent / "peers" / "timm_resnet.py", {}, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, case in CASES.items():
            variables, ours = here(case)
            question = json.dumps(asked(case, variables, Path(folder)))
            answered = subprocess.run([arguments.peer, script], input=question, capture_output=True, text=True, check=True)
            theirs = json.loads(answered.stdout)
            difference = {kind: apart(ours[kind], theirs[kind]) for kind in ("eval", "train")}
            averages = theirs["statistics"]
            difference["averages"] = max(apart(ours["statistics"][path], averages[path]) for path in averages)
            worst = max(worst, *difference.values())
            difference["train in float32"] = apart(ours["rounded"], theirs["train"])
            counted = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
            shown = ", ".join(f"{kind} {value:.1e}" for kind, value in difference.items())
            print(
                f"{name:20} params {counted:>12,} here {theirs['params']:>12,} timm {theirs['timm']}   apart: {shown}", flush=True
            )
            kept[name] = {kind: [[round(value, 8) for value in row[:KEPT]] for row in theirs[kind]] for kind in ("eval", "train")}
            kept[name]["statistics"] = {
                path: [round(value, 8) for value in values[:KEPT_AVERAGES]] for path, values in averages.items()
            }
    if worst > ALLOWED:
        raise SystemExit(f"figures differ by {worst:.1e}, more than {ALLOWED:g}")
    if arguments.write:
        FIGURES.parent.mkdir(exist_ok=True)
        FIGURES.write_text(json.dumps(kept) + "\n")


if __name__ == "__main__":
    main()
