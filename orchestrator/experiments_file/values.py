"""Turns the text of a YAML file into plain values with the line of each, within stated limits.

PyYAML parses; what the values mean is decided here, so that nothing in a file can run code, grow without bound or end in a traceback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

__all__ = ["KEY", "MAX_DEPTH", "MAX_VALUES", "NotValues", "Values", "values_of"]

MAX_VALUES = 100_000
"""Most keys and values of a file together, each alias counted with all that it stands for."""
MAX_DEPTH = 64
"""Most lists and mappings in one another."""
_MAX_NUMBER = 3_000
"""Most characters of one number. Python itself prints no whole number of more than 4,300 digits."""

Place = tuple[str | int, ...]

_YAML = "tag:yaml.org,2002:"
_CONSTRUCTOR = SafeConstructor()
_SCALARS: dict[str, tuple[str, Callable[[yaml.ScalarNode], object]]] = {
    "null": ("null", _CONSTRUCTOR.construct_yaml_null),
    "bool": ("true or false", _CONSTRUCTOR.construct_yaml_bool),
    "int": ("a whole number", _CONSTRUCTOR.construct_yaml_int),
    "float": ("a number", _CONSTRUCTOR.construct_yaml_float),
}
_TEXTS = ("str", "merge", "value")  # `<<` and `=` are keys with a meaning, and plain text as values
_MAPPINGS, _SEQUENCES = ("map", "set"), ("seq", "omap", "pairs")
KEY = "[key]"
_FAULTY = object()


class NotValues(Exception):
    """Reports that a text cannot be read further: `line` (from 1), what is wrong there, and whether that is the syntax or a limit."""

    def __init__(self, line: int, problem: str, *, is_syntax: bool) -> None:
        super().__init__(problem)
        self.line, self.is_syntax = line, is_syntax
        self.problem = f"not YAML: {problem}" if is_syntax else problem


@dataclass
class Values:
    """Holds the values of a file.

    content: the value of the whole file. lines: the line, from 1, of each place. written: how a place that is no text is spelled in the
    file; of a key that is no text, at its own place with `KEY` before the last part. faults: line, place and message of each fault.
    """

    content: object = None
    lines: dict[Place, int] = field(default_factory=dict)
    written: dict[Place, tuple[str, object]] = field(default_factory=dict)
    faults: list[tuple[int, Place, str]] = field(default_factory=list)


def values_of(text: str) -> Values:
    """Read one YAML document; an empty one is None. Faults of single values are in `.faults`.

    Raises:
        NotValues: it is not YAML, or passes one of the limits `MAX_VALUES` and `MAX_DEPTH`.
    """
    root = _composed(text)
    walk = _Walk()
    if root is not None:
        walk.values.content = walk.value(root, ())
    return walk.values


class _Loader(yaml.SafeLoader):
    """Composes nodes, and stops at the limits: the composer of PyYAML calls itself for what is nested."""

    nodes = depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.nodes, self.depth = self.nodes + 1, self.depth + 1
        _check_limits(self.nodes, self.depth, self.peek_event().start_mark.line + 1)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        """Record in `style` that a tag says what the value is, as quotes do: `!!str 12` is a text."""
        is_plain = self.peek_event().implicit[0]
        node = super().compose_scalar_node(anchor)
        node.style = None if is_plain else node.style or "!"
        return node


def _composed(text: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NotValues(line, f"the character {chr(error.character)!r} is not allowed", is_syntax=True) from error
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotValues(mark.line + 1 if mark else 1, f"{error.problem or error.context}", is_syntax=True) from error
    except (ValueError, OverflowError) as error:  # "\UFFFFFFFF", a line number of a directive without end
        raise NotValues(loader.line + 1, str(error), is_syntax=True) from error
    finally:
        loader.dispose()


def _check_limits(nodes: int, depth: int, line: int) -> None:
    if nodes > MAX_VALUES:
        raise NotValues(line, f"more than {MAX_VALUES:,} keys and values, aliases written out", is_syntax=False)
    if depth > MAX_DEPTH:
        raise NotValues(line, f"more than {MAX_DEPTH} lists and mappings in one another", is_syntax=False)


class _Walk:
    """Turns nodes into values; `above` are the lists and mappings around the current one."""

    def __init__(self) -> None:
        self.values = Values()
        self.count = 0
        self.above: list[yaml.Node] = []

    def value(self, node: yaml.Node, place: Place) -> Any:
        line = self.values.lines.setdefault(place, node.start_mark.line + 1)
        self.count += 1
        _check_limits(self.count, len(self.above), line)
        if isinstance(node, yaml.ScalarNode):
            value = self.scalar(node, place)
            if not isinstance(value, str):
                self.values.written[place] = (node.value, value)
            return value
        if any(node is outer for outer in self.above):
            return self.fault(node, place, "this alias stands for what it is in")
        if node.tag.removeprefix(_YAML) not in (_MAPPINGS if isinstance(node, yaml.MappingNode) else _SEQUENCES):
            return self.fault(node, place, _odd_tag(node))
        self.above.append(node)
        held: object
        if isinstance(node, yaml.MappingNode):
            held = {key: self.value(found, (*place, key)) for key, found in self.entries(node, place).items()}
        else:
            held = [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
        self.above.pop()
        return held

    def entries(self, node: yaml.MappingNode, place: Place) -> dict[Any, yaml.Node]:
        """Return the nodes of a mapping by key: its own, and before them merged ones (`<<: *other`) that it does not replace.

        Records the lines of the keys.
        """
        own: dict[Any, tuple[int, yaml.Node]] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            self.count += 1
            line = key_node.start_mark.line + 1
            if key_node.tag == f"{_YAML}merge":
                if merged:
                    self.fault(key_node, place, "`<<` is given twice: `<<: [*one, *other]` merges several")
                merged.append(value_node)
                continue
            key = self.key(key_node, place)
            if key in own:
                self.fault(key_node, place, f"key {key!r} is given twice")
            if key is not _FAULTY:
                own[key] = (line, value_node)
        below: dict[object, yaml.Node] = {}
        for source in (source for value_node in merged[:1] for source in self.sources(value_node, place)):
            self.above.append(source)
            below = self.entries(source, place) | below  # the first of several counts
            self.above.pop()
        self.values.lines.update({(*place, key): line for key, (line, _) in own.items()})
        return below | {key: found for key, (_, found) in own.items()}

    def sources(self, node: yaml.Node, place: Place) -> Iterator[yaml.MappingNode]:
        """Yield the mappings that a `<<` merges."""
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            self.count += 1
            _check_limits(self.count, len(self.above), source.start_mark.line + 1)
            if not isinstance(source, yaml.MappingNode):
                self.fault(source, place, "`<<` merges mappings: write `<<: *name`, where `&name` stands before a mapping")
            elif any(source is outer for outer in self.above):
                self.fault(source, place, "this alias stands for what it is in")
            else:
                yield source

    def key(self, node: yaml.Node, place: Place) -> object:
        if not isinstance(node, yaml.ScalarNode):
            kind = "list" if isinstance(node, yaml.SequenceNode) else "mapping"
            self.fault(node, place, f"a {kind} cannot be a key: write a word before the colon")
            return _FAULTY
        key = self.scalar(node, place, otherwise=_FAULTY)
        if not isinstance(key, str) and key is not _FAULTY:
            self.values.written[(*place, KEY, key)] = (node.value, key)
        return key

    def scalar(self, node: yaml.ScalarNode, place: Place, otherwise: object = None) -> Any:
        tag, text = node.tag.removeprefix(_YAML), node.value
        if tag in _TEXTS:
            if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
                self.fault(node, place, "half a character or a NUL is in this text: leave it out")
                return otherwise
            return _number(text) if node.style is None and tag == "str" else text
        if tag == "timestamp":
            self.fault(node, place, f"YAML reads {_clipped(text)} as a date, and nothing here is one: in quotes it is a text")
            return otherwise
        if tag not in _SCALARS:
            self.fault(node, place, _odd_tag(node))
            return otherwise
        kind, construct = _SCALARS[tag]
        if len(text) > _MAX_NUMBER:
            self.fault(node, place, f"a number of {len(text):,} characters, and {_MAX_NUMBER:,} are the most")
            return otherwise
        try:
            return construct(node)
        except (ValueError, LookupError, ArithmeticError):
            self.fault(node, place, f"{_clipped(text)!r} is not {kind}, as its tag says")
            return otherwise

    def fault(self, node: yaml.Node, place: Place, message: str) -> None:
        self.values.faults.append((node.start_mark.line + 1, place, message))


def _odd_tag(node: yaml.Node) -> str:
    tag = node.tag if not node.tag.startswith(_YAML) else f"!!{node.tag.removeprefix(_YAML)}"
    return f"the tag {_clipped(tag)} means nothing here: leave it out"


def _clipped(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


def _number(text: str) -> object:
    """Read a number that YAML 1.1 takes for text, as `4e9` and `1e-3`; return any other text as it is."""
    if not any(digit in text for digit in "0123456789") or not set(text) <= set("0123456789.eE+-_"):
        return text
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if value.is_integer() and abs(value) >= 1 else value
