"""`read_spec`: turns an experiments file into a valid `Spec`, or raises every fault of it at once, with file, line and nearest name."""

from __future__ import annotations

import copy
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.experiments_file.accelerators import SETTINGS, AcceleratorField, accelerator_faults, settings_path
from orchestrator.experiments_file.declared import declared_faults
from orchestrator.experiments_file.document import MAX_FAULTS, Document, document_of, read_document, shown_faults
from orchestrator.experiments_file.fields import SimulateField, Spec
from orchestrator.experiments_file.finetuning import finetune_faults, finetuning_of
from orchestrator.experiments_file.program import folder_of, program_faults, without_ours
from orchestrator.experiments_file.recipe_faults import rate_faults, recipe_faults, search_faults
from orchestrator.experiments_file.words import SHOWN, listed, shown, unknown
from scaling.accelerators import ACCELERATORS, accelerator
from scaling.errors import DataError, DataNotFound, Fault, MissingExtra, ScalingError, SpecError, UnknownName, UsageError, nearest
from scaling.prices import CURRENCY, THE_FILES, amount_in, read_prices
from trainer import data, models
from trainer.data.images import optional
from trainer.data.kept import EXCLUDE, left_out

__all__ = ["read_spec"]

_SETTINGS_HINT = "a file of settings has the key `accelerators`, as an experiments file has it: `scaling docs experiments`"
_HOW_TO_PRICE = (
    "write a number, 2.5, one with its currency, 2.5 EUR, one for each accelerator, {H100: 2.5}, or the name of a CSV, prices.csv"
)
_HINT = "`scaling docs experiments` describes every field; `scaling submit FILE --dry-run` checks a file without running it"


def read_spec(study: str | Path | Mapping[str, Any], *, simulate: bool = False, uncut: bool = False) -> tuple[Spec, Document]:
    """Read and check an experiments file, or a dictionary of the same keys, whose faults are named by the keys that lead to them.

    simulate: as if the file had `simulate: {}`, unless it says more, under the name `<name>-simulated`.
    uncut: as if its data sets had no `exclude:`, for whoever makes that list.

    Raises:
        DataNotFound: there is no such file.
        SpecError: it has faults; all of them are in `.faults`.
    """
    document, of_prices = _with_prices(document_of(study) if isinstance(study, Mapping) else read_document(study))
    document, of_ours = without_ours(_uncut(document) if uncut else document)
    first = [*of_prices, *of_ours]
    try:
        spec = Spec.model_validate(document.content)
    except ValidationError as error:
        details = error.errors()
        faults = [*first, *(_fault(document, detail) for detail in details[:MAX_FAULTS]), *_faults_of_the_rest(document, error)]
        raise SpecError(shown_faults([*dict.fromkeys(faults)], len(details)), hint=_HINT) from _cause(faults)
    spec = _with_settings(spec)
    if simulate:
        rehearsal = {"name": f"{spec.name}-simulated", "simulate": spec.simulate or SimulateField()}
        spec = spec.model_copy(update=rehearsal)
    faults = [*dict.fromkeys([*first, *_cross_checks(spec, document)])]
    if faults:
        raise SpecError(shown_faults(faults), hint=_HINT) from _cause(faults)
    return spec, document


def _uncut(document: Document) -> Document:
    """Return the document with no `exclude` in its data sets, those of a block too."""

    content: dict[str, Any] = copy.deepcopy(document.content)
    for part in (content, content.get("finetune")):
        if isinstance(part, dict) and isinstance(part.get("dataset"), dict):
            part["dataset"].pop("exclude", None)
    return replace(document, content=content)


class _Settings(BaseModel):
    """Holds what a user's file of settings says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accelerators: list[AcceleratorField] = []


def _with_settings(spec: Spec) -> Spec:
    """Return the spec with the accelerators that it names as a user's settings declare them, where the file itself does not.

    `gpu` may be any of them. Its own accelerator is then called by its name, not by an alias.

    Raises `SpecError` for faults of the settings, `DataNotFound` where they are named and not there.
    """
    cards = list(spec.accelerators)
    if (path := settings_path()) is not None:
        wanted, own = {spec.resources.accelerator, *spec.price}, {field.name for field in cards}
        is_any = spec.resources.accelerator == "gpu"
        cards += [
            field
            for field in _settings(path)
            if field.name not in own and (is_any or not wanted.isdisjoint((field.name, *field.aliases)))
        ]
    with suppress(UnknownName):
        name = accelerator(spec.resources.accelerator, [field.card for field in cards]).name
        spec = spec.model_copy(update={"resources": spec.resources.model_copy(update={"accelerator": name})})
    return spec.model_copy(update={"accelerators": cards})


def _settings(path: Path) -> list[AcceleratorField]:
    try:
        document = read_document(path)
    except DataNotFound:
        raise DataNotFound(f"there is no file {path}", hint=f"{SETTINGS} names it: unset it, or write the file") from None
    try:
        fields = _Settings.model_validate(document.content).accelerators
    except ValidationError as error:
        faults = [_fault(document, detail) for detail in error.errors()[:MAX_FAULTS]]
        raise SpecError(faults, hint=_SETTINGS_HINT) from None
    if faults := list(accelerator_faults(fields, document)):
        raise SpecError(shown_faults(faults), hint=_SETTINGS_HINT)
    return fields


def _with_prices(document: Document) -> tuple[Document, list[Fault]]:
    """Put numbers into the place of what else `price:` may be, and the currency that is given with them beside it; with what is wrong there.

    These are an amount with its currency, `2.5 EUR`, also of one accelerator, and the name of a CSV, which is from the file's folder.
    """
    if "price" not in document.content:
        return document, []
    given, labels, faults = document.content["price"], set[str](), list[Fault]()
    price: Any = given
    if isinstance(given, Mapping) and given:
        amounts = {name: amount_in(one) if isinstance(one, str) else None for name, one in given.items()}
        labels = {found[1] for found in amounts.values() if found}
        price = {name: found[0] if (found := amounts[name]) else one for name, one in given.items()}
        wrong = [name for name, one in price.items() if isinstance(one, bool)]  # which pydantic would take for 1
        faults += [document.fault(("price", name), f"{price.pop(name)} is no price: write a number, 2.5") for name in wrong]
    elif isinstance(given, str) and (amount := amount_in(given)):
        price, labels = amount[0], {amount[1]}
    elif isinstance(given, str) and (given.lower().endswith(".csv") or (folder_of(document) / given).is_file()):
        price = _STAND_INS["price"]
        try:
            price = read_prices(folder_of(document) / given, [*ACCELERATORS, *_declared_names(document)])
        except ScalingError as error:
            faults.append(document.fault(("price",), error))
    elif isinstance(given, bool) or not isinstance(given, int | float):
        price = _STAND_INS["price"]
        faults.append(document.fault(("price",), f"{shown(given)} is no price: {_HOW_TO_PRICE}"))
    labels |= {str(document.content["currency"])} if "currency" in document.content else set()
    if len(named := sorted(label for label in labels if label)) > 1:
        faults.append(document.fault(("price",), f"the currency is given twice: {' and '.join(named)}; nothing is converted"))
    content = document.content | {"price": price} | ({"currency": named[0]} if named else {})
    return replace(document, content=content), faults


def _declared_names(document: Document) -> Iterator[str]:
    """Yield the names and aliases that the file and a user's settings declare; what is wrong with those is told elsewhere."""
    cards = document.content.get("accelerators")
    fields: list[Any] = list(cards) if isinstance(cards, list) else []
    with suppress(ScalingError):
        if (path := settings_path()) is not None:
            fields += [field.model_dump() for field in _settings(path)]
    for card in fields:
        if isinstance(card, Mapping):
            aliases = card.get("aliases")
            yield from (
                name for name in (card.get("name"), *(aliases if isinstance(aliases, list) else ())) if isinstance(name, str)
            )


def _cause(faults: Iterable[Fault]) -> BaseException | None:
    """Return the first exception that a fault is made of, for `--debug`."""
    return next((fault.cause for fault in faults if fault.cause is not None), None)


_MAX_EXAMPLES = 2**53
"""Most examples that a run can count: steps and positions are exact as float64 up to here."""
_STAND_INS: dict[str, object] = {"name": "unnamed", "epochs": [1], "batch_size": 232_792_560, "learning_rate": 1, "price": 1.0}
"""Values in place of faulty keys that a file, or a budget in money, must have, so that the other keys can be checked all the same. The batch is large, and a
multiple of every number up to 20: no micro-batch or number of repeats is wrong for it."""


def _faults_of_the_rest(document: Document, error: ValidationError) -> Iterator[Fault]:
    """Yield the cross-check faults of a file without its faulty keys: a user mends all faults at once, not in two rounds."""
    faulty = {str(detail["loc"][0]) for detail in error.errors() if detail["loc"]}
    if "trainer" in faulty:
        return  # who trains the runs decides what the other keys mean
    if "epochs" in faulty:
        faulty |= {"learning_rate", "schedule"}  # they speak of epoch budgets
    if "recipes" in faulty:
        faulty |= {"learning_rate"}  # they may be where it is
    if "accelerators" in faulty:
        faulty |= {"resources"}  # it may name one of them
    sound = {key: value for key, value in document.content.items() if key not in faulty}
    try:
        spec = Spec.model_validate({key: value for key, value in _STAND_INS.items() if key in faulty} | sound)
    except ValidationError:
        return  # without models or data there is nothing to check
    for fault in _cross_checks(spec, document):
        if fault.path.partition("[")[0].partition(".")[0] not in faulty:
            yield fault


def _cross_checks(spec: Spec, document: Document) -> Iterator[Fault]:
    """Yield the faults that no field can know alone: names that must exist, and fields that must fit together."""
    yield from accelerator_faults(spec.accelerators, document)
    try:
        accelerator(spec.resources.accelerator, [field.card for field in spec.accelerators])
    except UnknownName as error:
        named = error.known
        yield unknown(document, ("resources", "accelerator"), "accelerator", spec.resources.accelerator, named, hint=error.hint)
    if spec.simulate is not None and spec.resources.accelerator == "gpu":
        yield document.fault(
            ("resources", "accelerator"), "a rehearsal goes by the speed of an accelerator: name one in place of gpu"
        )
    yield from _money_faults(spec, document)
    yield from _training_faults(spec, document)
    if spec.finetune is not None and spec.trainer is None:
        part = document.part("finetune", {"models": "model"})
        yield from finetune_faults(spec, part)
        yield from _training_faults(finetuning_of(spec), part, spec)


def _training_faults(spec: Spec, document: Document, before: Spec | None = None) -> Iterator[Fault]:
    """Yield the faults of how runs are trained, in pre-training or in fine-tuning. before: what `spec` fine-tunes."""
    yield from program_faults(spec, document) if spec.trainer else _model_faults(spec, document)
    yield from rate_faults(spec, document)
    for field in ("epochs", "seeds", "evaluate_at"):
        seen: set[float] = set()
        for index, value in enumerate(getattr(spec, field)):
            if value in seen and not document.block:
                yield document.fault((field, index), f"{value:g} is given twice")
            seen.add(value)
    yield from recipe_faults(spec, document)
    for path, message in spec.execution.clashes(spec.resources):
        yield document.fault(path, message)
    yield from search_faults(spec, document)
    if spec.trainer is not None:
        return
    if not document.block and (missing := [name for name in ("dataset", "batch_size") if name not in document.content]):
        yield from (document.fault((), f"key {name!r} is missing") for name in missing)
        return
    if spec.execution.micro_batch is not None and spec.execution.micro_batch > spec.batch_size:
        yield document.fault(
            ("execution", "micro_batch"),
            f"a micro-batch of {spec.execution.micro_batch} is larger than the batch of {spec.batch_size}",
        )
    faults = [*_dataset_faults(spec, document), *(_channel_faults(spec, document, before) if before is not None else ())]
    yield from faults or declared_faults(spec, document, before)


def _money_faults(spec: Spec, document: Document) -> Iterator[Fault]:
    """Yield the faults of prices, and of limits in money that have none to be counted by."""
    cards = [field.card for field in spec.accelerators]
    seen: set[str] = set()
    for name in spec.price:
        if name == THE_FILES and not isinstance(document.content.get("price"), Mapping):
            continue
        try:
            meant = accelerator(name, cards).name
        except UnknownName as error:
            yield unknown(document, ("price", name), "accelerator", name, error.known)
            continue
        if meant in seen:
            yield document.fault(("price", name), f"{meant} is priced twice")
        seen.add(meant)
    if "currency" in document.content and spec.prices is None:
        yield document.fault(("currency",), "a currency without `price` labels nothing")
    own = spec.resources.accelerator
    for key, limit in (("budget", spec.budget), ("confirm_above", spec.confirm_above)):
        if limit is None or limit.in_money is None:
            continue
        place = (key, "money" if limit.usd is None else "usd")
        if limit.usd is not None and spec.currency.upper() != CURRENCY:
            yield document.fault(
                place, f"the currency is given twice: usd here, and {spec.currency} by `currency`; `money` is in that one"
            )
        if spec.prices is None or spec.prices.a_core_hour(own) is None:
            yield document.fault(place, f"a limit in money needs the price of a chip-hour of {own}: price: {{{own}: 2.5}}")


def _model_faults(spec: Spec, document: Document) -> Iterator[Fault]:
    names: list[str] = []
    for index, model in enumerate(spec.models):
        place = ("models", index)
        if model.name in names:
            yield document.fault(place, f"model {model.name!r} is given twice")
        names.append(model.name)
        try:
            family = models.family(model.family_name)
            family.check(model.name, model.options)
            if family.total_stride:
                family.total_stride(model.name, model.options)
        except (UsageError, TypeError) as error:
            yield document.fault(place, error)
        except (ArithmeticError, LookupError) as error:
            yield document.fault(place, f"{model.name}: these options make no model: {error}")


def _dataset_faults(spec: Spec, document: Document) -> Iterator[Fault]:
    name, options = spec.dataset.name, spec.dataset.options
    if name != "source":
        if name not in data.names():
            yield unknown(document, ("dataset", "name"), "data set", name, data.names())
            return
        known = data.options_of(name)
        foreign = [key for key in options if key not in known and key != EXCLUDE]  # of which a declared set says itself why not
        for key in foreign:
            yield document.fault(
                ("dataset", key), f"unknown key {key!r}{nearest(key, known)} (data set {name} takes {listed(known)})"
            )
        if foreign:
            return
    try:
        card = data.card(name, options)
    except (UsageError, DataError) as error:
        place = ("dataset", EXCLUDE) if EXCLUDE in options and _is_readable_whole(spec) else ("dataset",)
        fault = document.fault(place, f"{error} ({error.hint})" if error.hint else str(error))
        yield replace(fault, cause=error)
        return
    except OSError as error:
        yield document.fault(("dataset",), str(error))
        return
    if (largest := max(card.train_examples, card.num_classes, *card.image_shape)) > _MAX_EXAMPLES:
        yield document.fault(("dataset",), f"{shown(largest)} is more than {_MAX_EXAMPLES:g}")
        return
    if spec.batch_size > card.train_examples and spec.batch_size <= card.train_examples + left_out(card):
        yield document.fault(
            ("dataset", EXCLUDE),
            f"{options[EXCLUDE]} leaves {card.train_examples:,} of {card.train_examples + left_out(card):,} training images of {card.name}, "
            f"fewer than a batch of {spec.batch_size:,}",
        )
    elif spec.batch_size > card.train_examples:
        yield document.fault(
            ("batch_size",),
            f"a batch of {spec.batch_size:.15g} is larger than the training split of {card.name} ({card.train_examples} examples)",
        )
    yield from _resolution_faults(spec, document, card)
    if spec.simulate is None and not card.provisional:
        yield from _augment_faults(spec, document)
    if spec.batch_size % spec.augment.repeats:
        yield document.fault(
            ("augment", "repeats"), f"a batch of {spec.batch_size} cannot hold each example {spec.augment.repeats} times"
        )
    for index, epochs in enumerate(spec.epochs):
        if round(epochs * card.train_examples) < 1:
            yield document.fault(("epochs", index), f"{epochs:g} epochs of {card.train_examples} examples is less than one example")
        if epochs * card.train_examples > _MAX_EXAMPLES:
            yield document.fault(
                ("epochs", index), f"{epochs:g} epochs of {card.train_examples} examples are more than {_MAX_EXAMPLES:g}"
            )


def _is_readable_whole(spec: Spec) -> bool:
    """Say whether the data can be read without their list of what is left out: then it is the list that is at fault."""
    try:
        data.card(spec.dataset.name, {key: value for key, value in spec.dataset.options.items() if key != EXCLUDE})
    except (ScalingError, OSError):
        return False
    return True


def _channel_faults(spec: Spec, document: Document, before: Spec) -> Iterator[Fault]:
    """Yield a fault where runs are fine-tuned on images of other channels than they were pre-trained on: no weights fit both."""
    with suppress(ScalingError, OSError):  # told by `_dataset_faults`
        channels = [data.card(of.dataset.name, of.dataset.options).image_shape[2] for of in (before, spec)]
        if channels[0] != channels[1]:
            yield document.fault(("dataset",), f"its images have {channels[1]} channels, and those of pre-training {channels[0]}")


def _augment_faults(spec: Spec, document: Document) -> Iterator[Fault]:
    """Yield a fault for each augmentation whose package is not installed."""
    augment = spec.augment
    for name, asked, function in (
        ("crop", augment.crop, optional.resized),
        ("flip", augment.flip, optional.mirrored),
        ("randaugment_layers", augment.randaugment_layers > 0, optional.randaugmented),
    ):
        try:
            if asked:
                function()
        except MissingExtra as error:
            yield document.fault(("augment", name), f"{error} ({error.hint})")


def _resolution_faults(spec: Spec, document: Document, card: data.DataCard) -> Iterator[Fault]:
    """Yield a fault for each model that cannot take the images, in training or in evaluation.

    One whose stride exceeds their side is among them: at its end they would be padding, mostly.
    """
    side = min(card.image_shape[:2] + card.eval_shape[:2])
    for index, model in enumerate(spec.models):
        try:
            family = models.family(model.family_name)
            stride = family.total_stride(model.name, model.options) if family.total_stride else 1
        except (UsageError, TypeError, ArithmeticError, LookupError):
            continue  # told by `_model_faults`
        # A user's family is counted at the size in training by `declared_faults`.
        shapes = [card.eval_shape] if ":" in model.family_name else [card.image_shape, card.eval_shape]
        try:
            if family.macs is not None:
                for shape in dict.fromkeys(shapes):
                    family.macs(model.name, model.options, num_classes=card.num_classes, image_shape=shape)
        except UsageError as error:
            yield document.fault(("models", index), error)
            continue
        if side < stride:
            yield document.fault(
                ("models", index),
                f"images of {side} px are too small for {model.name}, which shrinks them {stride} times (larger train_px, or stem: small)",
            )


def _fault(document: Document, detail: ErrorDetails) -> Fault:
    kind, found = detail["type"], detail.get("input")
    if kind == "invalid_key" or detail["loc"][-1] == "[key]":
        place = (*_place_in_file(document, detail["loc"][: -2 if detail["loc"][-1] == "[key]" else -1]), found)
        return document.fault(place, f"a key is a text; {document.misread(place, key=True)}")
    place = _place_in_file(document, detail["loc"])
    if kind == "missing":
        return document.fault(place[:-1], f"key {detail['loc'][-1]!r} is missing")
    misread = document.misread(place) if kind in ("string_type", "model_type", "literal_error") or isinstance(found, bool) else ""
    return document.fault(place, _message(detail) + (f" ({misread})" if misread else ""))


def _message(detail: ErrorDetails) -> str:
    found = detail.get("input")
    match detail["type"]:
        case "extra_forbidden":
            key, allowed = str(detail["loc"][-1]), _allowed_keys(detail["loc"][:-1])
            return f"unknown key {key!r}{nearest(key[:SHOWN], allowed)} (allowed: {listed(allowed)})"
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return f"{shown(found)} is not allowed: it must be {detail['msg'].removeprefix('Input should be ')}"
        case "too_short":
            return "the list is empty: the grid would have no runs"
        case "literal_error":
            expected = detail["ctx"]["expected"]
            choices = [choice.strip("'") for choice in expected.replace(" or ", ", ").split(", ")]
            return f"unknown value {shown(found)}{nearest(str(found)[:SHOWN], choices)} (allowed: {listed(choices)})"
        case "value_error":
            return detail["msg"].removeprefix("Value error, ")
    return f"{shown(found)}: {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _place_in_file(document: Document, loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Return pydantic's location without the parts that short forms added."""
    short = tuple(part for part in loc if part != "*")
    while short and short not in document.lines and short[:-1] in document.lines and short[-1] in ("name", 0, "grid"):
        short = short[:-1]
    return short


def _allowed_keys(loc: tuple[int | str, ...]) -> list[str]:
    """List the keys that the field model at a location has."""
    model: Any = Spec
    for part in loc:
        if isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
            model = _model_in(model.model_fields[str(part)].annotation)
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: object) -> object:
    """Return the pydantic model inside `X | None`, `list[X]`, `dict[str, X]`; `Spec` where there is none."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation
    inner = [_model_in(argument) for argument in typing.get_args(annotation)]
    return next((kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel)), Spec)
