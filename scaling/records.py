"""One way from a frozen dataclass to plain JSON values and back, for what goes from process to process and into the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, fields
from typing import Any, ClassVar, Self, dataclass_transform

__all__ = ["Record"]


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Record:
    """Turns itself into a plain dictionary and back. What goes from process to process is a subclass, and so a frozen dataclass.

    kw_only: whether its fields must be named. _read: field → function that makes its value of the plain one, where they differ.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    _read: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}

    def __init_subclass__(cls, *, kw_only: bool = True) -> None:
        dataclass(frozen=True, kw_only=kw_only)(cls)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values by the names of the fields. A None that is also the field's default is left out."""
        told = [(each.name, getattr(self, each.name), each.default) for each in fields(self)]
        return {name: _plain(value) for name, value, default in told if value is not None or default is not None}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote, in this version or another: unknown fields are passed over, missing ones take their default."""
        told = {each.name: content[each.name] for each in fields(cls) if each.name in content}
        read = {name: cls._read[name](told[name]) for name in cls._read.keys() & told.keys() if told[name] is not None}
        return cls(**told | read)


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
