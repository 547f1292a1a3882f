"""The fields of an experiments file, as pydantic models: what may be written, and within which bounds.

This file says what one field may hold; `reader` says what the fields must be together.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from orchestrator.experiments_file.accelerators import AcceleratorField
from orchestrator.experiments_file.recipes import (
    LearningRateField,
    OptimizerField,
    Positive,
    Recipe,
    RecipeField,
    SamField,
    ScheduleField,
    WarmupField,
)
from orchestrator.experiments_file.simulate import FinetunedErrorField, LossField, SimulateField
from scaling.accelerators import Accelerator, accelerator, canonical
from scaling.prices import CURRENCY, THE_FILES, Prices
from trainer.models import family_of
from trainer.optimizers.sgd_agc import SgdAgc

__all__ = [
    "AcceleratorField",
    "AugmentField",
    "BudgetField",
    "ChosenField",
    "ConfirmAbove",
    "DatasetField",
    "EarlyStopField",
    "ExecutionField",
    "FinetuneField",
    "FinetuneRecipe",
    "FinetunedErrorField",
    "LearningRateField",
    "LossField",
    "ModelField",
    "NumericsField",
    "OptimizerField",
    "ResourcesField",
    "ScheduleField",
    "SimulateField",
    "Spec",
    "Spending",
    "TrainerField",
]

Count = Annotated[int, Field(gt=0, le=2**53, strict=True)]  # what float64 counts exactly


class _Field(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatasetField(BaseModel):
    """Names a data set: `{name: digits}`, or a user's own `{source: "package.module:factory"}`; the other keys are its options.

    name: of a kind of data set; with `source` it may be left out. path: folder of its files, from the folder where `scaling submit` is run.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    path: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, dict) and "source" in value and "name" not in value:
            return value | {"name": "source"}
        return value

    @property
    def options(self) -> dict[str, object]:
        """Return what is said beyond the name."""
        path = {} if self.path is None else {"path": self.path}
        return path | (self.model_extra or {})


class ModelField(BaseModel):
    """Names a model: `nano-F1`, or `{name: wide, family: nfnet, width: […], depth: […], …}`; the other keys are the family's options.

    name: of a model that a family knows, or any name beside dimensions; with a `family` it may be left out: the options then make it.
    family: `nfnet`, `resnet` or `vit`; by default the one that knows the name. source: a family of your own, `package.module:factory`.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    family: str | None = None
    source: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if isinstance(value, dict) and isinstance(value.get("family"), str) and "name" not in value:
            return value | {"name": _name_of(value)}
        return {"name": value} if isinstance(value, str) else value

    @property
    def options(self) -> dict[str, object]:
        """Return what is said beyond name and family."""
        return dict(self.model_extra or {})

    @property
    def family_name(self) -> str:
        """Return the family as stated; else the family that knows the name, else NFNet for a model by its dimensions.

        Raises `UnknownName` when none does.
        """
        return self.source or self.family or family_of(self.name, self.options)


def _name_of(model: dict[str, Any]) -> str:
    """Name a model that is given by numbers alone, the same in whatever order: `resnet-depth=1x2-width=16x32`."""
    shown = {
        key: "x".join(map(str, value)) if isinstance(value, list) else str(value)
        for key, value in model.items()
        if key not in ("family", "source")
    }
    return "-".join([model["family"], *(f"{key}={shown[key]}" for key in sorted(shown))])


class AugmentField(_Field):
    """Says what is done to training images; nothing by default, and never to held-out ones. See `trainer.AugmentConfig`."""

    crop: bool = False
    crop_min_area: Annotated[float, Field(gt=0, le=1)] = 0.08
    flip: bool = False
    randaugment_layers: Annotated[int, Field(ge=0, le=16, strict=True)] = 0
    randaugment_magnitude: Annotated[float, Field(ge=0, le=30)] = 9.0
    mixup: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    cutmix: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    repeats: Count = 1

    @model_validator(mode="after")
    def _nothing_is_said_in_vain(self) -> AugmentField:
        """Refuse a field without effect: it would still give the run another id, and it would be trained twice."""
        for name, of, used in (
            ("crop_min_area", "crop", self.crop),
            ("randaugment_magnitude", "randaugment_layers", self.randaugment_layers > 0),
        ):
            if getattr(self, name) != type(self).model_fields[name].default and not used:
                raise ValueError(f"{name} is of {of}, which is off")
        return self


class NumericsField(_Field):
    """Sets the type of the computation.

    dtype: of activations and matrix products; parameters and the loss stay float32.
    """

    dtype: Literal["float32", "bfloat16"] = "float32"


class TrainerField(_Field):
    """Names a program that trains every run, in place of our own trainer: see `scaling docs programs`.

    command: its words; `{field}` stands for a field of the model, or for model, epochs, learning_rate, seed or batch_size.
    program_version: by default a hash of its files. data_version: of the data that it reads; both are part of the runs' ids.
    metric: what it has to report when it has finished. silence_seconds: how long it may report nothing once it has taken a step;
    startup_seconds: before that.
    """

    command: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
    program_version: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    data_version: Annotated[str, Field(max_length=100)] = ""
    metric: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_./-]*$", max_length=60)] = "val_loss"
    silence_seconds: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 300.0
    startup_seconds: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 3600.0


class ExecutionField(_Field):
    """Says how a run is computed: it changes speed and memory, and results by rounding only. See `trainer.Execution`.

    pack: how many runs that differ in learning rate and seed alone are trained at once (`trainer.train_many`).
    """

    micro_batch: Count | None = None
    scan: bool | None = None
    remat: Literal["none", "block", "dots"] = "none"
    fsdp: bool = False
    workers: Annotated[int, Field(ge=0, strict=True)] = 0
    on_out_of_memory: Literal["fail", "halve"] = "fail"
    on_bad_example: Literal["fail", "skip"] = "fail"
    pack: Annotated[int, Field(ge=1, le=64, strict=True)] = 1

    def clashes(self, resources: ResourcesField) -> Iterator[tuple[tuple[str, str], str]]:
        """Yield path and message of each field that packed runs cannot have, since they train on one device, each on whole batches."""
        if self.pack == 1:
            return
        for name in ("micro_batch", "fsdp"):
            if getattr(self, name):
                yield ("execution", name), f"runs that are packed cannot use {name}: leave out one of the two"
        if (resources.hosts or 1) > 1:
            yield ("resources", "hosts"), "runs that are packed train in one process: leave out hosts or execution.pack"
        elif resources.accelerator != "cpu" and resources.chip_count > 1:
            yield ("execution", "pack"), f"runs that are packed share one chip, and `resources` has {resources.chip_count}"


class ResourcesField(_Field):
    """Says what one run is given: cores of a CPU, chips of a host, or a TPU slice by topology.

    accelerator: `cpu`, a name of the table or one that `accelerators` declares. cores: of a CPU. chips: of GPUs or a TPU.
    topology: of a TPU slice, e.g. 4x4x8; a run is given one of cores, chips and topology.
    hosts: split the cores or chips evenly over so many processes, one a host; None is as many as hold them. A TPU slice has its own.
    mfu: model FLOPs utilisation that estimates assume, 0 … 1 of the accelerator's peak; None is 0.3, and 0.05 on a CPU.
    """

    accelerator: Annotated[str, AfterValidator(canonical)] = "cpu"
    cores: Count | None = None
    chips: Count | None = None
    topology: Annotated[str, Field(pattern=r"^\d+x\d+(x\d+)?$")] | None = None
    hosts: Count | None = None
    mfu: Annotated[float, Field(ge=1e-9, le=1)] | None = None

    @model_validator(mode="after")
    def _one_size(self) -> ResourcesField:
        if sum(size is not None for size in (self.cores, self.chips, self.topology)) > 1:
            raise ValueError("give one of `cores`, `chips` and `topology`")
        if self.cores is not None and self.accelerator != "cpu":
            raise ValueError(f"`cores` is for accelerator cpu; {self.accelerator} takes `chips` or `topology`")
        if self.topology is not None and not self.accelerator.startswith("TPU"):
            raise ValueError(
                f"`topology` is of TPU slices; {self.accelerator} takes {'`cores`' if self.accelerator == 'cpu' else '`chips`'}"
            )
        if self.hosts is not None and self.accelerator.startswith("TPU"):
            raise ValueError("`hosts` is not for TPUs: the topology fixes them")
        if self.hosts is not None and self.chip_count % self.hosts:
            raise ValueError(f"{self.chip_count} do not split evenly over {self.hosts} hosts")
        return self

    @property
    def assumed_mfu(self) -> float:
        """Return `mfu`, or the default: 0.05 on a CPU, else 0.3.

        ASSUMPTION: published trainings reach 0.3 to 0.4; nano models on a CPU core were seen at 0.03 to 0.1.
        """
        return self.mfu or (0.05 if self.accelerator == "cpu" else 0.3)

    @property
    def chip_count(self) -> int:
        """Return the chips of one run (cores, for a CPU)."""
        if self.topology is not None:
            return prod(int(side) for side in self.topology.split("x"))
        return self.cores or self.chips or 1


class Spending(_Field):
    """Holds a limit in core-hours, in money, or in both, of which the one that is reached first counts.

    core_hours: as the accelerator counts them. money: in the file's `currency`. usd: the same where that is USD.
    """

    core_hours: Positive | None = None
    money: Positive | None = None
    usd: Positive | None = None

    @model_validator(mode="after")
    def _says_how_much(self) -> Self:
        if self.core_hours is None and self.money is None and self.usd is None:
            raise ValueError("no limit is given: {core_hours: 2}, {usd: 100}, or {money: 100} in the file's `currency`")
        if self.money is not None and self.usd is not None:
            raise ValueError("`money` and `usd` are one limit: give one of them")
        return self

    @property
    def in_money(self) -> float | None:
        """Return the limit in money, whichever key gave it."""
        return self.usd if self.money is None else self.money


class BudgetField(Spending):
    """Caps what all runs of an experiment are charged: no run starts that would pass the cap."""


class EarlyStopField(_Field):
    """Allows runs to be stopped that cannot reach the frontier any more, with the reason shown: see `analysis.early_stop`.

    confidence: of the interval of a run's final loss. after: share of its steps before which no run is stopped; a run is evaluated then,
    and judged then and at each later share of `evaluate_at`.
    """

    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.99
    after: Annotated[float, Field(gt=0, lt=1)] = 0.5


def _for_all_models(value: object) -> object:
    """Write `learning_rate: 1.6`, `{grid: […]}` and `{policy: …}` as those of every model."""
    if isinstance(value, dict):
        rate = value.get("learning_rate")
        if isinstance(rate, (int, float)) or (isinstance(rate, dict) and set(rate) & set(LearningRateField.model_fields)):
            return value | {"learning_rate": {"*": rate}}
    return value


class ConfirmAbove(Spending):
    """Makes `scaling submit` ask before it spends more than this, by estimate."""


class ChosenField(_Field):
    """Chooses the pre-trained cells of each family that are fine-tuned: `all`, those on the `frontier`, or `{top: 3}` by validation loss.

    name: which of the three; `from: frontier` is short for it. top: how many of each family.
    """

    name: Literal["all", "frontier", "top"]
    top: Count | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if isinstance(value, dict) and set(value) == {"top"}:
            return value | {"name": "top"}
        return value if isinstance(value, dict) and "name" in value else {"name": value}

    @model_validator(mode="after")
    def _says_how_many(self) -> ChosenField:
        if (self.name == "top") != (self.top is not None):
            raise ValueError("give `all`, `frontier`, or how many: {top: 3}")
        return self


class FinetuneRecipe(RecipeField):
    """Says how the models of one family, or one model, are fine-tuned. model: options of the model that are others than in pre-training."""

    model: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it


class FinetuneField(_Field):
    """Says which pre-trained runs are fine-tuned, and how: what is not said is as in pre-training (`experiments_file.finetuning`).

    dataset: what is fine-tuned on. epochs: of fine-tuning, over its training split. from: `all` cells, those on the `frontier` of their family, or `{top: 3}` of each. Of a cell the runs at its best learning rate start
    a fine-tuning each, with their own seed.
    weights: `ema` or `final`; default: the average where pre-training keeps one. model: options of the models that are others.
    layer_decay: see `trainer.ParentConfig`.
    """

    dataset: DatasetField
    chosen: ChosenField = Field(ChosenField(name="all"), alias="from")
    weights: Literal["ema", "final"] | None = None
    epochs: Positive
    batch_size: Count | None = None
    learning_rate: dict[str, LearningRateField] = {}
    model: dict[str, Any] = {}
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    schedule: ScheduleField | None = None
    warmup: WarmupField | None = None
    optimizer: OptimizerField | None = None
    numerics: NumericsField | None = None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] | None = None
    augment: AugmentField | None = None
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    sam: SamField | None = None
    recipes: dict[str, FinetuneRecipe] = {}
    execution: ExecutionField | None = None
    resources: ResourcesField | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_learning_rate_for_all(cls, value: object) -> object:
        return _for_all_models(value)


class Spec(_Field):
    """Holds one experiment: models × epoch budgets × learning rates × seeds on one data set.

    A data set without a name and a batch size of 0 stand for what a program does not say, `THE_FILES` for the price of the file's accelerator.

    name: what the experiment is called; other cells under it are a new revision.
    dataset: what is trained on and held out; a name, or a mapping with options; required unless a program trains. models: names, or mappings with options.
    epochs: budgets, as passes over the training split; 0.25 is a quarter of it. batch_size: examples a step, over all devices; required unless a program trains.
    learning_rate: peak that the optimiser is given; a number, a grid or a search, for all models or one each.
    seeds: of initialisation and data order; the held-out split does not depend on them.
    schedule: how the learning rate goes over each budget, warm-up included; a name, or a mapping with options.
    optimizer: an optimiser, or one of your own by `package.module:function`; a name, or a mapping with options.
    numerics: the type of the computation. label_smoothing: share of a label that goes to all classes, in training; validation is always plain cross-entropy.
    augment: what is done to training images. ema: largest decay of an average of the parameters, which is evaluated in their place.
    sam: sharpness-aware minimisation around the optimiser.
    recipes: by family or model, what differs there from what the file says of all; a model's own comes before its family's.
    evaluate_at: shares of the steps after which the held-out loss is taken too. early_stop: lets runs be stopped that cannot win any more.
    execution: how a run is computed, which changes speed and memory. resources: what one run is given.
    accelerators: cards that the table has not, or has otherwise. price: money for a chip-hour of each accelerator, or one number for the file's.
    currency: label of prices and costs; nothing is converted. budget: caps what all runs are charged.
    confirm_above: estimate from which `scaling submit` asks first. simulate: rehearses in place of training.
    trainer: a program of your own that trains every run. finetune: which runs are fine-tuned, on what and how.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    dataset: DatasetField = DatasetField(name="")
    models: Annotated[list[ModelField], Field(min_length=1)]
    epochs: Annotated[list[Positive], Field(min_length=1)]
    batch_size: Count = 0
    learning_rate: dict[str, LearningRateField] = {}
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**32, strict=True)]], Field(min_length=1)] = [0]
    schedule: ScheduleField = ScheduleField()
    optimizer: OptimizerField = SgdAgc()
    numerics: NumericsField = NumericsField()
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    augment: AugmentField = AugmentField()
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    sam: SamField | None = None
    recipes: dict[str, RecipeField] = {}
    evaluate_at: list[Annotated[float, Field(gt=0, lt=1)]] = []
    early_stop: EarlyStopField | None = None
    execution: ExecutionField = ExecutionField()
    resources: ResourcesField = ResourcesField()
    accelerators: list[AcceleratorField] = []
    price: dict[str, Positive] = {}
    currency: Annotated[str, Field(pattern=r"^\S{1,12}$")] = CURRENCY
    budget: BudgetField | None = None
    confirm_above: ConfirmAbove | None = None
    simulate: SimulateField | None = None
    trainer: TrainerField | None = None
    finetune: FinetuneField | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_learning_rate_for_all(cls, value: object) -> object:
        """Let `learning_rate: 1.6`, `{grid: […]}` and `{policy: …}` stand for every model; `{nano-F0: …}` is one a model."""
        return _for_all_models(value)

    @property
    def kind(self) -> Accelerator:
        """Return what is known of the accelerator: as the file declares it, else as the table has it. Raises `UnknownName`."""
        return accelerator(self.resources.accelerator, [field.card for field in self.accelerators])

    @property
    def core_count(self) -> int:
        """Return the accelerator cores of one run, as core-hours count them."""
        return self.resources.chip_count * self.kind.cores_per_chip

    @model_validator(mode="before")
    @classmethod
    def _one_price_for_the_files_accelerator(cls, value: object) -> object:
        """Let `price: 2.5` stand for the accelerator of `resources`."""
        if isinstance(value, dict) and isinstance(price := value.get("price"), (int, float)) and not isinstance(price, bool):
            return value | {"price": {THE_FILES: price}}
        return value

    @property
    def prices(self) -> Prices | None:
        """Return what chip-hours cost; None where the file does not say."""
        return Prices.of(self.model_dump(mode="json", include={"price", "currency", "resources", "accelerators"}))

    def recipe_of(self, model: ModelField) -> Recipe:
        """Return how a model is trained. Raises `UnknownName` for one of no known family, where the file has recipes."""
        of_all = Recipe(self.optimizer, self.learning_rate.get("*"), self.schedule, self.label_smoothing, self.ema, self.sam)
        rate = self.learning_rate.get(model.name)
        by_family = self.recipes.get(model.family_name) if self.recipes else None
        own = RecipeField(learning_rate=rate) if rate else None
        return of_all.with_what_is_said((by_family, own, self.recipes.get(model.name)))

    @property
    def rates(self) -> dict[tuple[str, ...], LearningRateField]:
        """Return all that the file says of learning rates, by the keys that lead there."""
        of_all = {
            ("learning_rate",) if name == "*" else ("learning_rate", name): field for name, field in self.learning_rate.items()
        }
        return of_all | {
            ("recipes", name, "learning_rate"): recipe.learning_rate
            for name, recipe in self.recipes.items()
            if recipe.learning_rate
        }
