"""YAML with the line of each value, so that an error can point at one; or a dictionary in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from orchestrator.experiments_file.values import KEY, NotValues, values_of
from scaling.errors import DataNotFound, Fault, SpecError

__all__ = ["MAX_FAULTS", "Document", "document_of", "read_document", "shown_faults"]

Path_ = Sequence[str | int]

_IN_PYTHON = "experiments"
"""Name that faults give a dictionary, in place of a file's."""
MAX_CHARACTERS = 2_000_000
MAX_FAULTS = 50
"""How many faults of a file are shown at most."""
_MAX_MESSAGE = 1_000


@dataclass(frozen=True)
class Document:
    """Holds a parsed file: `content` as plain values, and the line of each place in it, None in a dictionary.

    written: see `orchestrator.experiments_file.values.Values`.
    block: name of the block whose keys `content` has; empty for the whole file. other_names: of keys that are called otherwise in it. See `part`.
    """

    file: str
    text: str
    content: dict[str, object]
    lines: Mapping[tuple[str | int, ...], int | None]
    written: dict[tuple[str | int, ...], tuple[str, object]] = field(default_factory=dict)
    block: str = ""
    other_names: Mapping[str, str] = field(default_factory=dict)

    def part(self, block: str, other_names: Mapping[str, str]) -> Document:
        """Return a block of the file as a document of its own, for faults of what it says and of what it leaves to the file.

        other_names: the file's name of a key → the block's.
        """
        content = self.content[block]
        return replace(self, content=content if isinstance(content, dict) else {}, block=block, other_names=other_names)

    @property
    def path(self) -> str:
        """Return the path as it was named; empty for a dictionary."""
        return "" if self.lines.get((), 1) is None else self.file

    def fault(self, path: Path_, message: str | BaseException) -> Fault:
        """Make a fault at a place, from a message or an exception.

        Its line is that of the nearest enclosing place that is in the file. Of a block, a key that it does not have is the file's.
        """
        text = str(message)
        if self.block:
            path, text = self._of_block(path, text)
        place = tuple(path)
        while place and place not in self.lines:
            place = place[:-1]
        fault = _fault(self.file, self.lines.get(place, 1), path, text)
        return replace(fault, cause=message) if isinstance(message, BaseException) else fault

    def _of_block(self, path: Path_, text: str) -> tuple[Path_, str]:
        """Return the path in the file of a path in the block, and what is wrong there."""
        if path and (other := self.other_names.get(str(path[0]))) in self.content:
            return (self.block, str(other)), text
        if not path or path[0] in self.content:
            return (self.block, *_there(self.content, path)), text
        return path, f"in {self.block}: {text}"

    def misread(self, path: Path_, *, key: bool = False) -> str:
        """Say how YAML reads the value (or the key) at a place that is no text, and how to write it as a text; empty where it is a text."""
        place = tuple(path)
        text, value = self.written.get((*place[:-1], KEY, *place[-1:]) if key else place, ("", ""))
        if isinstance(value, str) or not text:
            return ""
        meaning = "nothing" if value is None else str(value).lower() if isinstance(value, bool) else f"the number {value}"
        return f'YAML reads {_clipped(text, 60)} as {_clipped(meaning, 60)}; a text is in quotes: "{_clipped(text, 60)}"'


def document_of(content: Mapping[str, object]) -> Document:
    """Make a document of a dictionary, as if it had been read from a file. Raises `SpecError` for values that no file could hold."""
    lines: dict[tuple[str | int, ...], int | None] = {(): None}
    faults: list[Fault] = []

    def plain(value: Any, place: tuple[str | int, ...]) -> Any:
        lines[place] = None
        if hasattr(value, "tolist"):  # of NumPy
            value = value.tolist()
        if isinstance(value, Mapping):
            return {key: plain(part, (*place, key)) for key, part in value.items()}
        if isinstance(value, list | tuple | range):
            return [plain(part, (*place, index)) for index, part in enumerate(value)]
        if value is not None and type(value) not in (bool, int, float, str):
            faults.append(_fault(_IN_PYTHON, None, place, f"{value!r} is no text, number, list or mapping"))
        return value

    values = plain(content, ())
    if faults:
        raise SpecError(shown_faults(faults), hint="a dictionary holds what a file could: plain values")
    return Document(_IN_PYTHON, yaml.safe_dump(values, sort_keys=False, allow_unicode=True), values, lines)


def read_document(path: str | Path) -> Document:
    """Read a YAML mapping.

    Top-level keys that begin with `x-` are left out: they hold what anchors name. `<<: *name` merges.

    Raises:
        DataNotFound: there is no such file.
        SpecError: it is not a YAML mapping, a key occurs twice, a value is of an unknown kind, or it passes a limit.
    """
    file = str(path)
    text = _text(path)
    try:
        values = values_of(text)
    except NotValues as error:
        hint = "check indentation, brackets and colons there" if error.is_syntax else "an experiments file is a page of YAML"
        raise SpecError([_fault(file, error.line, (), error.problem)], hint=hint) from error
    if values.faults:
        faults = [_fault(file, line, place, message) for line, place, message in dict.fromkeys(values.faults)]
        raise SpecError(shown_faults(faults), hint="mend these first: what else may be wrong is said then")
    if not isinstance(values.content, dict):
        raise SpecError(
            [Fault(file, 1, "", "not a mapping of keys to values")], hint="start with `name: …`, `models: […]`, `epochs: […]`"
        )
    content = {key: value for key, value in values.content.items() if not str(key).startswith("x-")}
    return Document(file, text, content, values.lines, values.written)


def shown_faults(faults: Sequence[Fault], total: int = 0) -> list[Fault]:
    """Return the first `MAX_FAULTS` faults, and a last one that counts the rest: of `total`, or of those given where these are more."""
    more = max(total, len(faults)) - MAX_FAULTS
    return [*faults[:MAX_FAULTS], *([Fault(faults[0].file, None, "", f"{more:,} more faults")] if more > 0 else [])]


def _text(path: str | Path) -> str:
    file = str(path)
    try:
        with Path(path).open(encoding="utf-8") as opened:
            text = opened.read(MAX_CHARACTERS + 1)
    except FileNotFoundError:
        raise DataNotFound(
            f"there is no file {file}",
            hint="`scaling submit` wants the path of an experiments file; `scaling init` writes a first one",
        ) from None
    except (UnicodeDecodeError, OSError) as error:
        raise SpecError(
            [Fault(file, None, "", f"cannot be read as text: {error}")], hint="an experiments file is YAML text"
        ) from error
    if len(text) > MAX_CHARACTERS:
        raise SpecError(
            [Fault(file, text.count("\n") + 1, "", f"more than {MAX_CHARACTERS:,} characters")],
            hint="an experiments file is YAML text of a few lines",
        )
    return text


def _there(content: Any, path: Path_) -> Path_:
    """Return the beginning of a path that leads to something: a block may say in a number what the file says in a list."""
    for length, part in enumerate(path):
        if isinstance(content, Mapping):
            content = content.get(part)
        elif isinstance(content, list) and isinstance(part, int):
            content = content[part] if part < len(content) else None
        else:
            return path[:length]
    return path


def _fault(file: str, line: int | None, path: Path_, message: str) -> Fault:
    return Fault(file, line, _spelled(path), _clipped(message, _MAX_MESSAGE))


def _clipped(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _spelled(path: Path_) -> str:
    spelled = ""
    for part in path:
        name = _clipped(str(part), 100)
        spelled += f"[{name}]" if type(part) is int and spelled else f".{name}" if spelled else name
    return spelled
