"""`TrainConfig`: everything that `train` needs to know, and nothing about where or when it runs.

Two hashes come from it: the run id (all that changes the result) and the shape id (all that changes the compiled program).
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from trainer.data.dataset import DataCard
from trainer.surface import Surface
from trainer.typing import Options

__all__ = [
    "RECIPE",
    "AugmentConfig",
    "DataConfig",
    "ModelConfig",
    "NumericsConfig",
    "OptimizerConfig",
    "ProgramConfig",
    "ScheduleConfig",
    "TrainConfig",
]

RECIPE = 1
"""Raised by hand when a change of this code changes results; a test of exact bits guards it."""


class _Part:
    """Caches a part of a config, which many configs of a grid share: its share of their ids is worked out once.

    Planning 10,000 runs takes 0.3 s of processor time, and would take 2.4 s without; 100,000 runs 3 s instead of 20 s.
    """

    @cached_property
    def _plain(self) -> dict[str, Any]:
        """Return the part as JSON values. Shared: copied before it is handed out."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[call-overload]

    @cached_property
    def _significant(self) -> dict[str, object]:
        """Return the fields that change the result and are not at their neutral value."""
        return _without_neutral(self._content(), _NEUTRAL[_FIELD_OF[type(self)]])

    def _content(self) -> Mapping[str, object]:
        return self._plain


@dataclass(frozen=True)
class DataConfig(_Part):
    """Names a data set, with its options and what its card says of it."""

    name: str
    card: DataCard
    options: Options = field(default_factory=dict)

    def _content(self) -> Mapping[str, object]:
        """Return what of the data changes the result: what they contain (the fingerprint), and how they are read where that has changed.

        Where they lie is not part of it.
        """
        options = {key: value for key, value in self._plain["options"].items() if key != "path"}
        content = {"fingerprint": self.card.fingerprint, "train_examples": self.card.train_examples, "options": options}
        return content | {name: getattr(self.card, name) for name in ("corrections", "evaluation_margin_px")}


@dataclass(frozen=True)
class ModelConfig(_Part):
    """Names a model of a family. `options` change it: dimensions, dropout, stochastic depth.

    surface: of a rehearsal, the loss that it follows instead of being trained.
    """

    family: str
    name: str
    options: Options = field(default_factory=dict)
    surface: Surface | None = None

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Return what ids are made of. Rehearsals were once a family of their own, and their ids still say so."""
        model = dict(self._plain)
        if (surface := model.pop("surface")) is None:
            return model
        stands_for = {"of": model["family"], "of_options": model["options"], "surface": surface}
        return {"family": "simulated", "name": model["name"], "options": stands_for}

    def _content(self) -> Mapping[str, object]:
        """Return the identity; of a user's family, `package.module:factory`, also that it starts from the module's own initial values.

        It once did not.
        """
        return self.identity | {"initial": "own"} if ":" in self.identity["family"] else self.identity


@dataclass(frozen=True)
class ScheduleConfig(_Part):
    """Says how long a run trains and how its learning rate changes: `name` is a key of `trainer.schedules.SCHEDULES`.

    decay_fraction: share of the steps in which warmup-stable-decay comes down; the others do not look at it.
    """

    epochs: float
    name: str = "cosine"
    warmup_epochs: float = 0.0
    decay_fraction: float = 0.2


@dataclass(frozen=True)
class AugmentConfig(_Part):
    """Says how training images are augmented; the held-out split never is. The default leaves images as they are.

    crop: random resized crop, its area a share of the image between `crop_min_area` and 1; else the image is resized whole.
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
class OptimizerConfig(_Part):
    """Holds the fields of `trainer.optimizers.sgd_agc`. `clip=None` turns adaptive gradient clipping off."""

    name: str = "sgd-agc"
    momentum: float = 0.9
    nesterov: bool = True
    clip: float | None = 0.01
    clip_eps: float = 1e-3
    weight_decay: float = 0.0


@dataclass(frozen=True)
class NumericsConfig(_Part):
    """Names the dtype of the computation; parameters, weight standardisation and the loss stay float32."""

    dtype: str = "float32"


@dataclass(frozen=True)
class ProgramConfig(_Part):
    """Names a program of a user's that trains the run; `model.options` are the fields of its models.

    command: words, in which `{field}` stands for a field of the model, or for model, epochs, learning_rate, seed or batch_size.
    version: of its files, as declared or by a hash. metric: what it has to report when it has finished.
    """

    command: tuple[str, ...]
    version: str
    metric: str = "val_loss"


@dataclass(frozen=True)
class TrainConfig:
    """Describes one training: all that changes its result, and nothing about where or when it runs.

    learning_rate: peak, given to the optimiser as it is, not rescaled by batch.
    batch_size: examples a step over all devices.
    label_smoothing: of the training loss; the validation loss is always plain.
    augment: what is done to training images.
    ema: largest decay of the exponential moving average of the parameters, min(ema, (1 + t) / (10 + t)) at step t. The average is
        evaluated then, not the parameters. None keeps none.
    parent: {"run": id, "step": n} when the run starts from another one's checkpoint.
    program: what trains it in place of `trainer.train`. Then only epochs, learning rate, seed, model, batch size and data mean something; a batch
        size or a number of examples that nobody stated is 0.
    """

    data: DataConfig
    model: ModelConfig
    schedule: ScheduleConfig
    batch_size: int
    learning_rate: float
    seed: int = 0
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    numerics: NumericsConfig = field(default_factory=NumericsConfig)
    label_smoothing: float = 0.0
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    ema: float | None = None
    parent: Mapping[str, object] | None = None
    program: ProgramConfig | None = None
    recipe: int = RECIPE

    def run_id(self) -> str:
        """Return 16 hex digits of sha256 over canonical JSON of all that changes the result.

        Fields at their neutral value are left out, so that a new option leaves the ids of old runs alone.
        """
        values = {name: getattr(self, name) for name in _FIELDS}
        told = {name: value._significant if isinstance(value, _Part) else value for name, value in values.items()}
        return _digest(
            {name: value for name, value in told.items() if value not in (None, {}) and value != _NEUTRAL.get(name, ...)}
        )

    @property
    def warmup_steps(self) -> int:
        """Return the steps of linear warm-up; they do not depend on the epoch budget."""
        return round(self.schedule.warmup_epochs * self.data.card.train_examples / self.batch_size)

    def shape_id(self) -> str:
        """Return 16 hex digits over what fixes the compiled program.

        Learning rate, schedule and seed are arguments of the program, so they are not in.
        """
        program = {} if self.program is None else {"program": asdict(self.program)}
        return _digest(
            {
                **program,
                "model": self.model.identity,
                "image_shape": list(self.data.card.image_shape),
                "eval_shape": list(self.data.card.eval_shape),
                "num_classes": self.data.card.num_classes,
                "batch_size": self.batch_size,
                "optimizer": asdict(self.optimizer),
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
        plain = {name: value for name in _FIELDS if (value := getattr(self, name)) is not None or name != "program"}
        return {name: value._plain if isinstance(value, _Part) else value for name, value in plain.items()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> TrainConfig:
        """Read what `to_dict` wrote. Raises `TypeError` for a field that this version does not know."""
        parts = dict(content)
        data = dict(parts["data"])
        parts["data"] = DataConfig(**data | {"card": DataCard.from_dict(data["card"])})
        for kind, name in _FIELD_OF.items():
            if kind is not DataConfig and name in parts:
                parts[name] = kind(**parts[name])
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
    OptimizerConfig: "optimizer",
    NumericsConfig: "numerics",
    AugmentConfig: "augment",
    ProgramConfig: "program",
}


def _digest(content: Mapping[str, object]) -> str:
    return hashlib.sha256(_canonical(content).encode()).hexdigest()[:16]


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _defaults(kind: Any) -> dict[str, object]:
    return {item.name: item.default for item in fields(kind)}


_NEUTRAL: dict[str, Any] = {
    "optimizer": _defaults(OptimizerConfig),
    "numerics": _defaults(NumericsConfig),
    "schedule": {"name": "cosine", "warmup_epochs": 0.0, "decay_fraction": 0.2},
    "model": {"options": {}},
    "data": {"options": {}, "corrections": (), "evaluation_margin_px": None},
    "label_smoothing": 0.0,
    "augment": _defaults(AugmentConfig),
    "ema": None,
    "parent": None,
    "program": {},
}


def _without_neutral(content: Mapping[str, object], neutral: Mapping[str, Any]) -> dict[str, object]:
    kept: dict[str, object] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and isinstance(neutral.get(key), Mapping) and neutral[key]:
            inner = _without_neutral(value, neutral[key])
            if inner:
                kept[key] = inner
        elif key not in neutral or value != neutral[key]:
            kept[key] = value
    return kept
