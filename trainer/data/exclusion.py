"""A list of images that are left out of training: a Parquet file, as `scaling dedup` writes it and `dataset: {exclude: …}` reads it.

A row says of one image that another is its duplicate. The file's metadata say which data sets it is of and which of their splits were
compared, so that a list without rows still tells that nothing was found.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from scaling.errors import DataFault, DataNotFound
from scaling.extras import needed_for

if TYPE_CHECKING:
    from pyarrow import Schema, Table

__all__ = ["Check", "ExclusionList", "ExclusionRow"]

FORMAT = 1
"""Version of the file, raised when a reader of the one before would misread it."""

Check = tuple[tuple[str, str], tuple[str, str]]
"""Two splits that were compared, each by the fingerprint of its data set and its name; twice the same one for a split in itself."""

_KEY = b"scaling.exclusion"
_HINT = "`scaling dedup FILE` writes a list for the data sets of an experiments file"


@dataclass(frozen=True, slots=True)
class ExclusionRow:
    """Says that an image has a duplicate, and where both are.

    data, partner_data: fingerprints of their data sets, as they are without any exclusion. split, partner_split: `train`, `validation`, or
        what else the set has. index: number in the split. id, partner: as `trainer.data.ids` calls them.
    rule: how it was found, `exact`, `perceptual` or `embedding`. distance: between the aligned pixels. orientation: in which one looks
        like the other. label, partner_label: their classes, where they are known; a file keeps them as text.
    """

    data: str
    split: str
    index: int
    id: str
    rule: str
    distance: float
    orientation: str
    label: str | int | None
    partner_data: str
    partner_split: str
    partner: str
    partner_label: str | int | None


@dataclass(frozen=True)
class ExclusionList:
    """Holds a list. checks: splits that were compared. names: fingerprint → name of a data set that the list is of.

    images: fingerprint → how many training images the data set has without any exclusion, where that is known. Some fingerprints leave
        out how many images are held out, and so which ones are.
    where: the file, as it was named; empty of a list that was made here.
    """

    rows: tuple[ExclusionRow, ...]
    checks: tuple[Check, ...]
    names: Mapping[str, str]
    images: Mapping[str, int] = field(default_factory=dict)
    where: str = field(default="", compare=False)

    @classmethod
    def read(cls, path: str | Path) -> ExclusionList:
        """Read a list. Raises `DataNotFound`, `MissingExtra`, and `DataFault` for a file that is none."""
        where, file = str(path), Path(path).expanduser()
        if not file.is_file():
            raise DataNotFound(f"there is no file {where}", hint=_HINT)
        table, about = _read(file, where)
        checks = about["checks"]
        if not len(table) and not checks:
            raise DataFault(f"{where} is empty, and says of no data that they were compared", hint=_HINT)
        rows = tuple(ExclusionRow(*row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True))
        return cls(rows, checks, about.get("names", {}), about.get("images", {}), where)

    def write(self, path: str | Path) -> None:
        """Write the list, in place of a file of this name. Raises `OSError`, `MissingExtra`."""
        arrow, schema = _pyarrow(), _schema()
        about = {"format": FORMAT, "checks": self.checks, "names": dict(self.names), "images": dict(self.images)}
        columns = {name: [getattr(row, name) for row in self.rows] for name in schema.names}
        for name in ("label", "partner_label"):
            columns[name] = [None if label is None else str(label) for label in columns[name]]
        table = arrow.table(columns, schema=schema.with_metadata({_KEY: json.dumps(about)}))
        file = Path(path).expanduser()
        beside = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            arrow.parquet.write_table(table, beside)
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)

    def training_rows(self, fingerprint: str) -> list[ExclusionRow]:
        """Return the rows of the training split of a data set; held-out images are never left out."""
        return [row for row in self.rows if row.data == fingerprint and row.split == "train"]

    def is_of(self, fingerprint: str) -> bool:
        """Say whether the list is of this data set: one that was compared, or one with rows."""
        compared = any(fingerprint == of for check in self.checks for of, _ in check)
        return compared or fingerprint in self.names or any(row.data == fingerprint for row in self.rows)

    def checked(self, data: str, other: str) -> bool:
        """Say whether the training split of `data` was compared with both splits of `other`. Both are fingerprints."""
        return all(((data, "train"), (other, split)) in self.checks for split in ("train", "validation"))

    @property
    def whose(self) -> str:
        """Name the data sets that the list is of, with their fingerprints."""
        of_rows = {row.data: row.data for row in self.rows}
        return (
            ", ".join((of_rows | {of: f"{name} ({of})" for of, name in self.names.items()}).values()) or "no data set that it names"
        )


def _read(file: Path, where: str) -> tuple[Table, Mapping[str, Any]]:
    """Read the rows and the metadata of a list; of a list of somebody's own there are no metadata, and no checks."""
    arrow, wanted = _pyarrow(), _schema()
    try:
        table = arrow.parquet.read_table(file)
    except (arrow.ArrowException, OSError) as error:
        raise DataFault(f"{where} is not a Parquet file: {(str(error).splitlines() or [''])[0]}", hint=_HINT) from error
    try:
        rows = table.select(wanted.names).cast(wanted)
    except (arrow.ArrowException, KeyError, ValueError) as error:
        raise DataFault(
            f"{where} is no list of images to leave out: its columns are {_columns(table.schema)}, and not {_columns(wanted)}",
            hint=_HINT,
        ) from error
    try:
        about = json.loads((table.schema.metadata or {}).get(_KEY, "{}"))
        if about.get("format", FORMAT) > FORMAT:
            raise DataFault(f"{where} was written by a later version of scaling", hint="upgrade this one, or make the list anew")
        checks = tuple(((one[0], one[1]), (other[0], other[1])) for one, other in about.get("checks", ()))
    except (ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise DataFault(f"{where}: its metadata are damaged: {error}", hint="make the list anew") from error
    return rows, {**about, "checks": checks}


def _schema() -> Schema:
    """Return the columns of a list, those of `ExclusionRow`, with their types."""
    arrow = _pyarrow()
    kinds = {"int": arrow.int64(), "float": arrow.float64()}
    return arrow.schema([(column.name, kinds.get(str(column.type), arrow.string())) for column in fields(ExclusionRow)])


def _columns(schema: Schema) -> str:
    named = [f"{column.name} ({column.type})" for column in schema]
    return ", ".join(named[:12]) + (", …" if len(named) > 12 else "")


def _pyarrow() -> ModuleType:
    with needed_for("lists of images to leave out need"):
        import pyarrow
        import pyarrow.parquet
    return pyarrow
