"""Every command: what it does, its arguments and options, its examples, as `--help` has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import typer.main

from docs.reference.docstrings import first_sentence
from docs.reference.markdown import code, link, table
from scaling.cli.app import app

__all__ = ["text"]


def text() -> str:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    listed = table(
        ("command", "what it does"), ((link(code(f"scaling {name}")), first_sentence(each.help)) for name, each in commands.items())
    )
    return "\n\n".join([listed, *("\n\n".join(_parts(name, command)) for name, command in commands.items())])


def _parts(name: str, command: Any) -> Iterator[str]:
    yield f"## `scaling {name}`"
    yield from (" ".join(paragraph.split()) for paragraph in command.help.split("\n\n"))
    arguments = [each for each in command.params if type(each).__name__ == "TyperArgument"]
    options = [each for each in command.params if each not in arguments and not getattr(each, "hidden", False)]
    if arguments:
        yield table(
            ("argument", "", "meaning"),
            ((code(_usage(each)), "required" if each.required else "may be left out", each.help or "") for each in arguments),
        )
    if options:
        yield table(
            ("option", "takes", "default", "meaning"),
            ((", ".join(map(code, _spelled(each))), _takes(each), _default(each), each.help or "") for each in options),
        )
    examples = "\n".join(line for line in (command.epilog or "").splitlines() if line.strip())
    yield f"```sh\n{examples}\n```"


def _usage(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()).strip("[]")
    return f"{name} …" if argument.nargs == -1 and "…" not in name else name


def _spelled(option: Any) -> list[str]:
    return [*option.opts, *option.secondary_opts]


def _takes(option: Any) -> str:
    if option.is_flag:
        return ""
    if option.metavar:
        return code(option.metavar)
    kind = option.type_descriptor.annotation
    inside = [each for each in get_args(kind) if each is not type(None)] if get_origin(kind) else [kind]
    word = {"int": "whole number", "float": "number", "Path": "file"}.get(getattr(inside[0], "__name__", ""), "text")
    return f"{word}, repeatable" if option.multiple else word


def _default(option: Any) -> str:
    value = option.default
    if option.is_flag or value in (None, "", ()) or callable(value):
        return ""
    return code(re.sub(r"^[A-Za-z]+\.", "", str(getattr(value, "value", value))))
