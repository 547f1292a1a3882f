"""How runs are trained, as an experiments file says it: of all its models at once, or of a family or a model in `recipes`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, TypeAdapter, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from scaling.errors import UnknownName, UsageError, nearest
from trainer import optimizers, schedules
from trainer.config import SamConfig, ScheduleConfig
from trainer.optimizers import OptimizerConfig, UsersOptimizer

__all__ = [
    "LearningRateField",
    "OptimizerField",
    "Options",
    "Recipe",
    "RecipeField",
    "SamField",
    "ScheduleField",
    "SecondField",
    "WarmupField",
]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Kind = TypeVar("Kind")


class _Field(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Options(_Field):
    """Is a field that holds more than its own keys: the others are options of what it names."""

    model_config = ConfigDict(frozen=True, extra="allow")


class SecondWeightDecay(_Field):
    """Says how a weight decay is searched for.

    start: what is tried first in the smallest cell. factor: from one trial to the next.
    """

    start: Positive
    factor: Annotated[float, Field(gt=1, le=10)] = 2.0


class SecondBatchSize(_Field):
    """Says how a batch size is searched for.

    start: what is tried first in the smallest cell. factor: from one trial to the next, a whole number.
    """

    start: Annotated[int, Field(gt=1, le=2**53, strict=True)]
    factor: Annotated[int, Field(gt=1, le=10)] = 2


class SecondField(_Field):
    """Names what is searched for beside the learning rate, at one rate after another: see `orchestrator.search`.

    weight_decay: where its search starts. batch_size: the same of a batch size; one of both is searched for.
    """

    weight_decay: SecondWeightDecay | None = None
    batch_size: SecondBatchSize | None = None

    @model_validator(mode="after")
    def _one_setting(self) -> SecondField:
        if (self.weight_decay is None) == (self.batch_size is None):
            raise ValueError(
                "give one of `weight_decay` and `batch_size`, with the value to start from: {weight_decay: {start: 0.05}}"
            )
        return self

    @property
    def asked(self) -> tuple[str, SecondWeightDecay | SecondBatchSize]:
        """Return the name of the setting and how it is searched for."""
        if self.weight_decay is not None:
            return "weight_decay", self.weight_decay
        assert self.batch_size is not None
        return "batch_size", self.batch_size


class LearningRateField(_Field):
    """Gives learning rates in one of three forms.

    - `1.6`, or `{grid: [0.8, 1.6], epochs: [1, 4], otherwise: 1.6}`: the grid at these epoch budgets (default: all), one value elsewhere.
    - `{at: {1: [0.8, 1.6], 4: 0.8}}`: a rate or several for each epoch budget, as a trend of rates has it.
    - `{policy: two-trial, start: 1.6, factor: 2, seeds: first}`: the rates are found, on the first of the file's seeds or on all; see
      `orchestrator.search`. `second: {weight_decay: {start: 0.05, factor: 2}}`, or `batch_size`, is found with them.

    grid: rates that are all trained. epochs: budgets at which the grid is trained. otherwise: the rate at the other budgets.
    at: one rate, or several, for each budget. policy: how rates are searched for.
    start: rate that the search tries first in the smallest cell. factor: between the rates of the search, by default 2.
    seeds: on which of the file's seeds the search is done, by default the first. second: what is searched for beside the rate.
    """

    grid: Annotated[list[Positive], Field(min_length=1)] | None = None
    epochs: list[Positive] | None = None
    otherwise: Positive | None = None
    at: Annotated[dict[Positive, Annotated[list[Positive], Field(min_length=1)]], Field(min_length=1)] | None = None
    policy: Literal["two-trial"] | None = None
    start: Positive | None = None
    factor: Annotated[float, Field(gt=1, le=10)] | None = None
    seeds: Literal["first", "all"] | None = None
    second: SecondField | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if isinstance(value, dict) and isinstance(rates := value.get("at"), dict):
            return value | {"at": {epochs: rate if isinstance(rate, list) else [rate] for epochs, rate in rates.items()}}
        return {"grid": [value]} if isinstance(value, (int, float)) else value

    @model_validator(mode="after")
    def _listed_or_found(self) -> LearningRateField:
        if sum(given is not None for given in (self.grid, self.at, self.policy)) != 1:
            raise ValueError(
                "give one of `grid: […]`, `at: {epochs: rate}` and `policy: two-trial`, the last with the rate to start from"
            )
        if self.policy is None and any(value is not None for value in (self.start, self.factor, self.seeds, self.second)):
            raise ValueError("`start`, `factor`, `seeds` and `second` are of `policy: two-trial`; a grid lists its rates")
        if self.policy is not None and self.start is None:
            raise ValueError("`policy: two-trial` needs `start`, the rate that is tried first in the smallest cell")
        if self.grid is None and (self.epochs is not None or self.otherwise is not None):
            raise ValueError("`epochs` and `otherwise` are of a grid; `at` and `policy: two-trial` have the rate of every budget")
        return self

    @model_validator(mode="after")
    def _covers_all_budgets(self) -> LearningRateField:
        if (self.epochs is None) != (self.otherwise is None):
            raise ValueError("`epochs` and `otherwise` go together: the grid at those budgets, that value at the others")
        return self

    def of_budget(self, epochs: float) -> list[float]:
        """List the learning rates to train at this epoch budget; none where they are found on the way."""
        if self.at is not None:
            return self.at.get(epochs, [])
        if self.grid is None:
            return []
        if self.epochs is None or epochs in self.epochs:
            return list(self.grid)
        assert self.otherwise is not None
        return [self.otherwise]


class WarmupField(_Field):
    """Says how long the learning rate rises from 0 to its peak, linearly.

    steps: so many steps. epochs: so many passes. share: so large a part of each run's steps.
    """

    steps: Annotated[int, Field(gt=0, le=2**53, strict=True)] | None = None
    epochs: Positive | None = None
    share: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _one_length(self) -> WarmupField:
        if sum(length is not None for length in (self.steps, self.epochs, self.share)) != 1:
            raise ValueError("give one of `steps`, `epochs` and `share`")
        return self


class ScheduleField(Options):
    """Says how the learning rate goes after a linear warm-up: by a schedule of `trainer.schedules`, whose options are the other keys.

    name: of the schedule, or one of your own by `package.module:Class`. warmup: how long the rate rises from 0 to its peak.
    decay_fraction: share of all steps in which the rate comes down, where the schedule has such a part.
    warmup_epochs: short for `warmup: {epochs: …}`. reuse_trunk: shorter budgets start from checkpoints of the longest where the schedule has steps
    that do not depend on the budget; no result and no run id changes.
    """

    name: str = "cosine"
    warmup_epochs: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    warmup: WarmupField | None = None
    decay_fraction: float | None = None
    reuse_trunk: bool = False

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_one(self) -> ScheduleField:
        if self.warmup is not None and self.warmup_epochs:
            raise ValueError("`warmup_epochs` and `warmup` say one thing: give one of them")
        kind = _named(schedules.schedule_class, self.name, schedules.names(), "ScheduleField")
        _validated(kind, self._given, f"schedule {self.name}", less=self._has_none)
        if refused := self.trunk_refused:
            raise ValueError(refused)
        return self

    @property
    def _given(self) -> dict[str, Any]:
        decay = {} if self.decay_fraction is None else {"decay_fraction": self.decay_fraction}
        return decay | (self.model_extra or {})

    def _has_none(self, key: str) -> str:
        having = [name for name in schedules.names() if any(item.name == key for item in fields(schedules.schedule_class(name)))]
        return f"{key} is of {' and '.join(having)}; {self.name} has none" if having else ""

    @property
    def trunk_refused(self) -> str:
        """Say why runs of several budgets have no steps in common, where `reuse_trunk` asks for it; empty where they do."""
        if not self.reuse_trunk:
            return ""
        if self.warmup is not None and self.warmup.share:
            return "reuse_trunk: a warm-up over a share of the run makes every step depend on the budget"
        if self.config(1.0).schedule.common_steps(1_000, 0) > 0:
            return ""
        return (
            f"reuse_trunk: the budgets of {self.name} have no steps in common; those of constant, rsqrt and warmup-stable-decay do"
        )

    def warmed_by(self, warmup: WarmupField | None) -> ScheduleField:
        """Return the schedule with another warm-up, if one is given."""
        return self if warmup is None else self.model_copy(update={"warmup": warmup, "warmup_epochs": 0.0})

    def config(self, epochs: float) -> ScheduleConfig:
        """Return the schedule of a run of so many epochs, with its options of the types that they have."""
        kind = schedules.schedule_class(self.name)
        made = _validated(kind, self._given, f"schedule {self.name}", less=self._has_none)
        options = {name: getattr(made, name) for name in self.model_extra or ()}
        warmup = self.warmup or WarmupField.model_construct(epochs=self.warmup_epochs)
        return ScheduleConfig(
            epochs=float(epochs),
            name=self.name,
            warmup_epochs=warmup.epochs or 0.0,
            decay_fraction=getattr(made, "decay_fraction", ScheduleConfig.decay_fraction),
            warmup_steps=warmup.steps or 0,
            warmup_share=warmup.share or 0.0,
            options=options,
        )

    def warmup_of(self, epochs: float, steps_an_epoch: float) -> float:
        """Return the epochs of warm-up in a run of so many."""
        warmup = self.config(epochs)
        return warmup.warmup_share * epochs + warmup.warmup_steps / steps_an_epoch + warmup.warmup_epochs


def _optimizer(value: object) -> OptimizerConfig:
    """Read `{name: adamw, weight_decay: 0.05}`, `adamw`, or `{name: "package.module:function", …}`."""
    if isinstance(value, OptimizerConfig):
        return value
    given = {"name": value} if isinstance(value, str) else value
    if not isinstance(given, Mapping):
        raise PydanticCustomError("mapping", "a mapping of options is wanted: {name: sgd-agc, weight_decay: 0.002}")
    options = dict(given)
    name = options.pop("name", "sgd-agc")
    if isinstance(name, str) and ":" in name:
        made: OptimizerConfig = UsersOptimizer(name, options)
    else:
        kind = _named(optimizers.optimizer_class, name, optimizers.names(), "OptimizerField")
        made = _validated(kind, options, f"optimizer {name}")
    try:
        made.check()
    except UnknownName as error:
        raise _at(error.name, value, f"unknown key {error.name!r}{nearest(error.name, error.known)} ({error.hint})") from error
    except UsageError as error:
        raise ValueError(f"{error} ({error.hint})" if error.hint else str(error)) from error
    return made


OptimizerField = Annotated[OptimizerConfig, PlainValidator(_optimizer), PlainSerializer(lambda made: dict(made.plain))]
"""The options of an optimiser of `trainer.optimizers`, or of a user's own by its import path."""


class SamField(_Field):
    """Wraps the optimiser in sharpness-aware minimisation: see `trainer.SamConfig`."""

    rho: Positive = SamConfig.rho
    share: Annotated[float, Field(gt=0, le=1)] = SamConfig.share

    @property
    def config(self) -> SamConfig:
        return SamConfig(self.rho, self.share)


class RecipeField(_Field):
    """Says how the models of one family, or one model, are trained, where that differs from what the file says of all."""

    optimizer: OptimizerField | None = None
    learning_rate: LearningRateField | None = None
    schedule: ScheduleField | None = None
    warmup: WarmupField | None = None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] | None = None
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    sam: SamField | None = None


@dataclass(frozen=True)
class Recipe:
    """Holds how one model is trained. learning_rate: None where the file does not say."""

    optimizer: OptimizerConfig
    learning_rate: LearningRateField | None
    schedule: ScheduleField
    label_smoothing: float
    ema: float | None
    sam: SamField | None

    def with_what_is_said(self, others: Iterable[RecipeField | None]) -> Recipe:
        """Return the recipe with what others say in place of its own, the last of them first."""
        told = {item.name: getattr(self, item.name) for item in fields(self)}
        for other in others:
            if other is not None:
                told |= {name: value for name in told if (value := getattr(other, name)) is not None}
                told["schedule"] = told["schedule"].warmed_by(other.warmup)
        return Recipe(**told)


def _named(kinds: Any, name: object, known: list[str], title: str) -> Any:
    """Return the kind of a name. Raises `ValidationError` at the key `name` for an unknown one."""
    if isinstance(name, str) and (name in known or ":" in name):
        try:
            return kinds(name)
        except UsageError as error:
            raise _at("name", name, f"{error} ({error.hint})") from error
    expected = ", ".join(repr(each) for each in known)
    detail = InitErrorDetails(type="literal_error", loc=("name",), input=name, ctx={"expected": expected})
    raise ValidationError.from_exception_data(title, [detail])


def _validated(kind: type[Kind], options: Mapping[str, Any], of: str, *, less: Any = None) -> Kind:
    """Make a dataclass of options within its bounds. Raises `ValidationError`, at the key that is wrong."""
    assert is_dataclass(kind)
    known = [item.name for item in fields(kind)]
    for key in options:
        if key not in known:
            said = less(key) if less is not None else ""
            takes = f"{of} takes {', '.join(known)}" if known else f"{of} has no options"
            raise _at(key, options[key], said or f"unknown key {key!r}{nearest(str(key), known)} ({takes})")
    return cast("Kind", TypeAdapter(kind).validate_python(dict(options)))


def _at(key: str, value: object, message: str) -> ValidationError:
    return ValidationError.from_exception_data(
        "options", [InitErrorDetails(type=PydanticCustomError("value_error", "{said}", {"said": message}), loc=(key,), input=value)]
    )
