"""`finetune:` of an experiments file: the same file as its fine-tuning has it, and what is wrong with that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from orchestrator.experiments_file.document import Document
from orchestrator.experiments_file.fields import FinetuneField, ModelField, Spec
from orchestrator.experiments_file.recipes import RecipeField
from scaling.errors import Fault, UnknownName

__all__ = ["finetune_faults", "finetuning_of", "weights_of"]

_NOT_OF_RUNS: dict[str, object] = {"budget": None, "confirm_above": None, "early_stop": None, "evaluate_at": [], "finetune": None}
"""What is the whole file's, or has no place in a fine-tuning."""


def finetuning_of(spec: Spec) -> Spec:
    """Return the file as its fine-tuning has it: one epoch budget on the block's data set, and what it does not say as in pre-training.

    What is said nearest to a model counts: of it or its family in the block, of all in the block, of it or its family in the file.
    """
    block = spec.finetune
    assert block is not None
    said = {name: getattr(block, name) for name in block.model_fields_set & set(Spec.model_fields)}
    schedule = (block.schedule or spec.schedule).warmed_by(block.warmup)
    return spec.model_copy(
        update={
            **_NOT_OF_RUNS,
            **said,
            "epochs": [block.epochs],
            "learning_rate": block.learning_rate,
            "schedule": schedule.model_copy(update={"reuse_trunk": False}),
            "recipes": _recipes(spec, block),
            "models": [_model(model, block) for model in spec.models],
            "simulate": None if spec.simulate is None else spec.simulate.of_finetuning,
        }
    )


def weights_of(spec: Spec, model: ModelField) -> str:
    """Say which weights of a pre-trained run a fine-tuning starts from, `ema` or `final`. Raises `UnknownName` for a model of no family."""
    assert spec.finetune is not None
    return spec.finetune.weights or ("final" if spec.recipe_of(model).ema is None else "ema")


def finetune_faults(spec: Spec, document: Document) -> Iterator[Fault]:
    """Yield the faults of a fine-tuning that its own fields cannot know: of its weights, and of what only pre-training can have."""
    block = spec.finetune
    assert block is not None
    if block.weights == "ema":
        with suppress(UnknownName):  # told of the models
            without = [model.name for model in spec.models if spec.recipe_of(model).ema is None]
            if without:
                yield document.fault(
                    ("weights",), f"{without[0]} keeps no average in pre-training: set `ema` there, or take `final`"
                )
    if block.schedule is not None and block.schedule.reuse_trunk:
        yield document.fault(("schedule", "reuse_trunk"), "fine-tunings have no steps in common: each starts from a run of its own")
    for place, field in finetuning_of(spec).rates.items():
        if field.second is not None:
            yield document.fault((*place, "second"), "beside the rate nothing is searched for: give the other setting")
        if field.at is not None or field.epochs is not None:
            yield document.fault(place, "there is one epoch budget: give a rate, a grid or a policy")


def _recipes(spec: Spec, block: FinetuneField) -> dict[str, RecipeField]:
    """Combine what the file and its block say of single families and models. Learning rates of pre-training are not taken over."""
    replaced = block.model_fields_set | {"learning_rate"} | ({"warmup"} if block.schedule is not None else set())
    found = {
        name: {key: getattr(recipe, key) for key in recipe.model_fields_set - replaced} for name, recipe in spec.recipes.items()
    }
    for name, own in block.recipes.items():
        before = found.get(name, {})
        if own.schedule is not None:
            before.pop("warmup", None)
        found[name] = before | {key: getattr(own, key) for key in own.model_fields_set & set(RecipeField.model_fields)}
    return {name: RecipeField.model_construct(**said) for name, said in found.items() if said}


def _model(model: ModelField, block: FinetuneField) -> ModelField:
    """Return a model with the options that it has in fine-tuning."""
    own = dict(block.model)
    with suppress(UnknownName):  # told of the models
        for name in (model.family_name, model.name):
            own |= block.recipes[name].model if name in block.recipes else {}
    return ModelField.model_validate({**model.model_dump(exclude_none=True), **own}) if own else model
