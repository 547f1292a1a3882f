"""Reads one image of a split, decoded as for training, and makes of it what is compared and what is looked at.

Pixels that are compared are uint8 [H, W, 1 or 3] on the scale 0 … 255, whatever the data set stores.
"""

from __future__ import annotations

import hashlib

import numpy as np

from scaling.errors import DataError, ScalingError
from trainer.data.dataset import BadExample, Examples
from trainer.data.images.picture import picture
from trainer.data.rows import called

__all__ = ["DIGEST_BYTES", "Unreadable", "digest", "read", "shown"]

DIGEST_BYTES = 16


class Unreadable(Exception):
    """Reports that an image has no pixels to compare; the message is the reason."""


def read(examples: Examples, index: int, channels: int) -> np.ndarray:
    """Read the pixels [H, W, C], uint8 or float32, of one image, as training decodes them.

    Raises:
        Unreadable: this image cannot be read; a run would skip it.
        DataError: what the images lie on fails, or the data set's own code does.
        MissingExtra: the images need a package that is not installed.
    """
    try:
        example = examples[index]
        pixels = picture(example["image"], channels).pixels()
        if not pixels.size:
            raise BadExample("the image has no pixels")
    except (BadExample, FileNotFoundError, PermissionError) as error:
        raise Unreadable(str(error)) from None
    except ScalingError:
        raise
    except Exception as error:
        raise DataError(
            f"example {called(index, examples)} cannot be read: {type(error).__name__}: {error}",
            hint="see to the disk or the mount, and run it again: what was computed is kept; of a data set of your own, `scaling --debug …` shows where",
        ) from error
    return pixels


def shown(pixels: np.ndarray, full_scale: float = 255.0) -> np.ndarray:
    """Return pixels [H, W, C] as uint8 [H, W, 1 or 3] on the scale 0 … 255, contiguous.

    float32 pixels have no stated scale: each image's own range becomes 0 … 255. Of other than 1 or 3 channels, their mean is taken.
    full_scale: the largest value that a stored uint8 pixel can have.
    """
    if pixels.dtype != np.uint8:
        values = np.nan_to_num(pixels, nan=0.0, posinf=0.0, neginf=0.0)
        low, high = float(values.min()), float(values.max())
        pixels = np.rint((values - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)
    elif full_scale != 255.0:
        pixels = np.minimum(np.rint(pixels * np.float32(255 / full_scale)), 255).astype(np.uint8)
    if pixels.shape[2] not in (1, 3):
        pixels = np.rint(pixels.mean(axis=2, keepdims=True)).astype(np.uint8)
    return np.ascontiguousarray(pixels)


def digest(pixels: np.ndarray, full_scale: float = 255.0) -> bytes:
    """Hash what is stored of an image: size and pixels [H, W, C] to the first 16 bytes of their SHA-256.

    Two images have one digest where all their pixels agree: colour whose channels are alike counts as grey, and uint8 pixels of a scale
    other than 0 … 255 are brought to it. float32 pixels are hashed as they are.
    """
    if pixels.dtype == np.uint8 and pixels.shape[2] in (1, 3):
        pixels = shown(pixels, full_scale)
        if pixels.shape[2] == 3 and _is_grey(pixels):
            pixels = pixels[..., :1]
    hashed = hashlib.sha256(f"{pixels.dtype.str}{pixels.shape}".encode())
    hashed.update(np.ascontiguousarray(pixels).data)
    return hashed.digest()[:DIGEST_BYTES]


def _is_grey(pixels: np.ndarray) -> bool:
    """Say whether the three channels agree; the first rows tell of nearly every colour image that they do not."""
    return all(
        np.array_equal(part[..., 0], part[..., 1]) and np.array_equal(part[..., 0], part[..., 2]) for part in (pixels[:4], pixels)
    )
