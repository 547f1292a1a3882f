"""Letters that a terminal only shows."""

from __future__ import annotations

import re

__all__ = ["printable", "printable_json", "without_colours"]

_UNKNOWN = "�"
_SIGNS = {code: chr(0x2400 + code) for code in range(0x20)} | {0x0A: "␤", 0x7F: "␡"}
_SIGNS |= dict.fromkeys(range(0x80, 0xA0), _UNKNOWN)  # C1, in which 0x9B begins a sequence as ESC [ does
_SIGNS |= dict.fromkeys(
    (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF), _UNKNOWN
)  # line ends, directions
_SIGNS |= dict.fromkeys(range(0xD800, 0xE000), _UNKNOWN)  # halves of characters, which no stream takes
_ESCAPES = {code: f"\\u{code:04x}" for code in _SIGNS if chr(code) != "\n"}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def printable(text: str, keep: str = "") -> str:
    """The text with a sign for each control character, so as long as it was: ␛ for ESC, ␤ for a line break, � for what has no sign.

    keep: control characters that stay.
    """
    return text.translate({code: sign for code, sign in _SIGNS.items() if chr(code) not in keep} if keep else _SIGNS)


def printable_json(text: str) -> str:
    """The JSON with its escapes for the characters that a terminal would obey; line breaks between values stay."""
    return text.translate(_ESCAPES)


def without_colours(text: str) -> str:
    """The text without the sequences that colour it."""
    return _COLOURS.sub("", text)
