"""Features of images by a network that a study has trained: what it gives to its last layer.

That is the input of the head (`trainer.head`). It is had without knowing the family: the network is built for as many classes as its head
has inputs, with the unit matrix as the head's kernel and no bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scaling.errors import DataError, UsageError
from trainer import checkpoint
from trainer.config import TrainConfig
from trainer.data.images.crop import whole
from trainer.data.images.picture import PixelPicture
from trainer.data.images.resample import resample
from trainer.data.normalization import IMAGENET, Normalization
from trainer.head import Path as Place
from trainer.head import head_of, shapes_of
from trainer.models.building import built

__all__ = ["NetworkFeatures"]

_BATCH = 64
_TOLERANCE = 1e-3
"""ASSUMPTION: relative difference of the logits by which a head is called linear. Rounding in float32 gives 1e-6."""


class NetworkFeatures:
    """Gives the features of images by the network of a finished run, as unit vectors.

    name: what tells these features from others. dimensions: length of a vector.
    """

    def __init__(self, directory: str | Path) -> None:
        """Read the newest checkpoint of an attempt.

        Raises:
            DataError: there is no sound checkpoint.
            UsageError: the last layer is not one linear layer, so the features cannot be had.
        """
        restored, faults = checkpoint.restore(directory)
        if restored is None:
            raise DataError(f"no checkpoint to take features from: {'; '.join(faults)}", hint="name a run that has finished")
        self._config = TrainConfig.from_dict(restored.counters["config"])
        self.name = f"{restored.counters['run']}-{restored.step}"
        params, state = (
            ("ema", "ema_collections") if any(key.startswith("ema/") for key in restored.arrays) else ("params", "collections")
        )
        values: dict[Place, np.ndarray] = {}
        card = self._config.data.card
        for place, like in shapes_of(self._config, card.num_classes, card.image_shape).items():
            stored = "/".join((params, *place[1:]) if place[0] == "params" else (state, *place))
            array = restored.arrays[stored]
            values[place] = array.view(like.dtype) if array.dtype.kind == "V" else array
        kernel, bias = self._head(values)
        self.dimensions = int(values[kernel].shape[0])
        opened = dict(values) | {kernel: np.eye(self.dimensions, dtype=values[kernel].dtype)}
        if bias is not None:
            opened[bias] = np.zeros(self.dimensions, values[bias].dtype)
        self._apply = self._built(self.dimensions, opened)
        self._check(values, kernel, bias)

    def __call__(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return the features [n, dimensions] float32, of length 1, of images uint8 [H, W, C] of any size and of 1 or 3 channels."""
        rows = [self._features(images[first : first + _BATCH]) for first in range(0, len(images), _BATCH)]
        return np.concatenate(rows) if rows else np.empty((0, self.dimensions), np.float32)

    def _features(self, images: Sequence[np.ndarray]) -> np.ndarray:
        height, width, channels = self._config.data.card.eval_shape
        normalization = IMAGENET if channels == 3 else Normalization(0.5, 0.5)
        pixels = np.zeros((_BATCH, height, width, channels), np.uint8)
        for row, image in enumerate(images):
            picture = PixelPicture(_in_channels(image, channels))
            pixels[row] = resample(picture, whole(picture.height, picture.width), (height, width))
        found = np.asarray(self._apply(normalization.apply(pixels)), np.float32)[: len(images)]
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)

    def _head(self, values: dict[Place, np.ndarray]) -> tuple[Place, Place | None]:
        """Return the places of the head's kernel [d, classes] and of its bias [classes]."""
        places = head_of(self._config)
        kernels = [place for place in places if values[place].ndim == 2]
        biases = [place for place in places if values[place].ndim == 1]
        if len(kernels) != 1 or len(biases) > 1 or len(places) != len(kernels) + len(biases):
            raise self._not_linear()
        return kernels[0], biases[0] if biases else None

    def _built(self, outputs: int, values: dict[Place, np.ndarray]) -> Any:
        model, card = self._config.model, self._config.data.card
        network = built(
            model.family, model.name, model.options, num_classes=outputs, image_shape=card.eval_shape, dtype=jnp.float32
        )
        variables: dict[str, Any] = {}
        for place, value in values.items():
            inside = variables
            for name in place[:-1]:
                inside = inside.setdefault(name, {})
            inside[place[-1]] = value
        return jax.jit(lambda images: network.apply(variables, images, train=False))

    def _check(self, values: dict[Place, np.ndarray], kernel: Place, bias: Place | None) -> None:
        """Check that the head's product of these features is the network's own output."""
        images = np.random.default_rng(0).normal(size=(2, *self._config.data.card.eval_shape)).astype(np.float32)
        features = np.asarray(self._apply(images), np.float64)
        wanted = np.asarray(self._built(values[kernel].shape[1], values)(images), np.float64)
        had = features @ values[kernel].astype(np.float64) + (0 if bias is None else values[bias])
        if not np.abs(had - wanted).max() <= _TOLERANCE * max(np.abs(wanted).max(), 1e-6):
            raise self._not_linear()

    def _not_linear(self) -> UsageError:
        return UsageError(
            f"the last layer of {self._config.model.name} is not one linear layer: it has no features to compare images by",
            hint="leave out --network: the fixed features are used then",
        )


def _in_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """Return an image [H, W, 1 or 3] in so many channels; grey is by the weights of ITU-R BT.601."""
    if image.shape[2] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=2)
    return np.rint(image @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)[..., None]
