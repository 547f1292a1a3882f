"""The labels of Parquet files: whole numbers of any type, or text, whose classes are numbered in the order of their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scaling.errors import DataError

if TYPE_CHECKING:
    from pyarrow import ChunkedArray

__all__ = ["read_labels"]

_HINT = "label_column names another column; write a label of one class a row, as a whole number or as text"


def read_labels(
    columns: Sequence[tuple[str, ChunkedArray]], classes: Sequence[str] | None = None
) -> tuple[np.ndarray, list[str] | None]:
    """Read the labels of a split as class numbers.

    Args:
        columns: (file, its column of labels), one after the other.
        classes: of text, those that there are; None takes what is there.

    Returns:
        [rows] int32, −1 where a row has none, which no class count allows; and the classes of text, None of numbers.

    Raises:
        DataError: labels that are neither, or of a class that is not among `classes`.
    """
    import pyarrow as pa

    plain = [(path, _plain(column)) for path, column in columns]
    kinds = {pa.types.is_string(column.type) for _, column in plain}
    if len(kinds) > 1:
        raise DataError(
            f"{plain[0][0]} and files beside it have labels that are text here and numbers there", hint="write all alike"
        )
    if kinds == {True}:
        return _of_text(plain, classes)
    return np.concatenate([_whole_numbers(path, column) for path, column in plain]), None


def _plain(column: ChunkedArray) -> ChunkedArray:
    """Return a column without dictionaries, and with text of any kind as one type."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if any(is_text(column.type) for is_text in (pa.types.is_large_string, pa.types.is_string_view)):
        column = column.cast(pa.string())
    return column


def _of_text(columns: Sequence[tuple[str, ChunkedArray]], classes: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    import pyarrow as pa
    import pyarrow.compute as compute

    found = {name for _, column in columns for name in compute.unique(column).to_pylist() if name is not None}
    names = sorted(found) if classes is None else list(classes)
    if unknown := sorted(found - set(names)):
        shown = ", ".join(repr(name) for name in unknown[:5])
        raise DataError(
            f"{columns[0][0]}: labels that the training split has not: {shown}{', …' if len(unknown) > 5 else ''}",
            hint="both splits must have the same classes",
        )
    numbers = [compute.index_in(column, value_set=pa.array(names, pa.string())) for _, column in columns]
    return np.concatenate([column.fill_null(-1).to_numpy() for column in numbers]).astype(np.int32), names


def _whole_numbers(path: str, column: ChunkedArray) -> np.ndarray:
    import pyarrow as pa

    kind, types = column.type, pa.types
    if not any(fits(kind) for fits in (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_null)):
        raise DataError(f"{path}: a label is {kind}, neither a whole number nor text", hint=_HINT)
    try:
        return column.cast(pa.int64()).fill_null(-1).cast(pa.int32()).to_numpy()
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: a label is no class number: {(str(error).splitlines() or [''])[0]}", hint=_HINT) from None
