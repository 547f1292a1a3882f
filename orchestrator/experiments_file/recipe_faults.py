"""Faults of recipes that no field can know alone: of schedules and learning rates, which speak of the file's models and budgets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress

from orchestrator.experiments_file.document import Document
from orchestrator.experiments_file.fields import ModelField, Spec
from orchestrator.experiments_file.recipes import LearningRateField, Recipe, ScheduleField, SecondField
from orchestrator.experiments_file.words import listed, unknown
from scaling.errors import Fault, ScalingError, UnknownName, UsageError
from trainer import data
from trainer.optimizers import with_weight_decay

__all__ = ["rate_faults", "recipe_faults", "search_faults"]


def recipe_faults(spec: Spec, document: Document) -> Iterator[Fault]:
    """Yield the faults of recipes: of families and models that there are not, and of schedules that do not fit the budgets."""
    named = {name for model in spec.models for name in (model.name, _family_of(model)) if name}
    for name in spec.recipes:
        if name not in named:
            yield unknown(document, ("recipes", name), "model or family of this file", name, sorted(named))
    yield from _sam_faults(spec, document)
    for place, schedule in _schedules(spec):
        warms_up = bool(schedule.warmup or schedule.warmup_epochs)
        try:
            schedule.config(1.0).schedule.check(warms_up=warms_up)
        except UsageError as error:
            yield document.fault(place, error)
        if refused := schedule.trunk_refused:
            yield document.fault(place, refused)
        if spec.trainer is None and spec.batch_size:
            yield from _warmup_faults(spec, schedule, document, batch_size=spec.batch_size)


def _sam_faults(spec: Spec, document: Document) -> Iterator[Fault]:
    """Yield a fault for each key by which a batch would be taken in parts, where SAM goes up by a part of the whole batch."""
    if spec.sam is None and not any(recipe.sam for recipe in spec.recipes.values()):
        return
    execution, why = spec.execution, "SAM takes its way up from a part of the whole batch: leave out one of the two"
    if execution.micro_batch is not None and execution.micro_batch < spec.batch_size:
        yield document.fault(("execution", "micro_batch"), why)
    if execution.on_out_of_memory == "halve":
        yield document.fault(("execution", "on_out_of_memory"), why)


def _family_of(model: ModelField) -> str:
    try:
        return model.family_name
    except UnknownName:  # told by `_model_faults`
        return ""


def _schedules(spec: Spec) -> Iterator[tuple[tuple[str, ...], ScheduleField]]:
    """Yield each schedule that models of the file have, once, with the key that gives it."""
    seen = []
    for model in spec.models:
        try:
            schedule = spec.recipe_of(model).schedule
        except UnknownName:
            continue
        if schedule not in seen:
            seen.append(schedule)
            named = [
                name for name in (model.name, _family_of(model)) if (own := spec.recipes.get(name)) and (own.schedule or own.warmup)
            ]
            yield (("recipes", named[0]) if named else ("schedule",)), schedule


def _warmup_faults(spec: Spec, schedule: ScheduleField, document: Document, *, batch_size: int) -> Iterator[Fault]:
    with suppress(ScalingError, OSError):  # told by `_dataset_faults`
        examples = (
            data.card(spec.dataset.name, spec.dataset.options).train_examples if schedule.warmup and schedule.warmup.steps else 0
        )
        for index, epochs in enumerate(spec.epochs):
            warmup = schedule.warmup_of(epochs, max(1.0, examples / batch_size))
            decay = schedule.config(epochs).schedule.decay_share * epochs
            if warmup and warmup + decay >= epochs + (1e-9 if decay else 0):
                and_decay = f" and {decay:g} epochs of decay do" if decay else " does"
                yield document.fault(
                    ("epochs", index), f"warm-up of {warmup:g} epochs{and_decay} not fit into a budget of {epochs:g}"
                )


def search_faults(spec: Spec, document: Document) -> Iterator[Fault]:
    """Yield the faults of settings that clash with a search of learning rates, which asks by the results of whole runs in turn."""
    if not any(field.policy for field in spec.rates.values()):
        return
    for place, schedule in _schedules(spec):
        if schedule.reuse_trunk:
            yield document.fault(
                (*(place if place == ("schedule",) else (*place, "schedule")), "reuse_trunk"),
                "runs share a trunk when their rates are listed; `policy: two-trial` finds them on the way",
            )
    for place, field in spec.rates.items():
        if field.second is not None:
            yield from _second_faults(spec, field.second, document, (*place, "second", field.second.asked[0]))
    if spec.early_stop is not None:
        yield document.fault(
            ("early_stop",), "a run stopped on the way tells a search nothing: leave it out with `policy: two-trial`"
        )


def _second_faults(spec: Spec, second: SecondField, document: Document, place: tuple[str, ...]) -> Iterator[Fault]:
    """Yield the faults of a second setting that the runs of these models cannot have."""
    name, field = second.asked
    recipes = []
    for model in spec.models:
        with suppress(UnknownName):  # told by `_model_faults`
            recipe = spec.recipe_of(model)
            if recipe.learning_rate is not None and recipe.learning_rate.second == second and recipe not in recipes:
                recipes.append(recipe)
    if spec.trainer is not None:
        if name == "weight_decay" or not any("{batch_size}" in word for word in spec.trainer.command):
            yield document.fault(
                place, f"the command does not take {name}, so that a search of it would train one run again and again"
            )
    elif name == "weight_decay":
        yield from _decay_faults(recipes, float(field.start), document, place)
    else:
        yield from _batch_faults(spec, recipes, int(field.start), document, (*place, "start"))


def _decay_faults(recipes: Sequence[Recipe], start: float, document: Document, place: tuple[str, ...]) -> Iterator[Fault]:
    for recipe in recipes:
        own = recipe.optimizer.plain.get("weight_decay")
        try:
            with_weight_decay(recipe.optimizer, start)
        except UsageError as error:
            yield document.fault(place, error)
            continue
        if own not in (None, 0, start):
            yield document.fault(
                place, f"weight_decay is given twice: {own:g} by optimizer {recipe.optimizer.plain['name']}, and by this search"
            )


def _batch_faults(spec: Spec, recipes: Sequence[Recipe], start: int, document: Document, place: tuple[str, ...]) -> Iterator[Fault]:
    with suppress(ScalingError, OSError):  # told by `_dataset_faults`
        card = data.card(spec.dataset.name, spec.dataset.options)
        if start > card.train_examples:
            yield document.fault(
                place, f"a batch of {start} is larger than the training split of {card.name} ({card.train_examples} examples)"
            )
            return
    if start % spec.augment.repeats:
        yield document.fault(place, f"a batch of {start} cannot hold each example {spec.augment.repeats} times")
    if spec.execution.micro_batch is not None and spec.execution.micro_batch > start:
        yield document.fault(place, f"a micro-batch of {spec.execution.micro_batch} is larger than the batch of {start}")
    for schedule in {id(recipe.schedule): recipe.schedule for recipe in recipes}.values():
        if schedule.warmup is not None and schedule.warmup.steps and start != spec.batch_size:
            yield from (
                document.fault(place, f"at a batch of {start} a {fault.message}")
                for fault in _warmup_faults(spec, schedule, document, batch_size=start)
            )


def _budget_faults(spec: Spec, field: LearningRateField, document: Document, place: tuple[str | int, ...]) -> Iterator[Fault]:
    """Yield the faults of learning rates given for budgets that the file does not have, or for some only of those that it has."""
    for name, named in (("epochs", field.epochs or ()), ("at", field.at or ())):
        for epochs in named:
            if epochs not in spec.epochs:
                yield document.fault((*place, name), f"{epochs:g} is not one of the epoch budgets {listed(spec.epochs)}")
    if field.at is not None:
        for epochs, rates in field.at.items():
            if len(set(rates)) < len(rates):
                yield document.fault((*place, "at"), f"a rate is given twice at {epochs:g} epochs")
        if missing := [epochs for epochs in spec.epochs if epochs not in field.at]:
            yield document.fault((*place, "at"), f"no learning rate for {listed(missing)} epochs")


def rate_faults(spec: Spec, document: Document) -> Iterator[Fault]:
    """Yield the faults of learning rates: of models that there are not, given twice, or of budgets that there are not."""
    names = [model.name for model in spec.models]
    for name in spec.learning_rate:
        if name != "*" and name not in names:
            yield unknown(document, ("learning_rate", name), "model", name, names)
    for at, field in spec.rates.items():
        yield from (
            document.fault((*at, "grid"), f"{rate:g} is given twice")
            for rate, count in sorted(Counter(field.grid or ()).items())
            if count > 1
        )
        yield from _budget_faults(spec, field, document, at)
    without = []
    for model in spec.models:
        with suppress(UnknownName):
            if spec.recipe_of(model).learning_rate is None:
                without.append(model.name)
    if without and not spec.rates and "learning_rate" not in document.content:
        yield document.fault((), "key 'learning_rate' is missing")
    else:
        yield from (document.fault(("learning_rate",), f"no learning rate for model {name!r}") for name in without)
