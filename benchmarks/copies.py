"""What is done to an image to plant a copy of it: one function a kind, each (pixels [H, W, C] uint8, random numbers) → pixels.

Strengths are drawn for each image; `benchmarks/duplicates.py` says which were found.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["COPIES", "Copy"]

Copy = Callable[[np.ndarray, np.random.Generator], np.ndarray]
SMALL_PX = 64
_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


def resized(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Make it 0.4 … 0.9 of the size, half of them with another aspect ratio (by up to e^0.25).

    An image below 64 px becomes 20 … 24 px (of 10, 7) or 32 … 48 px, and half of them are brought back to the old size: many data sets
    have one size.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < SMALL_PX:
        side = int(rng.integers(20, 25)) if rng.random() < 0.7 else int(rng.integers(32, 49))
        size = (side if rng.random() < 0.5 else round(side * rng.uniform(0.9, 1.1)), side)
    else:
        scale, aspect = rng.uniform(0.4, 0.9), 1.0 if rng.random() < 0.5 else np.exp(rng.uniform(-0.25, 0.25))
        size = max(24, round(width * scale / aspect**0.5)), max(24, round(height * scale * aspect**0.5))
    image = _image(pixels).resize(size, _FILTERS[rng.integers(3)])
    is_back = min(height, width) < SMALL_PX and rng.random() < 0.5
    return _pixels(image.resize((width, height), _FILTERS[rng.integers(3)]) if is_back else image)


def re_encoded(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """JPEG (of 10, 7) or WebP, of quality 30 … 90."""
    file = io.BytesIO()
    _image(pixels).save(file, "JPEG" if rng.random() < 0.7 else "WEBP", quality=int(rng.integers(30, 91)))
    return _pixels(Image.open(file).convert("L" if pixels.shape[2] == 1 else "RGB"))


def flipped(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Left and right (of 10, 7) or top and bottom change places."""
    return pixels[:, ::-1] if rng.random() < 0.7 else pixels[::-1]


def rotated(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn a picture by 90, 180 or 270 degrees."""
    return np.rot90(pixels, int(rng.integers(1, 4)))


def brightened(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Contrast by 0.7 … 1.4 about the middle, and up to 30 grey levels brighter or darker, clipped at 0 and 255."""
    values = (pixels.astype(np.float32) - 128) * rng.uniform(0.7, 1.4) + 128 + rng.uniform(-30, 30)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def cropped(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """2 … 20 % of the area are cut off, at any of the sides."""
    height, width = pixels.shape[:2]
    area = rng.uniform(0.8, 0.98)
    share = area ** rng.uniform(0, 1)
    rows, columns = max(1, round(height * share)), max(1, round(width * area / share))
    top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
    return pixels[top : top + rows, left : left + columns]


def overlaid(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A patch of one colour over 3 … 10 % of the area, with an ellipse in it; from 64 px up, half of them a line of text instead."""
    height, width, channels = pixels.shape
    area, aspect = rng.uniform(0.03, 0.10) * height * width, np.exp(rng.uniform(-1, 1))
    rows = int(np.clip((area * aspect) ** 0.5, 2, height - 1))
    columns = int(np.clip(area / rows, 2, width - 1))
    top, left = int(rng.integers(0, height - rows + 1)), int(rng.integers(0, width - columns + 1))
    image = _image(pixels)
    draw = ImageDraw.Draw(image)
    one, other = (tuple(rng.integers(0, 256, channels).tolist()) for _ in range(2))
    if min(height, width) < SMALL_PX or rng.random() < 0.5:
        draw.rectangle((left, top, left + columns - 1, top + rows - 1), fill=_fill(one))
        draw.ellipse((left + columns * 0.2, top + rows * 0.2, left + columns * 0.8, top + rows * 0.8), fill=_fill(other))
    else:
        size = max(8, min(height // 8, width // 8))
        white = int(rng.integers(0, 2)) * 255
        draw.text(
            (left // 2, min(top, height - size)),
            "Sample © 2024",
            font=ImageFont.load_default(size),
            fill=_fill((white,) * channels),
        )
    return _pixels(image)


COPIES: dict[str, Copy] = {
    "resized": resized,
    "re-encoded": re_encoded,
    "flipped": flipped,
    "rotated by 90°": rotated,
    "brightened": brightened,
    "cropped ≤ 20 %": cropped,
    "overlaid ≤ 10 %": overlaid,
}


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))


def _pixels(image: Image.Image) -> np.ndarray:
    values = np.asarray(image)
    return values if values.ndim == 3 else values[..., None]


def _fill(colour: tuple[int, ...]) -> int | tuple[int, ...]:
    return colour[0] if len(colour) == 1 else colour
