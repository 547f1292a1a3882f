"""The ViT is the published one: counts to the integer, logits to 1e-5 of timm's with the same weights, also at another image size."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling.errors import UnknownName, UsageError
from tests.trainer.conftest import QUICK
from tests.trainer.seeded_vit import CASES, images, timm_logits, weights
from trainer.models import vit
from trainer.models.counted import counted
from trainer.models.initial import param_shapes
from trainer.models.vit.positions import resampled, sincos

TIMM_PARAMS = {
    "ViT-S/16": 22_050_664, "ViT-B/16": 86_567_656, "ViT-L/16": 304_326_632,
    "SoViT-400m/14": 428_833_704, "ViT-g/14": 1_037_857_384, "ViT-G/14": 1_882_797_416,
}  # fmt: skip
"""Parameters of timm 1.0.31's models with 1000 classes: `vit_small_patch16_224`, `vit_base_patch16_224` (torchvision's `vit_b_16` too), `vit_large_patch16_224`
(`vit_l_16`), `vit_so400m_patch14_siglip_224`; `vit_giant_patch14_224` and `vit_gigantic_patch14_224` with `global_pool="map", class_token=False`."""

PUBLISHED = [
    # Touvron et al. 2021 (arXiv 2012.12877), table 1 and 5: DeiT-S has 22 M; 4.6 G multiply–adds.
    ("ViT-S/16", 224, 22, 2 * 4.6),
    # torchvision's metadata of vit_b_16 and vit_l_16: 17.564 and 61.555 G multiply–adds.
    ("ViT-B/16", 224, 86, 2 * 17.564),
    ("ViT-L/16", 224, 304, 2 * 61.555),
    # Alabdulmohsin et al. 2023 (arXiv 2305.13035), table 1. Its images are 384² and 518²: of 384 px a patch of 14 px takes 378.
    ("SoViT-400m/14", 224, 428, 221),
    ("SoViT-400m/14", 378, 428, 672),
    ("SoViT-400m/14", 518, 428, 1374),
    ("ViT-L/16", 384, 303, 383),
    ("ViT-g/14", 518, 1011, 3208),
    ("ViT-G/14", 518, 1882, 5668),
]
"""Model, px, millions of parameters, GFLOPs of a forward pass (2 × MACs)."""


@pytest.mark.parametrize("name", vit.names())
def test_counts_are_those_of_the_module_and_of_timm(name):
    """The module is compared at two blocks: all are alike, and tracing 48 of them takes seconds."""
    shape = {"num_classes": 1000, "image_shape": (8, 8, 3) if name.startswith("nano") else (224, 224, 3)}
    found = counted(vit.build(name, depth=2, **shape), image_shape=shape["image_shape"])
    assert found.params == vit.params(name, {"depth": 2}, **shape)
    assert found.macs == vit.macs(name, {"depth": 2}, **shape)
    if name in TIMM_PARAMS:
        assert vit.params(name, {}, **shape) == TIMM_PARAMS[name]


@pytest.mark.parametrize(("name", "px", "params", "gflops"), PUBLISHED)
def test_counts_are_those_published(name, px, params, gflops):
    """Published GFLOPs count LayerNorm and softmax too: up to 0.5 % more. ViT-g's 1011 M leave out the pool (27 M) and the classifier."""
    shape = {"num_classes": 1000, "image_shape": (px, px, 3)}
    options = {"pool": "average"} if name == "ViT-g/14" else {}
    assert vit.params(name, options, **shape) / 1e6 == pytest.approx(params, rel=0.01)
    assert 2 * vit.macs(name, {}, **shape) / 1e9 == pytest.approx(gflops, rel=0.005)


def test_activations_are_those_that_fvcore_counts():
    """11.95 M: the image tower ViT-S-16 of open_clip's table of models, which has 384 outputs where the classifier has 1000."""
    shape = {"num_classes": 384, "image_shape": (224, 224, 3)}
    assert vit.activations("ViT-S/16", {}, **shape) / 1e6 == pytest.approx(11.95, abs=0.005)


def test_nanos_grow_from_two_thousand_to_a_million_parameters():
    params = [vit.params(name, {}, num_classes=10, image_shape=(8, 8, 1)) for name in vit.names() if name.startswith("nano")]
    assert params == [2_018, 13_658, 119_650, 1_009_738]
    fixed = {"positions": "sincos", "patch": 4}
    assert [vit.params(name, fixed, num_classes=10, image_shape=(32, 32, 1)) for name in vit.names()[-4:]] == [
        vit.params(name, fixed, num_classes=10, image_shape=(8, 8, 1)) for name in vit.names()[-4:]
    ]


@cache
def logits_of(name, **changes):
    case = CASES[name]
    module = vit.build(case.model, num_classes=case.classes, image_shape=case.trained, scan=True, **case.options | changes)
    params = weights(param_shapes(module, image_shape=case.trained))
    with jax.default_matmul_precision("highest"):
        return np.asarray(jax.jit(module.apply, compiler_options=QUICK)({"params": params}, images(case)))


@pytest.mark.parametrize("name", [name for name in CASES if name != "S/16 at 256 px"])
def test_logits_are_those_of_timm(name):
    """The weights are seeded; `python -m benchmarks.vit_logits --peer PYTHON` asks timm anew, ViT-S/16 at 256 px too."""
    expected = timm_logits()[name]
    np.testing.assert_allclose(logits_of(name)[:, : expected.shape[1]], expected, rtol=0, atol=1e-5)


def test_the_form_of_gelu_is_seen_in_the_logits():
    other = logits_of("sin-cos, resampled", gelu="tanh")
    assert 1e-5 < np.abs(other - logits_of("sin-cos, resampled")).max() < 1e-2


def test_resampled_positions_span_the_image():
    """A position that is linear in the place stays so inside: patch centres of 4 × 6 patches lie at other places than those of 8 × 12."""
    rows, columns = np.mgrid[:4, :6]
    before = np.stack([(rows + 0.5) / 4, (columns + 0.5) / 6], axis=-1).reshape(24, 2).astype(np.float32)
    after = np.asarray(resampled(jnp.asarray(before), (4, 6), (8, 12))).reshape(8, 12, 2)
    rows, columns = np.mgrid[:8, :12]
    np.testing.assert_allclose(after[3:5, 3:9], np.stack([(rows + 0.5) / 8, (columns + 0.5) / 12], axis=-1)[3:5, 3:9], atol=1e-6)
    assert resampled(before, (4, 6), (4, 6)) is before


def test_sincos_positions_are_sines_and_cosines_of_column_and_row():
    table = sincos((3, 5), 8).reshape(3, 5, 8)
    for row, column in ((0, 0), (2, 1), (1, 4)):
        x, y = np.array([column, column / 1e4]), np.array([row, row / 1e4])
        np.testing.assert_allclose(table[row, column], [*np.sin(x), *np.cos(x), *np.sin(y), *np.cos(y)], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 30, "depth": 2, "heads": 4, "patch": 2}, "4 heads do not divide a width of 30"),
        ({"width": 6, "depth": 2, "heads": 3, "patch": 2, "positions": "sincos"}, "sin-cos positions need a width that 4 divides"),
        ({"width": 8, "depth": 2, "patch": 2}, "x: heads is missing"),
        ({"width": 8, "depth": 0, "heads": 1, "patch": 2}, "depth 0 is not a whole number from 1"),
        ({"width": 8.0, "depth": 2, "heads": 1, "patch": 2}, "width 8.0 is not a whole number"),
        ({"width": 10**7, "depth": 2, "heads": 1, "patch": 2}, "from 1 to 1,000,000"),
        ({"width": 8, "depth": 2, "heads": 1, "patch": 2, "mlp": True}, "mlp True is not a whole number"),
        ({"width": 8, "depth": 2, "heads": 1, "patch": 2, "stochastic_depth": 1}, "stochastic_depth: 1 is not a rate"),
    ],
)
def test_dimensions_that_do_not_fit_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        vit.resolve("x", options)


def test_names_that_there_are_not_are_refused():
    for name, options, message in (
        ("ViT-S/17", {}, 'did you mean "ViT-S/16"'),
        ("nano-ViT-S", {"pool": "averages"}, 'did you mean "average"'),
        ("nano-ViT-S", {"gelu": []}, "unknown gelu"),
        ("nano-ViT-S", {"widht": 8}, 'did you mean "width"'),
    ):
        with pytest.raises(UnknownName, match=message):
            vit.resolve(name, options)
    with pytest.raises(UsageError, match="patches of 2 × 2 px do not divide images of 9 × 8 px"):
        vit.macs("nano-ViT-S", {}, num_classes=10, image_shape=(9, 8, 1))
    assert vit.resolve("ViT-S/16", {"width": 192}).hidden == 768
