"""YAML that remembers its lines, so that an error can point at one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scaling.errors import DataNotFound, Fault, SpecError

__all__ = ["Document", "read_document"]

Path_ = Sequence[str | int]


@dataclass(frozen=True)
class Document:
    """A parsed file: `content` as plain values, and the line of each place in it."""

    file: str
    text: str
    content: dict[str, Any]
    lines: dict[tuple[str | int, ...], int]

    def fault(self, path: Path_, message: str) -> Fault:
        """A fault at a place; the line is that of the nearest enclosing place that is in the file."""
        place = tuple(path)
        while place and place not in self.lines:
            place = place[:-1]
        return Fault(self.file, self.lines.get(place, 1), _spelled(path), message)


def read_document(path: str | Path) -> Document:
    """Read a YAML mapping. Raises `DataNotFound` without a file, `SpecError` when it is not a YAML mapping or a key occurs twice."""
    file = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataNotFound(
            f"there is no file {file}", hint="`scaling submit experiments.yaml` wants the path of an experiments file"
        ) from None
    except (UnicodeDecodeError, IsADirectoryError, PermissionError) as error:
        raise SpecError(
            [Fault(file, None, "", f"cannot be read as text: {error}")], hint="an experiments file is YAML text"
        ) from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise SpecError(
            [Fault(file, mark.line + 1 if mark else None, "", f"not YAML: {problem}")],
            hint="check indentation, brackets and colons there",
        ) from error
    if not isinstance(root, yaml.MappingNode):
        raise SpecError(
            [Fault(file, 1, "", "not a mapping of keys to values")], hint="start with `name: …`, `models: […]`, `epochs: […]`"
        )
    lines: dict[tuple[str | int, ...], int] = {}
    twice: list[Fault] = []
    content = _walk(root, (), lines, twice, file)
    if twice:
        raise SpecError(twice, hint="keep one of them")
    return Document(file, text, content, lines)


def _walk(
    node: yaml.Node, path: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int], twice: list[Fault], file: str
) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = _scalar(key_node)
            line = key_node.start_mark.line + 1
            if key in found:
                twice.append(Fault(file, line, _spelled(path), f"key {key!r} is given twice"))
            lines[(*path, key)] = line
            found[key] = _walk(value_node, (*path, key), lines, twice, file)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_walk(item, (*path, index), lines, twice, file) for index, item in enumerate(node.value)]
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        value = loader.construct_object(node, deep=True)
    finally:
        loader.dispose()
    if isinstance(value, str) and node.style is None:  # type: ignore[attr-defined]
        return _number(value)
    return value


def _number(text: str) -> Any:
    """YAML 1.1 takes `4e9` and `1e-3` for text; here they are numbers."""
    if not any(digit in text for digit in "0123456789") or not set(text) <= set("0123456789.eE+-_"):
        return text
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if value.is_integer() and abs(value) >= 1 else value


def _spelled(path: Path_) -> str:
    spelled = ""
    for part in path:
        spelled += f"[{part}]" if isinstance(part, int) else f".{part}" if spelled else str(part)
    return spelled
