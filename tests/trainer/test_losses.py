"""The training loss by its formula."""

import numpy as np
import pytest

from trainer.losses import cross_entropy


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("mixed", [False, True])
def test_smoothed_and_mixed_labels_by_the_formula(smoothing, mixed):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, 5)).astype(np.float32) * 3
    labels, other = rng.integers(0, 5, 6), rng.integers(0, 5, 6)
    share = rng.uniform(0.5, 1, 6).astype(np.float32) if mixed else np.ones(6, np.float32)
    exact = logits.astype(np.float64)
    log_p = exact - np.log(np.exp(exact).sum(1, keepdims=True))
    targets = share[:, None] * np.eye(5)[labels] + (1 - share)[:, None] * np.eye(5)[other]
    targets = (1 - smoothing) * targets + smoothing / 5
    options = {"other_labels": other, "mix": share} if mixed else {}
    np.testing.assert_allclose(cross_entropy(logits, labels, smoothing=smoothing, **options), -(targets * log_p).sum(1), rtol=2e-6)
