"""Refusals of a first line that does not name the columns: a title, a header too narrow for its rows, an unknown separator."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from analysis.reading.typed import is_missing_word
from scaling.columns import COLUMNS, column_name
from scaling.errors import DataError

__all__ = ["refuse_first_line", "refuse_other_separators"]

Rows = Sequence[tuple[int, Sequence[str]]]
"""The line number in the file, and the fields, of each row."""

_INTEGER = re.compile(r"\s*[+-]?\d+\s*")
_RULE = re.compile(r"[\s|:+-]*--[\s|:+-]*")


def refuse_other_separators(path: Path, first: int, names: Sequence[str], rows: Rows, separator: str) -> None:
    """Raise `DataError` for a table of Markdown, and for one whose columns blanks separate: `12 3` is never read as one field or two."""
    if not rows:
        return
    line, second = rows[0]
    text = "|".join(second)
    if separator == "|" and _RULE.fullmatch(text):
        raise DataError(
            f"{path}: line {line} ({text[:60]!r}) is the rule of a table in Markdown, not a run",
            hint="leave only pipes between the columns: "
            rf"sed -E '{line}d; s/^ *\| *//; s/ *\| *$//; s/ *\| */|/g' {path.name} > {path.stem}_table.csv",
        )
    fields = [list(names), *(row for _, row in rows)]
    words = [len(row[0].split()) for row in fields if len(row) == 1]
    if (
        len(words) == len(fields)
        and words[0] > 1
        and set(words[1:]) in ({words[0]}, {words[0] + 1})
        and _numbers(second[0].split())
    ):
        unnamed = f"; {first}s/^/row,/" if words[1] > words[0] else ""
        raise DataError(
            f"{path}: line {first} ({names[0][:60]!r}) is one field: blanks separate the columns",
            hint=f"put commas there: sed -E 's/^ +//; s/ +$//; s/[ \\t]+/,/g{unnamed}' {path.name} > {path.stem}_table.csv",
        )


def refuse_first_line(path: Path, first: int, names: Sequence[str], rows: Rows, mapped: Collection[str] = ()) -> None:
    """Raise `DataError` when the first line is not that of the column names, or has fewer of them than the rows have fields.

    mapped: names that `--map` asks for, which are known as ours are.
    """
    if not rows:
        return
    width, often = Counter(len(row) for _, row in rows).most_common(1)[0]
    if width > len(names) and often > len(rows) / 2:
        line, wide = next((line, row) for line, row in rows if len(row) == width)
        named = _has_names(names, mapped)
        header_below = not _numbers(wide) and (not named or _has_names(wide, mapped))
        if header_below or not (named or (len(names) > 1 and not _numbers(names))):
            raise DataError(
                f"{path}: line {first} ({', '.join(names)[:60]!r}) has {_fields(len(names))}, the lines below it have {width}: it does not "
                "name the columns",
                hint=f"delete what stands above the column names, e.g. tail -n +{line} {path.name} > {path.stem}_table.csv; or name every column, and "
                "put quotes around a field that holds the separator",
            )
        why, cure = _why_too_wide(path, first, len(names), rows)
        raise DataError(f"{path}: line {line} has {_fields(len(wide))}, the header {len(names)}{why}", hint=cure)
    _refuse_words_above_numbers(path, first, names, rows, mapped)


def _refuse_words_above_numbers(path: Path, first: int, names: Sequence[str], rows: Rows, mapped: Collection[str]) -> None:
    """Raise `DataError` for a second line of words above numbers: the column names, below a title, or units, below the names."""
    line, second = rows[0]
    named = _has_names(second, mapped) and not _has_names(names, mapped)
    if (len(rows) < 3 and not named) or _numbers(second):
        return
    texts = [place for place, field in enumerate(second) if field.strip() and not is_missing_word(field)]
    below = [
        place
        for place in texts
        if all(is_missing_word(row[place]) or _is_number(row[place]) for _, row in rows[1:] if place < len(row))
        and any(_is_number(row[place]) for _, row in rows[1:] if place < len(row))
    ]
    if below and (named or not _numbers(names) or len(below) == len(names)):
        wrong = first if _has_names(second, mapped) or _numbers(names) else line
        raise DataError(
            f"{path}: line {line} ({', '.join(second)[:60]!r}) has words where the lines below it have numbers",
            hint=f"the first line names the columns, and the runs follow at once: delete line {wrong}",
        )


def _why_too_wide(path: Path, first: int, width: int, rows: Rows) -> tuple[str, str]:
    """Explain why rows have more fields than a sound header, as far as they tell. Returns the reason and the cure."""
    fields = [field.strip() for _, row in rows for field in row]
    if any(field.startswith("'") for field in fields) and any(field.endswith("'") for field in fields):
        return ": single quotes do not hold a field together", (
            f"write double quotes: tr \"'\" '\"' < {path.name} > {path.stem}_quoted.csv"
        )
    points = any("." in field and _is_number(field) for field in fields)
    if not points and all(sum(map(_is_integer, row)) >= 2 * (len(row) - width) for _, row in rows):
        halves = all(_in_pairs(row, len(row) - width) for _, row in rows if len(row) > width)
        joined = rf"{first + 1},$ s/(^|,)([+-]?[0-9]+),([0-9]+)/\1\2.\3/g"
        command = f": sed -E '{joined}' {path.name} > {path.stem}_points.csv" if halves and _alike(rows) else ""
        return ": is a comma both the separator and the decimal sign?", (
            f"put semicolons between the columns, quotes around numbers, or write decimals with a point{command}"
        )
    return "", 'put quotes around a field that holds the separator: "1,5"; or name every column, the first one too'


def _in_pairs(row: Sequence[str], extra: int) -> bool:
    """Say whether the whole numbers of the row stand in `extra` pairs, one behind the other, and nowhere else."""
    runs = [len(list(run)) for run in re.findall("1+", "".join("1" if _is_integer(field) else "0" for field in row))]
    return all(run % 2 == 0 for run in runs) and sum(runs) == 2 * extra


def _alike(rows: Rows) -> bool:
    return len({len(row) for _, row in rows}) == 1


def _has_names(fields: Sequence[str], mapped: Collection[str]) -> bool:
    return any(column_name(field.strip()) in COLUMNS or field.strip() in mapped for field in fields)


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"


def _numbers(fields: Sequence[str]) -> bool:
    return any(map(_is_number, fields))


def _is_integer(field: str) -> bool:
    return _INTEGER.fullmatch(field) is not None


def _is_number(field: str) -> bool:
    """Say whether a field is a number, whichever sign its decimals have."""
    return re.fullmatch(r"\s*[+-]?[\d.,]*\d[\d.,]*([eE][+-]?\d+)?\s*", field) is not None
