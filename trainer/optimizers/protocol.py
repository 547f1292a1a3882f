"""What a training step asks of an optimiser, and what an optimiser's file gives: its options, and how it is built of them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, TypeAlias

from annotated_types import Ge, Gt, Lt

from scaling.errors import UsageError
from trainer.config_part import ConfigPart
from trainer.typing import PyTree

if TYPE_CHECKING:
    from trainer.optimizers.masks import Masks

__all__ = ["REGISTERED", "Amount", "Clipped", "Optimizer", "OptimizerConfig", "Positive", "Share"]

Share: TypeAlias = Annotated[float, Ge(0), Lt(1)]
Amount: TypeAlias = Annotated[float, Ge(0)]
Positive: TypeAlias = Annotated[float, Gt(0)]


class Optimizer(Protocol):
    """Turns gradients into the direction of an update; an Optax `GradientTransformation` is one.

    Both methods are traced, and compiled with the step. Gradients, parameters and direction are trees of one structure, float32.
    """

    def init(self, params: PyTree, /) -> PyTree:
        """Return the state before the first step."""

    def update(self, gradients: PyTree, state: PyTree, params: PyTree, /) -> tuple[PyTree, PyTree]:
        """Return (direction, new state); the step then is `params ← params − learning_rate · direction`."""


REGISTERED: dict[str, type[OptimizerConfig]] = {}
"""Optimisers by name. A file of `trainer.optimizers` that has a subclass of `OptimizerConfig` adds it by being imported."""


@dataclass(frozen=True)
class OptimizerConfig(ConfigPart):
    """Holds the options of an optimiser: each kind is a frozen dataclass below this one, whose fields have defaults and bounds.

    The learning rate is no option: it is an argument of the compiled step, so that one program serves every rate and schedule.
    Importing such a file loads no JAX; `build` does.

    starts_at_zero: whether the state before the first step is all zeros, so that `init` need not be run to have it.
    """

    name: ClassVar[str] = ""
    starts_at_zero: ClassVar[bool] = True
    __pydantic_config__: ClassVar = {"allow_inf_nan": False}  # for the experiments file, which checks the bounds

    def __init_subclass__(cls, name: str = "") -> None:
        if name:
            cls.name = name
            REGISTERED[name] = cls

    @abstractmethod
    def build(self, masks: Masks) -> Optimizer:
        """Make the optimiser. masks: what may be done to which parameter."""

    def check(self) -> None:
        """Raise `UsageError` for options that do not go together."""

    def _written(self) -> dict[str, Any]:
        return {"name": self.name, **asdict(self)}

    def _neutral(self) -> dict[str, Any]:
        return {"name": "sgd-agc"} | {item.name: item.default for item in fields(self)}


@dataclass(frozen=True)
class Clipped(OptimizerConfig):
    """Holds how gradients are clipped before all else, for optimisers that leave it to the recipe.

    clip_norm: largest norm of all gradients together (Pascanu et al. 2013, arXiv 1211.5063). agc: share λ of a unit's weight norm that its
    gradient may have (`trainer.optimizers.clipping`). None turns either off.
    """

    clip_norm: Positive | None = None
    agc: Positive | None = None

    def check(self) -> None:
        if self.clip_norm is not None and self.agc is not None:
            raise UsageError("`clip_norm` and `agc` both clip: give one of them")
