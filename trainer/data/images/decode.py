"""Image files as pixels, by the fastest decoder that knows the format.

JPEG: simplejpeg (libjpeg-turbo without a detour): about twice as fast as Pillow on photographs of 500×375 (`benchmarks/input.py`). When
fewer pixels are wanted than half of those there are, it decodes at 1/2, 1/4 or 1/8, which the format offers at little cost.
All else (PNG, WebP, and JPEGs in CMYK): Pillow, which is let try `FORMATS` only. Of several pictures in a file it is the first.

What a file says of its pixels is heeded:

- EXIF orientation: the picture is turned upright.
- Alpha, a transparent colour: the picture is put on white.
- 16 bits a pixel: scaled to 8, and grey turned round where 0 is white. Pixels of 32 bits have no stated full scale, so they are refused.
- More than `MAX_PIXELS`, in the picture or in one of its tiles: refused before a pixel is decoded.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from trainer.data.dataset import BadExample
from trainer.data.images.orientation import orientation_of, turned
from trainer.data.images.picture import Picture
from trainer.data.images.transparent import TransparentColour, strips

__all__ = ["FORMATS", "MAX_PIXELS", "EncodedPicture"]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""Formats that are opened, by Pillow's names for them."""
MAX_PIXELS = 2**27
"""Height times width, 134 million: above all but a few cameras, and about 1 GB while it is decoded. A file of 0.5 MB can say more."""
_COSTLY = ("WEBP", "AVIF", "JPEG2000")
"""Their decoders take twice the memory for a pixel, so half as many are allowed."""
_BITS_PER_SAMPLE, _PHOTOMETRIC, _TILE_SIDES = 258, 262, (322, 323)
"""Tags of TIFF."""
_WHITE_IS_ZERO = 0


class EncodedPicture(Picture):
    """Decodes the bytes of an image file.

    Raises `BadExample`, and nothing else, for bytes that are empty, are cut short, or do not decode.
    """

    def __init__(self, content: bytes, channels: int) -> None:
        if not content:
            raise BadExample("empty file")
        self._content, self._channels = content, channels
        self._is_jpeg = False
        if content[:2] == b"\xff\xd8":
            with _one_reason("not a readable JPEG"):
                height, width, colorspace, _ = simplejpeg.decode_jpeg_header(content)
            self._is_jpeg = colorspace in ("YCbCr", "Gray", "RGB")
        if not self._is_jpeg:
            width, height = self._opened.size
            with _one_reason("not a readable image"):
                self._transparent = TransparentColour(self._opened, content)
        most = MAX_PIXELS // 2 if not self._is_jpeg and self._opened.format in _COSTLY else MAX_PIXELS
        if height * width > most:
            raise BadExample(f"{width} × {height} pixels are more than the {most:,} that are decoded")
        self._check_tiles()
        self._stored = (height, width)
        self._orientation = orientation_of(content, None if self._is_jpeg else self._opened)
        self.height, self.width = (width, height) if self._orientation >= 5 else (height, width)

    def pixels(self, min_scale: float = 1.0) -> np.ndarray:
        return turned(self._by_turbo(min_scale) if self._is_jpeg else self._by_pillow(), self._orientation)

    @property
    def corrections(self) -> set[str]:
        """Name those of `trainer.data.corrections` that change its pixels. An alpha channel that covers everything changes none."""
        found = {"orientation"} if self._orientation != 1 else set()
        if self._is_jpeg:
            return found
        with _one_reason("damaged image"):
            if shades := _shades(self._opened):
                found |= {"16-bit", "white-is-zero"} if shades.white_is_zero else {"16-bit"}
            elif any(map(_is_transparent, strips(self._opened))):
                found.add("alpha")
            if self._transparent.was_misread:
                found.add("transparent-colour")
        return found

    def _check_tiles(self) -> None:
        """Refuse a TIFF whose tiles have too many pixels: they are decoded whole, however small the picture that they hold."""
        if self._is_jpeg or not isinstance(self._opened, TiffImageFile):
            return
        with _one_reason("not a readable image"):
            width, height = (int(np.max(self._opened.tag_v2.get(tag, 1))) for tag in _TILE_SIDES)
        if width * height > MAX_PIXELS:
            raise BadExample(f"a tile of {width} × {height} pixels: more than the {MAX_PIXELS:,} that are decoded")

    def _by_turbo(self, min_scale: float) -> np.ndarray:
        height, width = self._stored
        with _one_reason("damaged JPEG"):  # strict: a JPEG that ends early decodes to grey below, which would train on grey
            return simplejpeg.decode_jpeg(
                self._content,
                "RGB" if self._channels == 3 else "GRAY",
                min_height=int(np.ceil(height * min_scale)) if min_scale <= 0.5 else 0,
                min_width=int(np.ceil(width * min_scale)) if min_scale <= 0.5 else 0,
                min_factor=2 if min_scale <= 0.5 else 1,
            )

    @cached_property
    def _opened(self) -> Image.Image:
        try:
            with _one_reason("not a readable image"):
                return Image.open(io.BytesIO(self._content), formats=FORMATS)
        except BadExample as error:
            if "cannot identify" in str(error):  # Pillow names an object in memory, a different one each time
                raise BadExample(f"not an image of a format that is read ({', '.join(FORMATS)})") from None
            raise

    def _by_pillow(self) -> np.ndarray:
        with _one_reason("damaged image"):
            self._opened.load()
            if (self._opened.height, self._opened.width) != self._stored:
                raise BadExample("damaged image: its pixels are more or fewer than it says")
            clear, shades, top = self._transparent.clear, _shades(self._opened), 0
            pixels = np.empty((*self._stored, self._channels), np.uint8)
            for strip in strips(self._opened):
                pixels[top : top + strip.height] = _converted(strip, self._channels, shades)
                top += strip.height
            if clear is not None:
                pixels[clear] = 255
        return pixels


@contextmanager
def _one_reason(what: str) -> Iterator[None]:
    """Turn whatever a decoder raises into a `BadExample` of one line, the same each time.

    Decoders raise errors of many kinds for a file that is damaged.
    """
    try:
        yield
    except BadExample:
        raise
    except Exception as error:  # noqa: BLE001 - decoders are the edge: `struct.error`, `IndexError`, `MemoryError` and others were seen
        line = (str(error).strip().splitlines() or [""])[0]
        raise BadExample(f"{what}: {line or type(error).__name__}") from None


def _converted(image: Image.Image, channels: int, shades: _Shades | None) -> np.ndarray:
    """Return pixels [H, W, channels] uint8, or [H, W, 1] for all channels to be alike."""
    if shades is not None:
        values = np.asarray(image)
        lit = shades.largest - values if shades.white_is_zero else values
        scaled = np.rint(lit * np.float32(255 / shades.largest)).astype(np.uint8)
        if isinstance(key := image.info.get("transparency"), int):
            scaled[values == key] = 255
        return scaled[..., None]
    if _is_transparent(image):
        upper, image = image.convert("RGBA"), Image.new("RGBA", image.size, "white")
        image.alpha_composite(upper)
    pixels = np.asarray(image.convert("RGB" if channels == 3 else "L"))
    return pixels if pixels.ndim == 3 else pixels[..., None]


class _Shades(NamedTuple):
    """Describes grey of more than 8 bits: the largest value, and whether it is black."""

    largest: int
    white_is_zero: bool


def _shades(image: Image.Image) -> _Shades | None:
    """Describe grey that has more than 8 bits, which Pillow would cut off at 255; None of all else. Raises `BadExample`.

    Pillow itself gives colour of 16 bits by the upper 8, and turns grey of 8 bits round.
    """
    if not image.mode.startswith("I") and image.mode != "F":
        return None
    if not image.mode.startswith("I;16") and (image.mode, image.format) != ("I", "PPM"):  # which Pillow scales to 16 bits
        raise BadExample(f"its pixels (mode {image.mode}) have no stated full scale: convert them to 8 or 16 bits")
    tags: Mapping[int, Any] = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    return _Shades(2 ** tags.get(_BITS_PER_SAMPLE, (16,))[0] - 1, tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO)


def _is_transparent(image: Image.Image) -> bool:
    """Say whether anything shows through."""
    return image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255)
