"""The loss that a rehearsal states in place of a training's."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Surface"]


@dataclass(frozen=True)
class Surface:
    """States a known truth: the loss in nats of a model of N parameters after D examples, at a learning rate.

        loss = (E + A·N^-alpha + B·D^-beta) · exp(curvature · (ln lr − ln lr*)² + noise · z),     z ~ N(0, 1) by run
        lr*  = lr_best · epochs^-(lr_falls + lr_falls_faster · ln(N / lr_reference_params))

    The first factor is the surface of Hoffmann et al. 2022 (arXiv 2203.15556) with D in images. The best rate is as Smith et al. 2023
    (arXiv 2310.16764, sec. 2) saw it: it falls with the epoch budget, faster for larger models. A rate above `diverges_above` · lr*
    diverges. ASSUMPTION: the defaults give losses of 2.4 … 3.2 over the published grid (there: 2.4 … 3.0); no coefficients of it are
    published.
    """

    E: float = 2.1
    A: float = 520.0
    alpha: float = 0.41
    B: float = 4000.0
    beta: float = 0.41
    noise: float = 0.002
    curvature: float = 0.01
    lr_best: float = 1.6
    lr_falls: float = 0.15
    lr_falls_faster: float = 0.03
    lr_reference_params: float = 1e8
    diverges_above: float = 8.0

    def best_learning_rate(self, params: int, epochs: float) -> float:
        """Return lr*, the best learning rate of a model of `params` parameters at an epoch budget."""
        falls = self.lr_falls + self.lr_falls_faster * math.log(params / self.lr_reference_params)
        return self.lr_best * epochs**-falls

    def loss(self, params: int, examples: float, epochs: float, learning_rate: float, z: float = 0.0) -> float:
        """Return the loss in nats; `z` is the noise in standard deviations."""
        reducible = self.A * params**-self.alpha + self.B * max(examples, 1.0) ** -self.beta
        miss = math.log(learning_rate / self.best_learning_rate(params, epochs))
        return (self.E + reducible) * math.exp(self.curvature * miss**2 + self.noise * z)
