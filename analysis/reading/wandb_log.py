"""The file `run-<id>.wandb`: every record of a run, and all there is of a run that was offline.

Framing: a header of 7 bytes (`:W&B`, 0xBEE1, version), then the log format of LevelDB (blocks of 32 KiB; each fragment has a CRC, a
length and a type: whole, first, middle, last). A record is a protocol buffer `Record` of `wandb_internal.proto`. Read here are the
run (17), configuration (5), history (2), summary (3) and exit (18). They are known by their field numbers, so that the package is not
needed.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scaling.errors import DataError

__all__ = ["read_log"]

_HEADER = struct.Struct("<4sHB")
_FRAGMENT = struct.Struct("<IHB")  # CRC32C, length, type
_BLOCK = 32_768
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4

_HISTORY, _SUMMARY, _CONFIG, _RUN, _EXIT = 2, 3, 5, 17, 18


def read_log(path: Path) -> dict[str, object]:
    """Read configuration, last values of the history and summary of a run, by name, with `id`, `Name` and `State`.

    `State` is `finished` after exit code 0, `failed` after another, and `crashed` when the log ends without one. A log that was cut
    off is read as far as it goes. Raises `DataError` when it is not such a log.
    """
    content = path.read_bytes()
    if len(content) < _HEADER.size or _HEADER.unpack_from(content)[:2] != (b":W&B", 0xBEE1):
        raise DataError(f"{path}: not a log of Weights & Biases", hint="give a file run-<id>.wandb, or the folder wandb above it")
    config: dict[str, object] = {}
    values: dict[str, object] = {}
    about: dict[str, object] = {"State": "crashed"}
    for record in _records(content):
        for number, value in _fields(record):
            if number == _RUN:
                about |= _about(value)
                config |= _items(value, within=4)
            elif number == _CONFIG:
                config |= _items(value, within=None)
            elif number in (_HISTORY, _SUMMARY):
                values |= _items(value, within=None)
            elif number == _EXIT:
                code = next((found for field, found in _fields(value) if field == 1), 0)
                about["State"] = "finished" if code == 0 else "failed"
    clash = config.keys() & values.keys()
    return {**{(f"config.{name}" if name in clash else name): value for name, value in config.items()}, **values, **about}


def _about(run: bytes) -> dict[str, object]:
    named = {1: "id", 8: "Name"}
    return {named[field]: value.decode() for field, value in _fields(run) if field in named and value}


def _items(message: bytes, *, within: int | None) -> dict[str, object]:
    """Return names and values of a `ConfigRecord`, `SummaryRecord` or `HistoryRecord`, or of the one in field `within`.

    All of them repeat an item in field 1 with a key (1) or nested keys (2), and its value as JSON (16).
    """
    if within is not None:
        return {
            name: value for field, part in _fields(message) if field == within for name, value in _items(part, within=None).items()
        }
    found: dict[str, object] = {}
    for field, item in _fields(message):
        if field != 1 or not isinstance(item, bytes):
            continue
        parts = list(_fields(item))
        key = ".".join(value.decode() for number, value in parts if number in (1, 2) and value)
        text = next((value.decode() for number, value in parts if number == 16), None)
        if key and text is not None:
            found[key] = json.loads(text)
    return found


def _records(content: bytes) -> Iterator[bytes]:
    place, parts = _HEADER.size, b""
    while place + _FRAGMENT.size <= len(content):
        left = _BLOCK - place % _BLOCK
        if left < _FRAGMENT.size:  # the end of a block that no fragment fits in is padding
            place += left
            continue
        _, length, kind = _FRAGMENT.unpack_from(content, place)
        start, place = place + _FRAGMENT.size, place + _FRAGMENT.size + length
        if kind not in (_WHOLE, _FIRST, _MIDDLE, _LAST) or place > len(content):
            return  # cut off while it was written
        parts = (b"" if kind in (_WHOLE, _FIRST) else parts) + content[start:place]
        if kind in (_WHOLE, _LAST):
            yield parts


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field of a protocol buffer: bytes for what has a length, an integer for the others."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == 0:
            value, place = _varint(message, place)
            yield tag >> 3, value
        elif kind == 2:
            length, place = _varint(message, place)
            yield tag >> 3, message[place : place + length]
            place += length
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            yield tag >> 3, int.from_bytes(message[place : place + size], "little")
            place += size
        else:
            return


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(message):
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value, place
