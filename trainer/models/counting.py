"""Counts models in a process of its own, which takes no accelerator from the trainers: `count_all`, and what it starts.

The process reads `{"path": sys.path, "models": [{"family", "model", "options", "num_classes", "image_shape", "dtype"}, …]}` from its
standard input. It writes a JSON object a model to the file descriptor it is given: the fields of `Counted`, or `refused` with a `hint`,
or `unknown`.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

__all__ = ["count_all"]

_SECONDS = 600


def count_all(models: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Count what each model costs, from the module that its family builds. Takes the seconds in which JAX starts.

    Args:
        models: with the keys that are named above.

    Returns:
        For each model one of

        - {"params", "macs"} (`trainer.models.counted`);
        - {"refused", "hint"} for one that cannot be trained;
        - {"unknown": why} for one that cannot be built here. The trainers' hosts may have what is missing.
    """
    if not models:
        return []
    with tempfile.TemporaryFile("w+") as answers:
        environment = {"JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            ended = subprocess.run(
                [sys.executable, "-P", "-m", "trainer.models.counting", str(answers.fileno())],
                input=json.dumps({"path": sys.path, "models": list(models)}),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
                pass_fds=(answers.fileno(),),
                env=os.environ | environment,
                timeout=_SECONDS,
                check=False,
            )
            why = f"its process left with exit code {ended.returncode}"
        except subprocess.TimeoutExpired:
            why = f"it took more than {_SECONDS} s"
        answers.seek(0)
        found = [json.loads(line) for line in answers if line.endswith("\n")]
    if len(found) == len(models):
        return found
    return [*found, {"unknown": why}, *count_all(models[len(found) + 1 :])]  # the next one ended the process


def _count(model: Mapping[str, Any]) -> dict[str, object]:
    import jax.numpy as jnp

    from scaling.errors import UsageError
    from trainer.models import family
    from trainer.models.counted import counted

    try:
        build, image_shape = family(model["family"]).build, tuple(model["image_shape"])
        shape = {"image_shape": image_shape} if "image_shape" in inspect.signature(build).parameters else {}
        module = build(
            model["model"], num_classes=model["num_classes"], dtype=jnp.dtype(model["dtype"]), **shape, **model["options"]
        )
        return asdict(counted(module, image_shape=image_shape))
    except UsageError as error:
        return {"refused": str(error), "hint": error.hint}
    except Exception as error:  # noqa: BLE001 - the user's code; a run says the same, with all that led to it
        return {"unknown": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Count the models that standard input names; see the module."""
    order = json.load(sys.stdin)
    sys.path[:] = [*dict.fromkeys([*sys.path, *order["path"]])]
    with os.fdopen(int(sys.argv[1]), "a") as answers:
        for model in order["models"]:
            print(json.dumps(_count(model)), file=answers, flush=True)


if __name__ == "__main__":
    main()
