"""Texts made safe to print: letters that a terminal shows, and none that it obeys."""

from __future__ import annotations

import json

__all__ = ["printable", "printable_json"]

_UNKNOWN = "�"
_SIGNS = {code: chr(0x2400 + code) for code in range(0x20)} | {0x0A: "␤", 0x7F: "␡"}
_SIGNS |= dict.fromkeys(range(0x80, 0xA0), _UNKNOWN)  # C1, in which 0x9B begins a sequence as ESC [ does
_SIGNS |= dict.fromkeys(
    (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF), _UNKNOWN
)  # line ends, directions
_SIGNS |= dict.fromkeys(range(0xD800, 0xE000), _UNKNOWN)  # halves of characters, which no stream takes
_INVISIBLE = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x0600, 0x0605), (0x06DD, 0x06DD), (0x070F, 0x070F), (0x0890, 0x0891), (0x08E2, 0x08E2),
    (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200D), (0x2060, 0x206F), (0x2800, 0x2800), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0x110BD, 0x110BD), (0x110CD, 0x110CD), (0x13430, 0x1343F),
    (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
"""First and last of Unicode's default-ignorable characters, of those of category Cf, and of blanks that are no spaces. None is seen."""
_SIGNS |= {
    code: f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    for first, last in _INVISIBLE
    for code in range(first, last + 1)
    if code not in _SIGNS
}
_ESCAPES = {code: json.dumps(chr(code))[1:-1] for code in _SIGNS if chr(code) != "\n"}


def printable(text: str, keep: str = "") -> str:
    """Return the text with a sign for each control character: ␛ for ESC, ␤ for a line break, � for what has no sign.

    Each invisible character becomes its number, \\u200b. So names that differ look different.

    keep: control characters that stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return text.translate({code: sign for code, sign in _SIGNS.items() if chr(code) not in keep} if keep else _SIGNS)


def printable_json(text: str) -> str:
    """Return the JSON with its escapes for the characters that a terminal would obey; line breaks between values stay."""
    return text.translate(_ESCAPES)
