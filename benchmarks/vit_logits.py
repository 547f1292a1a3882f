"""Compares ViTs with those of PyTorch + timm that have the same weights, and writes timm's logits for the tests.

    python -m benchmarks.vit_logits --peer PYTHON [--write]

PYTHON is an interpreter with torch, timm and numpy. Models, images and weights are those of `tests/trainer/seeded_vit.py`; timm computes in float64.
A line a case: how many parameters each side has, and the largest difference of a logit. It ends with an error above 1e-5.
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

from tests.trainer.seeded_vit import CASES, LOGITS, Case, images, weights
from trainer.models import vit
from trainer.models.initial import param_shapes
from trainer.models.vit.positions import sincos

ALLOWED = 1e-5
KEPT = 8
"""Logits an image that the tests' file keeps."""


def here(case: Case) -> tuple[dict[str, Any], np.ndarray]:
    """Return the parameters of a case and this project's logits."""
    module = vit.build(case.model, num_classes=case.classes, image_shape=case.trained, **case.options)
    params = weights(param_shapes(module, image_shape=case.trained))
    with jax.default_matmul_precision("highest"):
        return params, np.asarray(jax.jit(module.apply)({"params": params}, images(case)))


def asked(case: Case, params: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write what the peer needs, and return the question."""
    dimensions = vit.resolve(case.model, case.options)
    arrays = {"/".join(str(part.key) for part in path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
    if dimensions.positions == "sincos":
        table = sincos(dimensions.grid(case.trained), dimensions.width)
        arrays["positions"] = np.pad(table, ((dimensions.class_tokens, 0), (0, 0)))
    np.savez(folder / "case.npz", images=images(case), **arrays)
    model = asdict(dimensions) | {"hidden": dimensions.hidden, "trained": case.trained, "classes": case.classes}
    return {"model": model, "weights": str(folder / "case.npz")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="an interpreter with torch and timm")
    parser.add_argument("--write", action="store_true", help=f"write {LOGITS.name}")
    arguments = parser.parse_args()
    script, kept, worst = Path(__file__).parent / "peers" / "timm_vit.py", {}, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, case in CASES.items():
            params, logits = here(case)
            question = json.dumps(asked(case, params, Path(folder)))
            answered = subprocess.run([arguments.peer, script], input=question, capture_output=True, text=True, check=True)
            answer = json.loads(answered.stdout)
            theirs = np.array(answer["logits"])
            apart = float(np.abs(logits - theirs).max())
            worst = max(worst, apart)
            counted = sum(leaf.size for leaf in jax.tree.leaves(params))
            print(
                f"{name:20} params {counted:>12,} here {answer['params']:>12,} timm {answer['timm']}   apart {apart:.1e} of {theirs.std():.2f}"
            )
            kept[name] = [[round(value, 8) for value in row[:KEPT]] for row in theirs.tolist()]
    if worst > ALLOWED:
        raise SystemExit(f"logits differ by {worst:.1e}, more than {ALLOWED:g}")
    if arguments.write:
        LOGITS.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
