"""LAMB: AdamW's direction, scaled to the norm of each parameter, for large batches (You et al. 2020, arXiv 1904.00962)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.optimizers.protocol import Amount, Clipped, Optimizer, Positive, Share

if TYPE_CHECKING:
    import optax

    from trainer.optimizers.masks import Masks

__all__ = ["Lamb"]


@dataclass(frozen=True)
class Lamb(Clipped, name="lamb"):
    """Holds the options of LAMB.

    b1: decay of the mean of gradients. b2: decay of the mean of their squares. eps: added to the root of the latter.
    weight_decay: added to Adam's direction before it is scaled, for what may be decayed.
    """

    b1: Share = 0.9
    b2: Share = 0.999
    eps: Positive = 1e-6
    weight_decay: Amount = 0.0

    def build(self, masks: Masks) -> Optimizer:
        import optax

        from trainer.optimizers.clipping import clipping

        decay = optax.add_decayed_weights(self.weight_decay, masks.of_decay)
        return optax.chain(*clipping(self, masks), optax.scale_by_adam(self.b1, self.b2, self.eps), decay, _trust_ratio(masks))


def _trust_ratio(masks: Masks) -> optax.GradientTransformation:
    """Scale the direction of each parameter to its norm, and of a stack that of each layer, which Optax would take as one."""
    import optax

    of_one = optax.scale_by_trust_ratio()

    def update(
        updates: optax.Updates, state: optax.EmptyState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.EmptyState]:
        return masks.layerwise(
            lambda direction, weight: of_one.update(direction, of_one.init(weight), weight)[0], updates, params
        ), state

    return optax.GradientTransformation(optax.init_empty_state, update)
