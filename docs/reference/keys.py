"""Every key of an experiments file: type, bounds, default, meaning, as the models that read the file have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from pydantic import BaseModel, TypeAdapter

from docs.reference.docstrings import first_sentence, meanings, summary
from docs.reference.markdown import code, table
from orchestrator.experiments_file import fields as file_fields
from orchestrator.experiments_file import recipes
from orchestrator.experiments_file.accelerators import AcceleratorField
from orchestrator.experiments_file.fields import Spec
from scaling.accelerators import Accelerator
from scaling.errors import UnknownName
from trainer import Execution, data, optimizers, schedules
from trainer.config import AugmentConfig, SamConfig
from trainer.models import family
from trainer.models.nfnet.variants import Variant as NfnetVariant
from trainer.models.resnet.variants import Variant as ResnetVariant
from trainer.models.vit.variants import Variant as VitVariant
from trainer.surface import Surface

__all__ = ["text"]

_HEAD = ("key", "what it takes", "default", "meaning")
_SAME: dict[type, tuple[type, ...]] = {
    AcceleratorField: (Accelerator,),
    file_fields.AugmentField: (AugmentConfig,),
    file_fields.ExecutionField: (Execution,),
    file_fields.FinetuneField: (Spec, recipes.ScheduleField),
    file_fields.FinetuneRecipe: (Spec, recipes.ScheduleField),
    recipes.RecipeField: (Spec, recipes.ScheduleField),
    recipes.SamField: (SamConfig,),
    file_fields.LossField: (Surface,),
    file_fields.FinetunedErrorField: (Surface,),
}
"""Where the fields of a model of the file are described that does not describe them itself."""
_FAMILIES = {"nfnet": NfnetVariant, "resnet": ResnetVariant, "vit": VitVariant}
_OF_SEVERAL = {
    "dropout": "Rate of dropout before the classifier.",
    "stochastic_depth": "Rate at which the last block is skipped; block i of n has i/n of it.",
    "width_rule": "`paper`, or `released_code`: how the code that was released rounds the widths of the + variants.",
    "zero_init_last": "Whether the last scale of a block starts at 0; true unless stated.",
}


def text() -> str:
    schema = Spec.model_json_schema()
    kinds = {name: _kind(name) for name in schema["$defs"]}
    places = dict(_places(schema, schema["$defs"]))
    parts = ["## The file\n", _section(Spec, schema, places)]
    for name, place in places.items():
        parts += [f"\n## {code(place)}\n", summary(kinds[name]) + "\n", _section(kinds[name], schema["$defs"][name], places)]
    parts += list(_options(places))
    return "\n".join(parts)


def _kind(name: str) -> type[BaseModel]:
    for module in (file_fields, recipes):
        if hasattr(module, name):
            return getattr(module, name)  # type: ignore[no-any-return]
    return {"AcceleratorField": AcceleratorField}[name]


def _places(
    schema: Mapping[str, Any], known: Mapping[str, Any], above: str = "", seen: set[str] | None = None
) -> Iterator[tuple[str, str]]:
    """Yield each model below the file's with the keys that lead to it first."""
    seen = set() if seen is None else seen
    for key, value in schema.get("properties", {}).items():
        for name in _named(value):
            if name not in seen:
                seen.add(name)
                yield name, f"{above}{key}"
                yield from _places(known[name], known, f"{above}{key}.", seen)


def _named(schema: object) -> Iterator[str]:
    """Yield the names of the models that a schema refers to."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for key, value in schema.items():
            if key != "default":
                yield from _named(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _named(value)


def _section(kind: type[BaseModel], schema: Mapping[str, Any], places: Mapping[str, str]) -> str:
    said: dict[str, str] = {}
    for each in (*reversed(_SAME.get(kind, ())), kind):
        said |= meanings(each)
    required = schema.get("required", ())
    return table(
        _HEAD,
        (
            (code(key), takes(value, places), "required" if key in required else _default(value), _meaning(kind, key, said))
            for key, value in schema["properties"].items()
        ),
    )


def _meaning(kind: type, key: str, said: Mapping[str, str]) -> str:
    if key not in said:
        raise SystemExit(f"the docstring of {kind.__qualname__} says nothing of {key}: write `{key}: …`")
    return said[key]


def takes(schema: Mapping[str, Any], places: Mapping[str, str]) -> str:
    """Say in words what a JSON schema allows."""
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(takes(each, places) for each in choices if each.get("type") != "null"))
    if "$ref" in schema:
        place = places[schema["$ref"].rpartition("/")[2]]
        return f"[{code(place)}](#{place.replace('.', '').replace(' ', '-')})"
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        return ", ".join(map(code, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {takes(schema['items'], places)}"
    if schema.get("type") == "object":
        inside = schema.get("additionalProperties")
        return f"mapping to {takes(inside, places)}" if isinstance(inside, dict) and inside else "mapping"
    if "type" not in schema:
        return "[an optimiser](#options-of-optimisers)"
    word = {"number": "number", "integer": "whole number", "string": "text", "boolean": "true or false"}[schema["type"]]
    signs = (("exclusiveMinimum", "> "), ("minimum", "≥ "), ("exclusiveMaximum", "< "), ("maximum", "≤ "))
    bounds = [f"{sign}{_number(schema[key])}" for key, sign in signs if key in schema]
    if "maxLength" in schema:
        bounds.append(f"at most {schema['maxLength']} characters")
    return ", ".join([word, *bounds])


def _number(value: float) -> str:
    return "2⁵³" if value == 2**53 else "2³²" if value == 2**32 else f"{value:g}"


def _default(schema: Mapping[str, Any]) -> str:
    value = schema.get("default")
    if (
        not value
        and not isinstance(value, bool)
        and (not isinstance(value, (int, float)) or value <= schema.get("exclusiveMinimum", -1))
    ):
        return "none"
    if isinstance(value, dict):
        return "as below" if value.get("name") != "" else "none"
    return code(str(value).lower() if isinstance(value, bool) else value)


def _options(places: Mapping[str, str]) -> Iterator[str]:
    """Yield sections on what else a data set, a model, an optimiser and a schedule take beside the keys of every one."""
    yield "\n## Options of data sets\n"
    yield "`dataset: {name: NAME, …}` takes those of its name.\n"
    rows = ((code(name), code(key), said) for name in data.names() for key, said in data.options_of(name).items())
    yield table(("name", "key", "meaning"), ((name, key, said[:1].upper() + said[1:]) for name, key, said in rows))
    yield "\n## Options of models\n"
    yield "`{name: …, family: FAMILY, …}` in `models`. [Models](models.md) has the defaults of each name.\n"
    yield table(
        ("family", "key", "meaning"), ((code(name), code(key), _of_model(name, key)) for name in _FAMILIES for key in _keys(name))
    )
    for title, kinds in (
        ("optimisers", [optimizers.optimizer_class(name) for name in optimizers.names()]),
        ("schedules", [schedules.schedule_class(name) for name in schedules.names()]),
    ):
        yield f"\n## Options of {title}\n"
        yield f"`{'optimizer' if title == 'optimisers' else 'schedule'}: {{name: NAME, …}}`. [Recipes](recipes.md) has their formulas.\n"
        yield table(("name", *_HEAD), (row for kind in kinds for row in _dataclass_rows(kind, places)))


def _keys(name: str) -> tuple[str, ...]:
    """Name the options that a family takes, by its own refusal of one that it does not."""
    try:
        family(name).check("F0", {"no option": 1})
    except UnknownName as error:
        return error.known
    raise SystemExit(f"{name} takes any option")


def _of_model(name: str, key: str) -> str:
    return _OF_SEVERAL.get(key) or _meaning(_FAMILIES[name], key, meanings(_FAMILIES[name]))


def _dataclass_rows(kind: Any, places: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    said = meanings(kind)
    schema = TypeAdapter(kind).json_schema().get("properties", {})
    if not schema:
        yield code(kind.name), "", "", "", first_sentence(summary(kind))
    for item in fields(kind):
        default = "required" if item.default is MISSING else _default(schema[item.name])
        yield code(kind.name), code(item.name), takes(schema[item.name], places), default, _meaning(kind, item.name, said)
