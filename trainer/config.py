"""`TrainConfig`: everything that `train` needs to know, and nothing about where or when it runs.

Two hashes come from it: the run id (all that changes the result) and the shape id (all that changes the compiled program).
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from scaling.errors import UnknownName, UsageError
from trainer.config_part import ConfigPart
from trainer.data.dataset import DataCard
from trainer.optimizers import OptimizerConfig, optimizer_from
from trainer.optimizers.sgd_agc import SgdAgc
from trainer.schedules import Schedule, schedule_class
from trainer.surface import Surface, as_first_written
from trainer.typing import Options

__all__ = [
    "RECIPE",
    "WEIGHTS",
    "AugmentConfig",
    "DataConfig",
    "ModelConfig",
    "NumericsConfig",
    "OptimizerConfig",
    "ParentConfig",
    "ProgramConfig",
    "SamConfig",
    "ScheduleConfig",
    "TrainConfig",
]

RECIPE = 1
"""Raised by hand when a change of this code changes results; a test of exact bits guards it."""

WEIGHTS = ("final", "ema")
"""What of a pre-trained run a fine-tuned one may start from."""


@dataclass(frozen=True)
class DataConfig(ConfigPart):
    """Names a data set, with its options and what its card says of it."""

    name: str
    card: DataCard
    options: Options = field(default_factory=dict)

    def _content(self) -> Mapping[str, object]:
        """Return what of the data changes the result: what they contain (the fingerprint), and how they are read where that has changed.

        Where they lie is not part of it, nor where the list lies of what is left out: its rows are part of the fingerprint.
        """
        options = {key: value for key, value in self.plain["options"].items() if key not in ("path", "exclude")}
        content = {"fingerprint": self.card.fingerprint, "train_examples": self.card.train_examples, "options": options}
        return content | {name: getattr(self.card, name) for name in ("corrections", "evaluation_margin_px")}

    def _neutral(self) -> Mapping[str, Any]:
        return {"options": {}, "corrections": (), "evaluation_margin_px": None}


@dataclass(frozen=True)
class ModelConfig(ConfigPart):
    """Names a model of a family. `options` change it: dimensions, dropout, stochastic depth.

    surface: of a rehearsal, the loss that it follows instead of being trained; of one that is fine-tuned, the top-1 error.
    """

    family: str
    name: str
    options: Options = field(default_factory=dict)
    surface: Surface | None = None

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Return what ids are made of. Rehearsals were once a family of their own, and their ids still say so."""
        model = dict(self.plain)
        if (surface := model.pop("surface")) is None:
            return model
        stands_for = {"of": model["family"], "of_options": model["options"], "surface": as_first_written(surface)}
        return {"family": "simulated", "name": model["name"], "options": stands_for}

    def _content(self) -> Mapping[str, object]:
        """Return the identity; of a user's family, `package.module:factory`, also that it starts from the module's own initial values.

        It once did not.
        """
        return self.identity | {"initial": "own"} if ":" in self.identity["family"] else self.identity

    def _neutral(self) -> Mapping[str, Any]:
        return {"options": {}}


@dataclass(frozen=True)
class ScheduleConfig(ConfigPart):
    """Says how long a run trains and how its learning rate changes: `name` is one of `trainer.schedules`.

    warmup_epochs, warmup_steps, warmup_share: of linear warm-up, in epochs, in steps or as a share of the run's steps; at most one is not 0.
    decay_fraction: share of the steps in which a schedule with a cool-down comes down; the others do not look at it.
    options: what else the schedule takes.
    """

    epochs: float
    name: str = "cosine"
    warmup_epochs: float = 0.0
    decay_fraction: float = 0.2
    warmup_steps: int = 0
    warmup_share: float = 0.0
    options: Options = field(default_factory=dict)

    @cached_property
    def schedule(self) -> Schedule:
        """Return the schedule. Raises `UnknownName`, `TypeError` for an option that it has not."""
        kind = schedule_class(self.name)
        decay = {"decay_fraction": self.decay_fraction} if any(item.name == "decay_fraction" for item in fields(kind)) else {}
        return kind(**decay | dict(self.options))

    def _neutral(self) -> Mapping[str, Any]:
        return {**super()._neutral(), "options": {}}


@dataclass(frozen=True)
class AugmentConfig(ConfigPart):
    """Says how training images are augmented; the held-out split never is. The default leaves images as they are.

    crop: random resized crop, its area a share of the image between `crop_min_area` and 1; else the image is resized whole.
    crop_min_area: smallest share of the image that a crop has.
    flip: mirror left and right with probability ½.
    randaugment_layers, randaugment_magnitude: RandAugment (arXiv 1909.13719); 0 layers turn it off.
    mixup, cutmix: parameter α of the Beta distribution (arXiv 1710.09412, 1905.04899); 0 turns it off; with both on, a batch takes either.
    repeats: how often an example appears in a batch, each time augmented anew (arXiv 1901.09335), at the same number of images a step.
    """

    crop: bool = False
    crop_min_area: float = 0.08
    flip: bool = False
    randaugment_layers: int = 0
    randaugment_magnitude: float = 9.0
    mixup: float = 0.0
    cutmix: float = 0.0
    repeats: int = 1

    @property
    def mixes(self) -> bool:
        """Say whether a training image may be made of two, with two labels."""
        return self.mixup > 0 or self.cutmix > 0


@dataclass(frozen=True)
class NumericsConfig(ConfigPart):
    """Names the dtype of the computation; parameters, weight standardisation and the loss stay float32."""

    dtype: str = "float32"


@dataclass(frozen=True)
class ProgramConfig(ConfigPart):
    """Names a program of a user's that trains the run; `model.options` are the fields of its models.

    command: words, in which `{field}` stands for a field of the model, or for model, epochs, learning_rate, seed or batch_size.
    version: of its files, as declared or by a hash. metric: what it has to report when it has finished.
    """

    command: tuple[str, ...]
    version: str
    metric: str = "val_loss"

    def _neutral(self) -> Mapping[str, Any]:
        return {}


@dataclass(frozen=True)
class SamConfig(ConfigPart):
    """Sets sharpness-aware minimisation (Foret et al. 2021, arXiv 2010.01412): each step takes the gradient at the worst place nearby.

    rho: how far that is, the L2 norm of the step towards it. share: of the batch, 0 … 1, that the direction to it is taken of.
    """

    rho: float = 0.05
    share: float = 0.2

    def _neutral(self) -> Mapping[str, Any]:
        return {}


@dataclass(frozen=True)
class ParentConfig(ConfigPart):
    """Names the pre-trained run that a run is fine-tuned from (`trainer.finetuning`).

    run: its id. weights: "final", its parameters after the last step, or "ema", their moving average.
    layer_decay: layer l of L trains at the learning rate · layer_decay^(L − l), the head, which is layer L, at the whole rate (BEiT, arXiv
        2106.08254). 1 is one rate for all.
    """

    run: str
    weights: str = "final"
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        if self.weights not in WEIGHTS:
            raise UnknownName("weights of a parent", self.weights, WEIGHTS)
        if not 0 < self.layer_decay <= 1:
            raise UsageError(f"layer_decay {self.layer_decay} is not above 0 and at most 1", hint="0.75, say; 1 is none")


@dataclass(frozen=True)
class TrainConfig:
    """Describes one training: all that changes its result, and nothing about where or when it runs.

    learning_rate: peak, given to the optimiser as it is, not rescaled by batch.
    batch_size: examples a step over all devices.
    label_smoothing: of the training loss; the validation loss is always plain.
    augment: what is done to training images.
    ema: largest decay of the exponential moving average of the parameters, min(ema, (1 + t) / (10 + t)) at step t. The average is
        evaluated then, not the parameters. None keeps none.
    parent: the run that this one is fine-tuned from; None trains from initial values.
    sam: sharpness-aware minimisation around the optimiser; None is without.
    program: what trains it in place of `trainer.train`. Then only epochs, learning rate, seed, model, batch size and data mean something; a batch
        size or a number of examples that nobody stated is 0.
    """

    data: DataConfig
    model: ModelConfig
    schedule: ScheduleConfig
    batch_size: int
    learning_rate: float
    seed: int = 0
    optimizer: OptimizerConfig = field(default_factory=SgdAgc)
    numerics: NumericsConfig = field(default_factory=NumericsConfig)
    label_smoothing: float = 0.0
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    ema: float | None = None
    parent: ParentConfig | None = None
    program: ProgramConfig | None = None
    sam: SamConfig | None = None
    recipe: int = RECIPE

    def run_id(self) -> str:
        """Return 16 hex digits of sha256 over canonical JSON of all that changes the result.

        Fields at their neutral value are left out, so that a new option leaves the ids of old runs alone.
        """
        values = {name: getattr(self, name) for name in _FIELDS}
        told = {name: value.significant if isinstance(value, ConfigPart) else value for name, value in values.items()}
        if ":" in self.model.family and self.optimizer.plain.get("weight_decay"):
            told["masks"] = "shape"  # of a user's family, weight decay once spared what is called bias or gain alone
        return _digest(
            {name: value for name, value in told.items() if value not in (None, {}) and value != _NEUTRAL.get(name, ...)}
        )

    @property
    def warmup_steps(self) -> int:
        """Return the steps of linear warm-up. Those of a share of the run depend on the epoch budget, others do not."""
        examples, schedule = self.data.card.train_examples, self.schedule
        if schedule.warmup_share:
            return round(schedule.warmup_share * math.ceil(round(schedule.epochs * examples) / self.batch_size))
        return schedule.warmup_steps or round(schedule.warmup_epochs * examples / self.batch_size)

    def shape_id(self) -> str:
        """Return 16 hex digits over what fixes the compiled program.

        Learning rate, schedule and seed are arguments of the program, so they are not in.
        """
        later: dict[str, object] = {name: part.plain for name in _LATER if (part := getattr(self, name)) is not None}
        if self.parent is not None and self.parent.layer_decay != 1:
            later["layer_decay"] = self.parent.layer_decay
        return _digest(
            {
                **later,
                "model": self.model.identity,
                "image_shape": list(self.data.card.image_shape),
                "eval_shape": list(self.data.card.eval_shape),
                "num_classes": self.data.card.num_classes,
                "batch_size": self.batch_size,
                "optimizer": self.optimizer.plain,
                "numerics": asdict(self.numerics),
                "label_smoothing": self.label_smoothing,
                "mixes": self.augment.mixes,
                "ema": self.ema,
                "recipe": self.recipe,
            }
        )

    def to_dict(self) -> dict[str, object]:
        """Return plain JSON values; `from_dict` reads them back."""
        return copy.deepcopy(self.to_shared_dict())

    def to_shared_dict(self) -> dict[str, object]:
        """Return the same as `to_dict`, but of parts that are shared with other configs of a grid: they must not be changed."""
        plain = {name: value for name in _FIELDS if (value := getattr(self, name)) is not None or name not in _LATER}
        return {name: value.plain if isinstance(value, ConfigPart) else value for name, value in plain.items()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> TrainConfig:
        """Read what `to_dict` wrote. Raises `TypeError` for a field that this version does not know."""
        parts = dict(content)
        data = dict(parts["data"])
        parts["data"] = DataConfig(**data | {"card": DataCard.from_dict(data["card"])})
        for kind, name in _FIELD_OF.items():
            if kind is not DataConfig and parts.get(name) is not None:
                parts[name] = kind(**parts[name])
        if "optimizer" in parts:
            parts["optimizer"] = optimizer_from(parts["optimizer"])
        if (program := parts.get("program")) is not None:
            parts["program"] = replace(program, command=tuple(program.command))
        if parts["model"].surface is not None:
            parts["model"] = replace(parts["model"], surface=Surface(**parts["model"].surface))
        return cls(**parts)


_FIELDS = tuple(item.name for item in fields(TrainConfig))
_FIELD_OF: dict[type, str] = {
    DataConfig: "data",
    ModelConfig: "model",
    ScheduleConfig: "schedule",
    NumericsConfig: "numerics",
    AugmentConfig: "augment",
    ProgramConfig: "program",
    SamConfig: "sam",
    ParentConfig: "parent",
}
_LATER = ("program", "sam")
"""Parts that came later: a config without them is as it was before."""


def _digest(content: Mapping[str, object]) -> str:
    return hashlib.sha256(_canonical(content).encode()).hexdigest()[:16]


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


_NEUTRAL: dict[str, Any] = {"label_smoothing": 0.0, "ema": None, "parent": None}
