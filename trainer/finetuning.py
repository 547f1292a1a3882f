"""Fine-tuning: the variables that a run starts from are those of a pre-trained run's checkpoint, under a new head.

| of the variables | the fine-tuned run starts from |
|---|---|
| what the network keeps of an image: all below the head | the parent's values, to the bit |
| the head: parameters whose shape depends on the number of classes | initial values, those of a run of its seed that has no parent |
| what depends on the size of the images, as learned positions | the parent's values, as the network's `resized` gives them |
| optimiser state, moving average, step count, random numbers | a start from nothing, as every run |

The head (`trainer.head`) is new also where the number of classes is the same, since the classes are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.tree_util import KeyPath

from scaling.errors import DataError, ScalingError, UsageError
from trainer import checkpoint
from trainer.config import TrainConfig
from trainer.head import Path, head_of, path_of, shapes_of
from trainer.models.initial import on_cpu
from trainer.models.protocol import Network
from trainer.program import Program
from trainer.typing import ImageShape, PyTree
from trainer.users_code import told

__all__ = ["variables_from_parent"]

_PARTS = {"final": ("params", "collections"), "ema": ("ema", "ema_collections")}
"""Where a checkpoint has the parameters and the collections beside them."""


def variables_from_parent(config: TrainConfig, program: Program, initial: Mapping[str, Any] | None) -> dict[str, PyTree]:
    """Make the variables, `{"params": …, …}`, that a run with a parent starts from, in host memory, no entry stacked.

    initial: {"directory": of the parent's attempt, "step": of its checkpoint, None for the newest}.

    Raises:
        UsageError: no `initial`; the parent keeps no moving average; parameters do not fit, and the network does not say how they would.
        DataError: there is no sound checkpoint of that step, or it is not the parent's.
    """
    parent, card = config.parent, config.data.card
    assert parent is not None
    restored = _restored(parent.run, initial)
    of_parent = TrainConfig.from_dict(restored.counters["config"])
    if (mine := (config.model.family, config.model.name)) != (theirs := (of_parent.model.family, of_parent.model.name)):
        raise UsageError(f"run {parent.run} is of {' '.join(theirs)}, which cannot be fine-tuned as {' '.join(mine)}")
    before = of_parent.data.card
    source = _Source(parent.run, restored, before.image_shape)
    expected = shapes_of(config, before.num_classes, before.image_shape)
    values = source.values(parent.weights, expected)
    here, drawn = shapes_of(config, card.num_classes, card.image_shape), program.drawn(config)
    head = head_of(config)

    def taken(path: KeyPath, fresh: np.ndarray) -> np.ndarray:
        place = path_of(path)
        if place in head:
            return fresh
        if place in values and values[place].shape == here[place].shape:
            return values[place].astype(here[place].dtype)
        return source.resized(program.module, place, values.get(place), here[place], card.image_shape)

    return jax.tree_util.tree_map_with_path(taken, drawn)


class _Source:
    """Holds the checkpoint of a parent, and says what of it does not fit.

    image_shape: [H, W, C] that the parent was trained on.
    """

    def __init__(self, run: str, restored: checkpoint.Restored, image_shape: ImageShape) -> None:
        self._run, self._restored, self._image_shape = run, restored, image_shape
        self._where = f"the checkpoint of step {restored.step} of run {run} in {restored.place}"

    def values(self, weights: str, expected: Mapping[Path, jax.ShapeDtypeStruct]) -> dict[Path, np.ndarray]:
        """Return the arrays of "final" or "ema" by path; they must be those of the parent's own network, given as shapes."""
        params, collections = _PARTS[weights]
        arrays = self._restored.arrays
        if not any(name.startswith(f"{params}/") for name in arrays):
            raise UsageError(f"run {self._run} keeps no moving average (ema) to fine-tune from", hint="write `weights: final`")
        found: dict[Path, np.ndarray] = {}
        for path, like in expected.items():
            name = "/".join((params, *path[1:]) if path[0] == "params" else (collections, *path))
            array = arrays.get(name)
            if array is not None and array.dtype.kind == "V":  # numpy's files do not know bfloat16
                array = array.view(like.dtype)
            if array is None or array.shape != like.shape:
                has = "is missing" if array is None else f"is {list(array.shape)}"
                raise DataError(
                    f"{self._where}: {name} {has}, and {list(like.shape)} in the model that its config names",
                    hint="fine-tune the model that was pre-trained, with the number of classes it had then; dropout and the like may differ",
                )
            found[path] = array
        return found

    def resized(
        self, module: Network, path: Path, values: np.ndarray | None, like: jax.ShapeDtypeStruct, image_shape: ImageShape
    ) -> np.ndarray:
        """Return a parameter as the network has it for images of another shape. Raises `UsageError` where it has no answer."""
        name, hook = "/".join(path), getattr(module, "resized", None)
        given = None
        if hook is not None and values is not None and path[0] == "params":
            try:
                with on_cpu():
                    given = hook(path[1:], values, before=self._image_shape, after=image_shape)
            except ScalingError:
                raise
            except (Exception, SystemExit) as error:
                source = f"{type(module).__module__}:{type(module).__name__}"
                raise UsageError(f"`resized` of {source} raised {told(error, source)}") from error
        if given is not None and np.shape(given) == like.shape:
            return np.asarray(given, like.dtype)
        was, images, there = "missing", _size(image_shape), _size(self._image_shape)
        if values is not None:
            was = str(list(values.shape))
        gave = "" if given is None else f", and `resized` of {type(module).__name__} gave {list(np.shape(given))}"
        raise UsageError(
            f"{name} is {was} in run {self._run}, trained on images of {there}, and {list(like.shape)} for images of {images}{gave}",
            hint="fine-tune at the size and channels of pre-training, or give the network a method `resized` (`scaling docs finetuning`)",
        )


def _restored(run: str, initial: Mapping[str, Any] | None) -> checkpoint.Restored:
    """Read the parent's checkpoint: that of the step that is asked for, no earlier one."""
    if initial is None:
        raise UsageError(
            f"this run is fine-tuned from run {run}, and nothing says where that has its checkpoint",
            hint='give initial={"directory": the folder of its attempt, "step": its last step}',
        )
    place, step = initial["directory"], initial.get("step")
    restored, faults = checkpoint.restore(place, at_most=step)
    if restored is None or (step is not None and restored.step != step):
        asked = "no checkpoint" if step is None else f"no sound checkpoint of step {step}"
        raise DataError(
            f"run {run}, which this one is fine-tuned from, has {asked} in {place}{': ' if faults else ''}{'; '.join(faults)}",
            hint="bring that folder back, then `scaling retry` this run; if it is lost, train another parent, by another seed",
        )
    if (of := restored.counters["run"]) != run:
        raise DataError(
            f"the checkpoint of step {restored.step} in {restored.place} is of run {of}, and this one is fine-tuned from run {run}",
            hint="name the folder of the parent's own attempt",
        )
    return restored


def _size(image_shape: ImageShape) -> str:
    return " × ".join(map(str, image_shape))
