"""`tf.train.Example` without TensorFlow: its protocol-buffer wire format, read by hand.

    Example { Features features = 1 }          Features { map<string, Feature> feature = 1 }
    Feature { BytesList 1 | FloatList 2 | Int64List 3 }, each with one repeated field 1 (numbers packed or not)

https://protobuf.dev/programming-guides/encoding, tensorflow/core/example/feature.proto. Values are not copied before they are asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

__all__ = ["Value", "parse"]

Value = list[bytes] | list[float] | list[int]


def parse(record: bytes) -> dict[str, Value]:
    """Parse a record into its features by name. Raises `ValueError` when the bytes are no Example."""
    features: dict[str, Value] = {}
    view = memoryview(record)
    try:
        for field, content in _fields(view):
            if field == 1:
                features |= dict(_entry(entry) for number, entry in _fields(_message(content)) if number == 1)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"not a tf.train.Example: {error}") from None
    return features


def _entry(entry: memoryview | int) -> tuple[str, Value]:
    """Read a map entry { string key = 1, Feature value = 2 }."""
    name = ""
    value: Value = []
    for field, content in _fields(_message(entry)):
        if field == 1:
            name = bytes(_message(content)).decode()
        elif field == 2:
            value = _feature(_message(content))
    return name, value


def _feature(feature: memoryview) -> Value:
    for kind, content in _fields(feature):
        values = list(_fields(_message(content)))
        if kind == 1:
            return [bytes(_message(value)) for _, value in values]
        if kind == 2:
            return [number for _, value in values for (number,) in struct.iter_unpack("<f", _message(value))]
        if kind == 3:
            return [
                number
                for _, value in values
                for number in ([_signed(value)] if isinstance(value, int) else map(_signed, _varints(value)))
            ]
    return []


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Yield (field number, content) of a message: an int for a varint, else the bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        wire = tag & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if wire == 2:
            size, at = _varint(message, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"not a tf.train.Example: wire type {wire}")
        if at + size > len(message):
            raise ValueError("not a tf.train.Example: it ends in the middle of a field")
        yield tag >> 3, message[at : at + size]
        at += size


def _message(content: memoryview | int) -> memoryview:
    if isinstance(content, int):
        raise ValueError("not a tf.train.Example: a number where a message is due")
    return content


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("not a tf.train.Example: a number of more than 64 bits")


def _varints(packed: memoryview) -> Iterator[int]:
    at = 0
    while at < len(packed):
        value, at = _varint(packed, at)
        yield value


def _signed(value: int) -> int:
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value
