"""Reads reference points: those that come with the package, and a user's CSV."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from analysis.reference_points.point import ReferencePoint
from scaling.accelerators import canonical
from scaling.errors import DataError, DataNotFound, nearest

__all__ = ["NAMES", "TOP1", "points_of"]

NAMES = {"published": "published", "digitised": "figure 1 of the NFNet study, digitised"}
"""The series that come with the package, each a CSV in this folder; and what a figure calls it."""

TOP1 = "top1_error"
"""A column of this name is any metric that ends so: `finetune_top1_error`, `val_top1_error`."""

_OPTIONAL = ("accelerator", "bound", "factor", "factor_to", "factor_source", "source")
_HEAD = "reference points are a CSV: name, core_hours (or another x), the metric; and, where wanted, accelerator, source"


def points_of(which: str, *, metric: str, x: str) -> list[ReferencePoint]:
    """Read the series of this name, else the CSV at this path.

    A file has the columns `name`, x and the metric, and may have `accelerator`, `source`, `bound` (`>` where compute is more than that), and `factor`,
    `factor_to`, `factor_source` of a conversion. A column `top1_error` is any metric that ends so.

    Raises:
        DataNotFound: there is no such file.
        DataError: the file is no such table, with its line: a column is missing, a number is none, an error is in per cent, or a row has no compute.
    """
    ours = which in NAMES
    path = Path(__file__).with_name(f"{which}.csv") if ours else Path(which)
    rows = _rows(path, ours=ours)
    head = rows[0][1]
    column = metric if metric in head else TOP1 if metric.endswith(TOP1) and TOP1 in head else None
    if "name" not in head:
        raise _bad(path, 1, f"no column name; the file has {', '.join(head)}")
    if column is None:
        raise _bad(path, 1, f"no column {metric}, which the frontier is of{nearest(metric, head)}; the file has {', '.join(head)}")
    if x not in head:
        raise _bad(path, 1, f"no column {x}, the compute of the frontier{nearest(x, head)}; the file has {', '.join(head)}")
    found = [_point(path, line, dict(zip(head, cells, strict=True)), column, x, ours) for line, cells in rows[1:]]
    if not found:
        raise _bad(path, 1, "no reference point")
    return found


def _point(path: Path, line: int, cells: dict[str, str], metric: str, x: str, ours: bool) -> ReferencePoint:
    name = cells["name"]
    if not name:
        raise _bad(path, line, "a point without a name")
    if not cells[x] and not ours:  # ours has one whose compute nobody published
        raise _bad(path, line, f"{name} has no {x}, so that it has no place beside the frontier")
    value = _number(path, line, name, metric, cells[metric])
    if metric.endswith(TOP1) and value > 1:
        raise _bad(path, line, f"{metric} of {name} is {value:g}, and must be a share, 0 … 1")
    factor = cells.get("factor", "")
    if factor and not cells.get("factor_to"):
        raise _bad(path, line, f"{name} has a factor, and no factor_to says of which accelerator")
    return ReferencePoint(
        name=name,
        series=path.stem if ours else path.name,
        value=value,
        stated=_number(path, line, name, x, cells[x]) if cells[x] else None,
        accelerator=canonical(cells.get("accelerator", "")) if cells.get("accelerator") else "",
        is_bound=cells.get("bound", "") in (">", ">="),
        factor=_number(path, line, name, "factor", factor) if factor else None,
        factor_to=canonical(cells["factor_to"]) if factor else "",
        factor_source=cells.get("factor_source", ""),
        source=cells.get("source", ""),
    )


def _rows(path: Path, *, ours: bool) -> list[tuple[int, list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            lines = csv.reader(opened, strict=True)
            rows = [(lines.line_num, [cell.strip() for cell in row]) for row in lines if any(map(str.strip, row))]
    except FileNotFoundError:
        hint = f"known: {', '.join(NAMES)}; or a file of your own: {_HEAD}"
        raise DataNotFound(f"there are no reference points {str(path)!r}{nearest(str(path), NAMES)}", hint=hint) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV: {error}", hint=_HEAD) from error
    if not rows:
        raise _bad(path, 1, "the file is empty")
    width = len(rows[0][1])
    for line, cells in rows[1:]:
        if len(cells) != width:
            raise _bad(path, line, f"{len(cells)} cells under {width} columns")
    return rows


def _number(path: Path, line: int, name: str, column: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise _bad(path, line, f"{column} of {name} is {text[:40]!r}, and must be a number greater than 0")
    return number


def _bad(path: Path, line: int, problem: str) -> DataError:
    return DataError(f"{path}:{line}: {problem}", hint=_HEAD)
