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
from trainer.typing import ImageShape, PyTree
from trainer.users_code import told

__all__ = ["variables_from_parent"]

_PARTS = {"final": ("params", "collections"), "ema": ("ema", "ema_collections")}
"""Where a checkpoint has the parameters and the collections beside them."""


def variables_from_parent(
    config: TrainConfig, initial: Mapping[str, Any] | None, *, network: Network, drawn: Mapping[str, PyTree]
) -> dict[str, PyTree]:
    """Make the variables, `{"params": …, …}`, that a run with a parent starts from, in host memory, no entry stacked.

    initial: {"directory": of the parent's attempt, "step": of its checkpoint, None for the newest sound one}.
    network: of the config. drawn: what a run of this seed that has no parent starts from.

    Raises:
        UsageError: no `initial`; the parent keeps no moving average; parameters do not fit, and the network does not say how they would.
        DataError: there is no sound checkpoint of that step, or it is not the parent's.
    """
    parent = config.parent
    assert parent is not None
    source = _Source(parent.run, _restored(parent.run, initial))
    values, head = source.values(config, parent.weights), head_of(config)

    def taken(path: KeyPath, fresh: np.ndarray) -> np.ndarray:
        place = path_of(path)
        if place in head:
            return fresh
        if place in values and values[place].shape == fresh.shape:
            return values[place].astype(fresh.dtype)
        return source.resized(network, place, values.get(place), fresh, config.data.card.image_shape)

    return dict(jax.tree_util.tree_map_with_path(taken, dict(drawn)))


class _Source:
    """Holds the checkpoint of a parent, and says what of it does not fit."""

    def __init__(self, run: str, restored: checkpoint.Restored) -> None:
        self._run, self._restored = run, restored
        self._config = TrainConfig.from_dict(restored.counters["config"])

    def values(self, config: TrainConfig, weights: str) -> dict[Path, np.ndarray]:
        """Return the arrays of "final" or "ema" by path. They must be those of the network that the config builds for the parent's data."""
        (family, name), theirs, card = _model(config), _model(self._config), self._config.data.card
        if (family, name) != theirs:
            raise UsageError(
                f"run {self._run} is of the model {' '.join(theirs)}, which cannot be fine-tuned as {family} {name}",
                hint="fine-tune the model that was pre-trained; dropout and stochastic depth may differ",
            )
        params, collections = _PARTS[weights]
        arrays, found = self._restored.arrays, {}
        if not any(path.startswith(f"{params}/") for path in arrays):
            raise UsageError(f"run {self._run} keeps no moving average (ema) to fine-tune from", hint="write `weights: final`")
        for path, like in shapes_of(config, card.num_classes, card.image_shape).items():
            stored = "/".join((params, *path[1:]) if path[0] == "params" else (collections, *path))
            array = arrays.get(stored)
            if array is not None and array.dtype.kind == "V":  # numpy's files do not know bfloat16
                array = array.view(like.dtype)
            if array is None or array.shape != like.shape:
                has = "is missing" if array is None else f"is {list(array.shape)}"
                raise DataError(
                    f"{stored} {has} in the checkpoint of step {self._restored.step} of run {self._run} in {self._restored.place}; {name}, as "
                    f"this run has it, has {list(like.shape)} for the {card.num_classes} classes and images of {_size(card.image_shape)} there",
                    hint="fine-tune the model that was pre-trained, as it was then; dropout and stochastic depth may differ",
                )
            found[path] = array
        return found

    def resized(
        self, network: Network, path: Path, values: np.ndarray | None, like: np.ndarray, image_shape: ImageShape
    ) -> np.ndarray:
        """Return a parameter as the network has it for images of another shape. Raises `UsageError` where it has no answer."""
        before, hook = self._config.data.card.image_shape, getattr(network, "resized", None)
        given = None
        if hook is not None and values is not None and path[0] == "params":
            try:
                with on_cpu():
                    given = hook(path[1:], values, before=before, after=image_shape)
            except ScalingError:
                raise
            except (Exception, SystemExit) as error:
                source = f"{type(network).__module__}:{type(network).__name__}"
                raise UsageError(f"`resized` of {source} raised {told(error, source)}") from error
        if given is not None and np.shape(given) == like.shape:
            return np.asarray(given, like.dtype)
        was = "missing" if values is None else str(list(values.shape))
        gave = "" if given is None else f"; `resized` of {type(network).__name__} gave {list(np.shape(given))}"
        raise UsageError(
            f"{'/'.join(path)} is {was} in run {self._run}, trained on images of {_size(before)}, and {list(like.shape)} for images of "
            f"{_size(image_shape)}{gave}",
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


def _model(config: TrainConfig) -> tuple[str, str]:
    return config.model.family, config.model.name


def _size(image_shape: ImageShape) -> str:
    return " × ".join(map(str, image_shape))
