"""An experiments file whose runs are trained by a program of the user's: what it may say, and the card of its data."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from math import isfinite
from pathlib import Path

from orchestrator.experiments_file.document import Document
from orchestrator.experiments_file.fields import ModelField, Spec
from orchestrator.program import FIELDS, SCORES, fields_in, why_no_name
from scaling.columns import COLUMNS
from scaling.errors import Fault, UsageError, nearest
from trainer.data import DataCard

__all__ = ["FACTS", "folder_of", "program_card", "program_faults", "settings_of", "without_ours"]

FACTS = ("params", "macs")
"""What a model may state of itself: its trainable parameters, and its multiply–accumulates an example. They are no settings, and not in ids."""

_OURS = (
    "schedule",
    "optimizer",
    "numerics",
    "label_smoothing",
    "augment",
    "ema",
    "sam",
    "recipes",
    "execution",
    "simulate",
    "finetune",
)
"""Keys of our own trainer, of which a program would not know."""
_DATA = ("name", "train_examples")


def folder_of(document: Document) -> Path:
    """Return the folder in which a program is started: that of the file, or the working directory for a dictionary."""
    return Path(document.path).absolute().parent if document.path else Path.cwd()


def program_card(spec: Spec) -> DataCard:
    """Describe a program's data as far as the file does: their version, and how many examples there are, 0 where it does not say."""
    assert spec.trainer is not None
    options = spec.dataset.options
    version = hashlib.sha256(f"{spec.dataset.name}\0{spec.trainer.data_version}".encode()).hexdigest()[:16]
    return DataCard(spec.dataset.name, version, 0, (0, 0, 0), int(options.get("train_examples", 0)), 0)  # type: ignore[call-overload]


def without_ours(document: Document) -> tuple[Document, list[Fault]]:
    """Take the keys of our own trainer out of a file with a program, whatever they hold, and give a fault for each."""
    if document.content.get("trainer") is None:
        return document, []
    told = "is of our own trainer: tell the program by a word of its command, or by a field of its models"
    faults = [document.fault((key,), f"{key!r} {told}") for key in document.content if key in _OURS]
    return replace(document, content={key: value for key, value in document.content.items() if key not in _OURS}), faults


def program_faults(spec: Spec, document: Document) -> Iterator[Fault]:
    """Yield the faults of a file with a program: of its command, its models' fields and its data."""
    if spec.simulate is not None:
        yield document.fault((), "a program cannot be rehearsed: how its loss falls is not stated")
    if (spec.resources.hosts or 1) > 1:
        yield document.fault(
            ("resources", "hosts"), "a program runs on one host: start several processes there, by torchrun as its command"
        )
    assert spec.trainer is not None
    if (metric := spec.trainer.metric) not in SCORES and (why := why_no_name(metric)) is not None:
        yield document.fault(("trainer", "metric"), f"{metric!r} {why}: call the metric otherwise")
    yield from _model_faults(spec, document)
    of_command = list(_command_faults(spec, document))
    yield from of_command or _untold(spec, document)  # a field that is misspelt is told once
    options = spec.dataset.options
    yield from (
        document.fault(("dataset", key), f"unknown key {key!r}{nearest(key, _DATA)} (a program's data have {', '.join(_DATA)})")
        for key in options
        if key not in _DATA
    )
    examples = options.get("train_examples", 1)
    if isinstance(examples, bool) or not isinstance(examples, int) or not 0 < examples <= 2**53:
        yield document.fault(("dataset", "train_examples"), f"{examples!r} is no number of examples")


def _model_faults(spec: Spec, document: Document) -> Iterator[Fault]:
    names: list[str] = []
    for index, model in enumerate(spec.models):
        if model.name in names:
            yield document.fault(("models", index), f"model {model.name!r} is given twice")
        names.append(model.name)
        if model.source is not None:
            yield document.fault(
                ("models", index, "source"), "'source' names a family for our own trainer; a program has its own models"
            )
        for name, value in model.options.items():
            place = ("models", index, name)
            if name in FACTS:
                if isinstance(value, bool) or not isinstance(value, int | float) or not (isfinite(value) and 0 < value < 2**62):
                    yield document.fault(place, f"{name} is {value!r}: it is a number above 0")
            elif not isinstance(value, str | int | float | bool):
                yield document.fault(place, f"{name} is {value!r}: a field of a model is a text, a number, or true or false")
            elif name in FIELDS:
                yield document.fault(place, f"{name!r} is given to every run: a field of a model needs another name")
            elif (why := why_no_name(name)) is not None:
                yield document.fault(place, f"{name!r} {why}: a field of a model needs another name")


def _command_faults(spec: Spec, document: Document) -> Iterator[Fault]:
    assert spec.trainer is not None
    known = list(dict.fromkeys([*FIELDS, *(name for model in spec.models for name in settings_of(model) if name not in COLUMNS)]))
    for index, word in enumerate(spec.trainer.command):
        place = ("trainer", "command", index)
        try:
            names = fields_in(word)
        except UsageError as error:
            yield document.fault(place, f"{error} ({error.hint})")
            continue
        for name in names:
            if name == "batch_size" and not spec.batch_size:
                yield document.fault(place, "{batch_size}: the file has no batch_size")
            elif name in FACTS:
                yield document.fault(
                    place,
                    f"{{{name}}}: {' and '.join(FACTS)} are no settings, and no part of the ids: give the program a field of your own",
                )
            elif name not in known:
                yield document.fault(
                    place, f"{{{name}}}: no model has this field{nearest(name, known)} (known: {', '.join(known)})"
                )
            elif without := [model.name for model in spec.models if name not in (*FIELDS, *settings_of(model))]:
                yield document.fault(
                    place, f"{{{name}}}: {', '.join(without[:5])} ha{'s' if len(without) == 1 else 've'} no such field"
                )
        if not names and word.endswith(".py") and not (folder_of(document) / word).is_file():
            yield document.fault(place, f"there is no file {word!r} in the folder of the file")
    program = spec.trainer.command[0]
    if not fields_in_quietly(program) and not _is_there(program, folder_of(document)):
        yield document.fault(("trainer", "command", 0), f"there is no command {program!r} here that can be started")


def _untold(spec: Spec, document: Document) -> Iterator[Fault]:
    """Yield what the file varies and the command does not name: several runs would be one and the same training."""
    assert spec.trainer is not None
    place, command = ("trainer", "command"), spec.trainer.command
    named = {name for word in command for name in fields_in(word)}
    fields = spec.rates.values()
    rates = {rate for field in fields for epochs in spec.epochs for rate in field.of_budget(epochs)}
    is_searched = any(field.policy for field in fields)
    for name, count in (("epochs", len(spec.epochs)), ("learning_rate", len(rates)), ("seed", len(spec.seeds))):
        if name not in named and (count > 1 or (name == "learning_rate" and is_searched)):
            which = "that the file searches for" if name == "learning_rate" and is_searched else f"of which the file has {count}"
            yield document.fault(place, f"no word names {{{name}}}, {which}: the program would train the same again")
    models: dict[tuple[str, ...], str] = {}
    given = {name: f"{{{name}}}" for name in FIELDS}
    for model in spec.models:
        words = tuple(word.format(**{**given, **settings_of(model), "model": model.name}) for word in command)
        if (other := models.setdefault(words, model.name)) != model.name:
            yield document.fault(
                place, f"its words are the same for {other} and {model.name}: name {{model}}, or a field in which they differ"
            )
            return


def settings_of(model: ModelField) -> dict[str, object]:
    """Return the fields of a model but for what it states of itself."""
    return {name: value for name, value in model.options.items() if name not in FACTS}


def fields_in_quietly(word: str) -> bool:
    """Say whether a word has a field in braces, or braces that make none."""
    try:
        return bool(fields_in(word))
    except UsageError:
        return True


def _is_there(program: str, folder: Path) -> bool:
    if "/" in program:
        return os.access(folder / program, os.X_OK) and (folder / program).is_file()
    return shutil.which(program) is not None
