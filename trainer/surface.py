"""What a rehearsal states in place of what a training gives: a loss, or of a fine-tuning the error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["FINETUNED", "Surface", "as_first_written"]


@dataclass(frozen=True)
class Surface:
    """States a known truth: the loss of a model of N parameters after D examples, at a learning rate.

        loss = (E + (A·n^-alpha + B·D^-beta)^power) · exp(curvature · (ln lr − ln lr*)² + noise · z),     z ~ N(0, 1) by run
        n    = N − head_params
        lr*  = lr_best · epochs^-(lr_falls + lr_falls_faster · ln(N / lr_reference_params))

    With `power` 1 the first factor is the surface of Hoffmann et al. 2022 (arXiv 2203.15556) with D in images; with E = 0 it is that of
    Kaplan et al. 2020 (arXiv 2001.08361, eq. 1.5), whose frontier is a straight line on log–log axes although each size levels off.
    `head_params` is what of N does not count, a classifier's share, as Kaplan et al. leave out embeddings.

    The loss is in nats. A fine-tuned run has a surface of its own, whose "loss" is the top-1 error, 0 … 1, with N and D those of
    pre-training, and `lr*` that of fine-tuning.

    The best rate is as Smith et al. 2023 (arXiv 2310.16764, sec. 2) saw it: it falls with the epoch budget, faster for larger models. A rate
    above `diverges_above` · lr* diverges. ASSUMPTION: the defaults give losses of 2.4 … 3.2 over the published grid (there: 2.4 … 3.0).
    `experiments/jft4b.yaml` has the values that `benchmarks/published_surface.py` calibrates on what is published.

    E: floor of the loss. A: what a model of one parameter adds. alpha: exponent of model size. B: what one example adds.
    beta: exponent of examples. noise: standard deviation of ln loss between seeds. curvature: rise of ln loss by the squared distance of
    ln lr from its best. lr_best: best rate at one epoch and `lr_reference_params`. lr_falls: exponent by which the best rate falls with epochs.
    lr_falls_faster: added to that exponent for each factor e in size. lr_reference_params: size at which nothing is added.
    diverges_above: factor of the best rate from which runs diverge. power: exponent of both terms together.
    head_params: parameters that do not count.
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
    power: float = 1.0
    head_params: float = 0.0

    def best_learning_rate(self, params: int, epochs: float) -> float:
        """Return lr*, the best learning rate of a model of `params` parameters at an epoch budget."""
        falls = self.lr_falls + self.lr_falls_faster * math.log(params / self.lr_reference_params)
        return self.lr_best * epochs**-falls

    def at_best_rate(self, params: float, examples: float) -> float:
        """Return the first factor of the loss. A model that has no more than the head's parameters counts as one parameter."""
        size = max(params - self.head_params, 1.0)
        return self.E + (self.A * size**-self.alpha + self.B * max(examples, 1.0) ** -self.beta) ** self.power

    def loss(self, params: int, examples: float, epochs: float, learning_rate: float, z: float = 0.0) -> float:
        """Return the loss; `z` is the noise in standard deviations."""
        miss = math.log(learning_rate / self.best_learning_rate(params, epochs))
        return self.at_best_rate(params, examples) * math.exp(self.curvature * miss**2 + self.noise * z)


FINETUNED = Surface(
    E=0.0,
    A=1.0405,
    alpha=0.24702,
    B=8.1003,
    beta=0.32821,
    noise=0.012,
    curvature=0.05,
    lr_best=0.1,
    lr_falls=0.0,
    lr_falls_faster=0.0,
    power=0.5,
)
"""The top-1 error after fine-tuning. `benchmarks/published_surface.py` fits A, B, the exponents and the noise to the 21 errors that were
digitised from Smith et al. 2023. lr_best is what Brock et al. 2021 (arXiv 2102.06171) fine-tune with. ASSUMPTION: the curvature, with which a rate
twice too high or low costs 2.4 % of the error."""

_LATER = ("power", "head_params")
"""Fields that came later: at their neutral value ids and studies do not tell of them."""


def as_first_written(surface: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a surface without those that came later and are at their neutral value."""
    return {name: value for name, value in surface.items() if name not in _LATER or value != getattr(Surface, name)}
