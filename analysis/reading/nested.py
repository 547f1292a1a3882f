"""Objects of JSON as rows: every key once, and what is nested in columns with dots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from scaling.errors import DataError

__all__ = ["JOINED", "flat", "once"]

JOINED = "are called {!r}, once what is nested is joined by dots"


def once(
    where: str, pairs: Sequence[tuple[str, object]], said: str = "two keys of one object are called {!r}"
) -> dict[str, object]:
    """Make an object of these keys and values. Raises `DataError` for a key with two values, of which JSON would keep the last."""
    entry = dict(pairs)
    if len(entry) < len(pairs):
        again = next((name for name, value in pairs if repr(value) != repr(entry[name])), None)
        if again is not None:
            raise DataError(f"{where}: {said.format(again)}", hint="give each value a name of its own")
    return entry


def flat(entry: Mapping[str, object], where: str) -> dict[str, object]:
    """Make a row of an object: `{"config": {"lr": 1}}` → `config.lr`. A null in `config` becomes the word None: the setting has that value.

    Raises `DataError` where a key and a nested one give one name, with two values: `{"a.b": 1, "a": {"b": 2}}`.
    """
    return once(where, list(_pairs(entry, "")), f"two values of one run {JOINED}")


def _pairs(entry: Mapping[str, object], above: str) -> Iterator[tuple[str, object]]:
    for name, value in entry.items():
        if isinstance(value, Mapping) and value:
            yield from _pairs(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", "None" if value is None and above.startswith("config.") else value
