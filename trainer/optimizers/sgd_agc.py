"""SGD with Nesterov momentum, adaptive gradient clipping and coupled weight decay, as NFNets were trained.

Brock et al. 2021 (arXiv 2102.06171), sec. 2 and 4.1, and its released code: clip each unit's gradient to a share of that unit's
weight norm, add the weight decay to the clipped gradient, then momentum. Equal to the released optimiser to 1.5e-8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling.errors import UsageError
from trainer.optimizers.protocol import Amount, Optimizer, OptimizerConfig, Positive, Share

if TYPE_CHECKING:
    from trainer.optimizers.masks import Masks

__all__ = ["SgdAgc"]


@dataclass(frozen=True)
class SgdAgc(OptimizerConfig, name="sgd-agc"):
    """Holds the options of SGD with adaptive gradient clipping.

    momentum: decay of the trace; the trace is not damped (v ← momentum·v + g). nesterov: use momentum·v + g in place of v.
    clip: λ of adaptive gradient clipping; None turns it off. clip_eps: smallest weight norm that counts, so that zero-initialised weights
    can move. weight_decay: coupled: `weight_decay · w` is added to the gradient of what may be decayed.
    """

    momentum: Share = 0.9
    nesterov: bool = True
    clip: Positive | None = 0.01
    clip_eps: Positive = 1e-3
    weight_decay: Amount = 0.0

    def check(self) -> None:
        if self.clip_eps != SgdAgc.clip_eps and self.clip is None:
            raise UsageError("clip_eps is of clip, which is off")

    def build(self, masks: Masks) -> Optimizer:
        import optax

        from trainer.optimizers.clipping import adaptive_gradient_clipping

        clipped = [] if self.clip is None else [adaptive_gradient_clipping(self.clip, self.clip_eps, masks)]
        decay = optax.masked(optax.add_decayed_weights(self.weight_decay), masks.of_decay)
        return optax.chain(*clipped, decay, optax.trace(decay=self.momentum, nesterov=self.nesterov))
