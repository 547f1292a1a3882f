"""Counts models in a process of its own, which takes no accelerator from the trainers: `count_all`, `counts_of`, and what they start.

The process reads `{"path": sys.path, "models": [{"family", "model", "options", "num_classes", "image_shape", "dtype"}, …]}` from its
standard input. It writes a JSON object a model to the file descriptor it is given: the fields of `Counted`, or `refused` with a `hint`,
or `unknown`. A model that starts with NaN is refused. With `"before": image shape` so is one that was pre-trained on images of that shape and
does not fit those of `image_shape` (`trainer.misfit`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from trainer.typing import ImageShape, Options

if TYPE_CHECKING:
    from trainer.models.counted import Counted
    from trainer.models.protocol import Network

__all__ = ["count_all", "counts_of"]

_SECONDS = 600
_MOST_PARAMS, _MOST_MACS = 20_000_000, 20_000_000_000
"""Only smaller models are started, to see whether their first numbers are finite: that takes a second or two."""
_known: dict[str, dict[str, Any]] = {}
"""What this process has had counted, by model; the dtype does not change a count."""


def counts_of(
    family: str, model: str, options: Options, *, num_classes: int, image_shape: ImageShape, dtype: str = "float32"
) -> dict[str, Any]:
    """Return what `count_all` said of one model; it is asked if it was not asked before."""
    asked = {"family": family, "model": model, "options": options, "num_classes": num_classes, "image_shape": image_shape}
    if _key(asked) not in _known:
        count_all([asked | {"dtype": dtype}])
    return _known[_key(asked)]


def count_all(models: Sequence[Mapping[str, object]]) -> list[dict[str, Any]]:
    """Count what each model costs, from the module that its family builds, anew. Takes the seconds in which JAX starts.

    Args:
        models: with the keys that are named above.

    Returns:
        For each model one of

        - {"params", "macs"} (`trainer.models.counted`);
        - {"refused", "hint"} for one that cannot be trained;
        - {"unknown": why} for one that cannot be built here. The trainers' hosts may have what is missing.
    """
    found = _counted_elsewhere(models)
    _known.update((_key(model), counts) for model, counts in zip(models, found, strict=True))
    return found


def _key(model: Mapping[str, object]) -> str:
    return json.dumps({name: value for name, value in model.items() if name != "dtype"}, sort_keys=True)


def _counted_elsewhere(models: Sequence[Mapping[str, object]]) -> list[dict[str, Any]]:
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
    return [*found, {"unknown": why}, *_counted_elsewhere(models[len(found) + 1 :])]  # the next one ended the process


def _count(model: Mapping[str, Any]) -> dict[str, object]:
    import jax.numpy as jnp

    from scaling.errors import UsageError
    from trainer.models.building import built
    from trainer.models.counted import counted

    shape: ImageShape = tuple(model["image_shape"])

    def builds(num_classes: int, image_shape: ImageShape) -> Network:
        of_data: dict[str, Any] = {"num_classes": num_classes, "image_shape": image_shape, "dtype": jnp.dtype(model["dtype"])}
        return built(model["family"], model["model"], model["options"], **of_data)

    try:
        module = builds(model["num_classes"], shape)
        found = counted(module, image_shape=shape)
        if (fault := _fault_at_start(module, found, shape)) is not None:
            return {"refused": fault, "hint": "look at its initialisers, and at what it divides by"}
        if "before" in model and (fault := _misfit(builds, model, shape)) is not None:
            return {"refused": fault, "hint": "fine-tune at the size of pre-training, or give the network a method `resized`"}
        return asdict(found)
    except UsageError as error:
        return {"refused": str(error), "hint": error.hint}
    except Exception as error:  # noqa: BLE001 - the user's code; a run says the same, with all that led to it
        return {"unknown": f"{type(error).__name__}: {error}"}


def _misfit(builds: Callable[[int, ImageShape], Network], model: Mapping[str, Any], shape: ImageShape) -> str | None:
    from trainer.misfit import misfit

    return misfit(builds, num_classes=model["num_classes"], before=tuple(model["before"]), after=shape)


def _fault_at_start(module: Network, found: Counted, image_shape: ImageShape) -> str | None:
    """Say what is not finite at the start of a model that is small enough to compute a step of it; what fails here is left to the run."""
    from trainer.models.start import not_finite_at_start

    if found.params > _MOST_PARAMS or (found.macs or 0) > _MOST_MACS:
        return None
    try:
        return not_finite_at_start(module, image_shape=image_shape)
    except Exception:  # noqa: BLE001 - tracing has shown that the module is sound: this is for want of something here
        return None


def main() -> None:
    """Count the models that standard input names; see the module."""
    order = json.load(sys.stdin)
    sys.path[:] = [*dict.fromkeys([*sys.path, *order["path"]])]
    with os.fdopen(int(sys.argv[1]), "a") as answers:
        for model in order["models"]:
            print(json.dumps(_count(model)), file=answers, flush=True)


if __name__ == "__main__":
    main()
