"""What every family that ships promises: its figures are those of the networks that it builds."""

import jax
import jax.numpy as jnp
import pytest

from trainer.models import _FAMILIES, family
from trainer.models.building import built
from trainer.models.counted import counted
from trainer.models.initial import variable_shapes

IMAGE = (8, 8, 1)


@pytest.mark.parametrize("name", _FAMILIES)
def test_counts_and_state_are_those_of_the_network_and_masks_answer(name):
    """Of the smallest model for small images; figures are stated, so that no command has to count."""
    known = family(name)
    model = next(model for model in known.names() if known.total_stride(model, {}) <= 4)
    module = built(name, model, {}, num_classes=10, image_shape=IMAGE, dtype=jnp.float32)
    found, shape = counted(module, image_shape=IMAGE), {"num_classes": 10, "image_shape": IMAGE}
    assert (found.params, found.macs) == (known.params(model, {}, **shape), known.macs(model, {}, **shape))
    assert found.state == known.state
    leaves = jax.tree_util.tree_leaves_with_path(variable_shapes(module, image_shape=IMAGE)["params"])
    paths = [(tuple(part.key for part in path), leaf.shape) for path, leaf in leaves]
    for mask in filter(None, (known.decayed, known.clipped)):
        assert {mask(*each) for each in paths} == {True, False}
    assert ("classifier", "kernel") in [path for path, _ in paths]
