"""AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101), as Vision Transformers are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.optimizers.protocol import Amount, Clipped, Optimizer, Positive, Share

if TYPE_CHECKING:
    from trainer.optimizers.masks import Masks

__all__ = ["AdamW"]


@dataclass(frozen=True)
class AdamW(Clipped, name="adamw"):
    """Holds the options of AdamW.

    b1: decay of the mean of gradients. b2: decay of the mean of their squares. eps: added to the root of the latter.
    weight_decay: decoupled, times the learning rate of the step: `w ← w − rate · (direction + weight_decay · w)`, for what may be decayed.
    """

    b1: Share = 0.9
    b2: Share = 0.999
    eps: Positive = 1e-8
    weight_decay: Amount = 0.0

    def build(self, masks: Masks) -> Optimizer:
        import optax

        from trainer.optimizers.clipping import clipping

        decay = optax.add_decayed_weights(self.weight_decay, masks.of_decay)
        return optax.chain(*clipping(self, masks), optax.scale_by_adam(self.b1, self.b2, self.eps), decay)
