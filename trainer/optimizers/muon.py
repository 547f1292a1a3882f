"""Muon: momentum whose matrices are made orthogonal, and AdamW for all that is no hidden matrix.

Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon); the scale of a step is that of Liu et al. 2025 (arXiv 2502.16982), so that
one learning rate serves both parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trainer.optimizers.protocol import Amount, Clipped, Optimizer, Positive, Share

if TYPE_CHECKING:
    import jax
    from optax.contrib import MuonDimensionNumbers

    from trainer.optimizers.masks import Masks

__all__ = ["Muon"]


@dataclass(frozen=True)
class Muon(Clipped, name="muon"):
    """Holds the options of Muon, in whose state are the coefficients of the iteration.

    momentum: of the matrices. nesterov: of both parts. rms: root mean square of an entry of a matrix's direction, that of Adam being about 0.2 to 0.4.
    b1, b2, eps: of AdamW for vectors, embeddings and the classifier. weight_decay: decoupled, of both, for what may be decayed.
    """

    starts_at_zero: ClassVar[bool] = False
    momentum: Share = 0.95
    nesterov: bool = True
    rms: Positive = 0.2
    b1: Share = 0.9
    b2: Share = 0.999
    eps: Positive = 1e-8
    weight_decay: Amount = 0.0

    def build(self, masks: Masks) -> Optimizer:
        import optax
        from optax.contrib import muon

        from trainer.optimizers.clipping import clipping

        orthogonal = muon(
            learning_rate=1.0,
            beta=self.momentum,
            nesterov=self.nesterov,
            eps=self.eps,
            adam_b1=self.b1,
            adam_b2=self.b2,
            consistent_rms=self.rms,
            muon_weight_dimension_numbers=lambda params: masks.map(lambda path, leaf: _matrix(path, leaf, masks), params),
        )
        decay = optax.add_decayed_weights(
            self.weight_decay, masks.of_decay
        )  # Optax's own decays all that AdamW takes, biases among it
        return optax.chain(*clipping(self, masks), orthogonal, optax.scale(-1.0), decay)


def _matrix(path: tuple[str, ...], leaf: jax.Array, masks: Masks) -> MuonDimensionNumbers | None:
    """Say how a kernel is a matrix: the inputs of an output are its rows, each layer and none of the classifier. None: AdamW takes it."""
    from optax.contrib import MuonDimensionNumbers

    one = len(masks.shape_of_one(path, leaf))
    if path[-1] != "kernel" or one < 2 or "classifier" in path:
        return None
    return MuonDimensionNumbers(tuple(range(leaf.ndim - one, leaf.ndim - 1)), leaf.ndim - 1)
