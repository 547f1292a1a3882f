"""SGD with momentum and coupled weight decay, as ResNets are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.optimizers.protocol import Amount, Clipped, Optimizer, Share

if TYPE_CHECKING:
    from trainer.optimizers.masks import Masks

__all__ = ["Sgd"]


@dataclass(frozen=True)
class Sgd(Clipped, name="sgd"):
    """Holds the options of SGD, by default with Nesterov momentum.

    momentum: decay of the trace; the trace is not damped (v ← momentum·v + g). weight_decay: coupled: `weight_decay · w` is added to the
    gradient of what may be decayed. nesterov: use momentum·v + g in place of v.
    """

    momentum: Share = 0.9
    nesterov: bool = True
    weight_decay: Amount = 0.0

    def build(self, masks: Masks) -> Optimizer:
        import optax

        from trainer.optimizers.clipping import clipping

        decay = optax.masked(optax.add_decayed_weights(self.weight_decay), masks.of_decay)
        return optax.chain(*clipping(self, masks), decay, optax.trace(decay=self.momentum, nesterov=self.nesterov))
