"""Colours of models: of one family by size, on a fixed scale, so that a model keeps its colour whatever else is in the figure.

The scale is that of log10 of the parameters. Over 1,000 times the lightness falls evenly and the hue turns once, as in a cubehelix (Green 2011): twice
the parameters are a tenth of a turn, which the eye tells apart. Several families are a hue each; within one, larger is darker.
Every colour has a contrast of at least 3 : 1 with a light and with a dark page.
"""

from __future__ import annotations

import math

__all__ = ["FAMILY_HUES", "hex_of", "size_colour"]

_LIGHTEST, _DARKEST = 59.5, 45.0  # CIE L*: above, the contrast with white is below 3 : 1; below, that with near-black
_CHROMA, _PERIOD = 46.0, 3.0
_START = 275.0  # blue, and on over purple, pink and orange
_TURN_OF_FAMILY = 26.0
FAMILY_HUES = (265.0, 60.0, 160.0, 335.0, 105.0, 215.0)
"""Blue, orange, green, pink, olive, teal."""


def size_colour(params: float, family: int | None = None) -> str:
    """Return the colour of a model of so many parameters, as `#1b80c0`.

    family: the place of its family among several; None where there is one.
    """
    place = (math.log10(params) / _PERIOD) % 1.0
    light = _LIGHTEST + place * (_DARKEST - _LIGHTEST)
    if family is None:
        return hex_of(light, _CHROMA, _START + 360.0 * place)
    hue = FAMILY_HUES[family % len(FAMILY_HUES)]
    return hex_of(light, _CHROMA, hue + _TURN_OF_FAMILY * (2 * place - 1))


def hex_of(light: float, chroma: float, hue: float) -> str:
    """Convert CIE LCh (D65; hue in degrees) to sRGB, with as much of the chroma as sRGB has at that lightness and hue."""
    while True:
        channels = _rgb(light, chroma, hue)
        if chroma < 1 or all(-1e-4 <= channel <= 1 + 1e-4 for channel in channels):
            return "#" + "".join(f"{round(255 * min(max(channel, 0.0), 1.0)):02x}" for channel in channels)
        chroma -= 1.0


def _rgb(light: float, chroma: float, hue: float) -> tuple[float, float, float]:
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    y = (light + 16) / 116
    X, Y, Z = (white * _cubed(part) for white, part in ((0.95047, y + a / 500), (1.0, y), (1.08883, y - b / 200)))
    linear = (
        3.2406 * X - 1.5372 * Y - 0.4986 * Z,
        -0.9689 * X + 1.8758 * Y + 0.0415 * Z,
        0.0557 * X - 0.2040 * Y + 1.0570 * Z,
    )
    red, green, blue = (12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055 for c in linear)
    return red, green, blue


def _cubed(part: float) -> float:
    return part**3 if part > 6 / 29 else 3 * (6 / 29) ** 2 * (part - 4 / 29)
