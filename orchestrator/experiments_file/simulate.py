"""The fields of a rehearsal, `simulate:` in an experiments file."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from orchestrator.experiments_file.recipes import Positive
from trainer.surface import FINETUNED, Surface

__all__ = ["FinetunedErrorField", "LossField", "SimulateField"]


class _Field(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LossField(_Field):
    """Sets the loss of a rehearsal: `trainer.surface.Surface`, which gives the formula. Fields that are not given are as there."""

    E: Annotated[float, Field(ge=0)] = Surface.E
    A: Annotated[float, Field(ge=0)] = Surface.A
    alpha: Positive = Surface.alpha
    B: Annotated[float, Field(ge=0)] = Surface.B
    beta: Positive = Surface.beta
    noise: Annotated[float, Field(ge=0)] = Surface.noise
    curvature: Annotated[float, Field(ge=0)] = Surface.curvature
    lr_best: Positive = Surface.lr_best
    lr_falls: float = Surface.lr_falls
    lr_falls_faster: float = Surface.lr_falls_faster
    lr_reference_params: Positive = Surface.lr_reference_params
    diverges_above: Positive = Surface.diverges_above
    power: Positive = Surface.power
    head_params: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Surface.head_params


class FinetunedErrorField(LossField):
    """Sets the top-1 error of what a rehearsal fine-tunes. Fields that are not given are as `trainer.surface.FINETUNED` has them."""

    @model_validator(mode="before")
    @classmethod
    def _other_defaults(cls, value: object) -> object:
        return asdict(FINETUNED) | value if isinstance(value, dict) else value


class SimulateField(_Field):
    """Turns the experiment into a rehearsal: nothing is trained, losses and fine-tuned errors follow stated surfaces.

    speed: rehearsed seconds that pass in a real one. chips: how many there are for all runs, by default one TPU-v4 pod.
    loss: the surface of the validation loss. finetuned_error: that of the top-1 error of what is fine-tuned.
    """

    speed: Positive = 3600.0
    chips: Annotated[int, Field(gt=0, le=2**53, strict=True)] = 4096
    loss: LossField = LossField()
    finetuned_error: FinetunedErrorField = FinetunedErrorField()

    @property
    def of_finetuning(self) -> SimulateField:
        """Return what the fine-tuned runs follow: their error in place of the loss."""
        return self.model_copy(update={"loss": self.finetuned_error})
