"""Compares what a user's family declares of its models with what they are: parameters are the law's axis, MACs make its core-hours.

Beside that, what a file asks of models that keep state over batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.experiments_file.document import Document
from orchestrator.experiments_file.fields import ModelField, Spec
from scaling.errors import Fault, UsageError
from trainer import data, models
from trainer.models.cost import cost
from trainer.models.counting import count_all

__all__ = ["declared_faults"]

_MACS_APART = 0.01
"""Relative difference that is allowed. A family may leave out a small layer of its MACs; its parameters are exact."""


def declared_faults(spec: Spec, document: Document, before: Spec | None = None) -> Iterator[Fault]:
    """Yield a fault for each model of a user's family that is not what its family says, or that cannot be trained.

    The families that ship are checked in tests. before: what `spec` fine-tunes; a model has to fit the images of both then.
    """
    card = data.card(spec.dataset.name, spec.dataset.options)
    shape: dict[str, Any] = {"num_classes": card.num_classes, "image_shape": card.image_shape}
    own = [(index, model) for index, model in enumerate(spec.models) if _is_own(model)]
    if before is not None:
        shape["before"] = data.card(before.dataset.name, before.dataset.options).image_shape
    asked = [
        {"family": model.family_name, "model": model.name, "options": model.options, "dtype": spec.numerics.dtype, **shape}
        for _, model in own
    ]
    states = {index: models.family(model.family_name).state for index, model in enumerate(spec.models) if _is_known(model)}
    for (index, model), found in zip(own, count_all(asked), strict=True):
        states[index] = tuple(found.get("state", ()))
        try:
            yield from (document.fault(("models", index), fault) for fault in _faults(model, found, shape))
        except (UsageError, TypeError) as error:
            yield document.fault(("models", index), error)
    for index, state in states.items():
        if state:
            yield from (document.fault(("models", index), fault) for fault in _state_faults(spec, spec.models[index].name, state))


def _state_faults(spec: Spec, model: str, state: Sequence[str]) -> Iterator[str]:
    """Yield what does not fit a network with state, whose statistics are those of a whole batch. state: its collections."""
    keeps = f"{model} keeps state over whole batches ({', '.join(state)})"
    if "batch_stats" in state and spec.batch_size == 1:
        yield f"{model} has BatchNorm, and a batch of 1 has no statistics: make batch_size 2 or more"
    if spec.execution.micro_batch is not None and spec.execution.micro_batch < spec.batch_size:
        yield f"{keeps}, and a micro-batch would have other statistics: leave execution.micro_batch out"
    if spec.execution.on_out_of_memory == "halve":
        yield f"{keeps}, and half a batch would have other statistics: leave execution.on_out_of_memory out"


def _is_own(model: ModelField) -> bool:
    """Say whether a model is of a user's family, and one that the family knows."""
    return _is_known(model) and ":" in model.family_name


def _is_known(model: ModelField) -> bool:
    """Say whether its family knows a model; `_model_faults` reports the others."""
    try:
        models.family(model.family_name).check(model.name, model.options)
    except (UsageError, TypeError, ArithmeticError, LookupError):
        return False
    return True


def _faults(model: ModelField, found: Mapping[str, Any], shape: Mapping[str, Any]) -> Iterator[str]:
    family, (height, width, channels) = models.family(model.family_name), shape["image_shape"]
    on = f"on images of {height} × {width} × {channels} with {shape['num_classes']} classes"
    if "refused" in found:
        yield f"{found['refused']} ({found['hint']})"
    if "refused" in found and not (family.params and family.macs):
        return
    of_data = {name: shape[name] for name in ("num_classes", "image_shape")}
    costs = cost(model.family_name, model.name, model.options, **of_data)
    if "params" in found and costs.params != found["params"]:
        yield f"{model.name} has {found['params']:,} parameters {on}, and `params` of its family says {costs.params:,}"
    macs, counted = costs.macs, found.get("macs")
    if counted is None and not macs > 0:
        yield f"`macs` of the family of {model.name} says {macs:,} {on}: without work there are no core-hours"
    if counted is not None and not abs(macs - counted) <= _MACS_APART * counted:
        yield (
            f"{model.name} takes {counted:,} multiply–accumulates an image {on} (convolutions and matrix products of its forward pass), "
            f"and `macs` of its family says {macs:,}"
        )
