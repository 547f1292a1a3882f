"""ResNets: published counts, timm's logits and averages, and what one does in training."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scaling
from orchestrator.experiments_file import read_spec
from scaling.errors import SpecError
from scaling.outcomes import AttemptOutcome
from tests.trainer.conftest import QUICK
from tests.trainer.seeded_resnet import CASES, images, timm_figures, weights
from trainer import DataConfig, ModelConfig, ScheduleConfig, TrainConfig, data
from trainer.models import family, resnet
from trainer.models.card import model_card
from trainer.models.counted import counted
from trainer.models.initial import initial_variables, variable_shapes
from trainer.models.resnet.network import Block
from trainer.optimizers.sgd import Sgd

pytestmark = pytest.mark.usefixtures("quick_compilation")

# Parameters: torchvision's tables. MACs and activations: fvcore's at 224 px, which timm's tables round (1.81, 3.66, 4.09, 7.80, 11.51 G).
PUBLISHED = {
    "ResNet-18": (11_689_512, 1.81e9, 2.48e6),
    "ResNet-34": (21_797_672, 3.66e9, 3.74e6),
    "ResNet-50": (25_557_032, 4.09e9, 11.11e6),
    "ResNet-101": (44_549_160, 7.80e9, 16.23e6),
    "ResNet-152": (60_192_808, 11.51e9, 22.56e6),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_are_those_published(name):
    card = model_card(name)
    params, macs, activations = PUBLISHED[name]
    assert card.params == params
    assert (card.macs, card.activations) == (pytest.approx(macs, rel=3e-3), pytest.approx(activations, rel=3e-3))
    assert card.total_stride == 32
    assert not card.counted


@pytest.mark.parametrize(
    ("name", "options", "image"),
    [
        ("ResNet-50", {}, (63, 40, 3)),
        ("nano-ResNet-14", {}, (9, 8, 1)),
        ("x", {"width": [8, 16], "depth": [2, 1], "stem": "medium", "strides": [2, 1], "expansion": 0.5}, (15, 16, 3)),
        ("y", {"width": [3, 6], "depth": [1, 2], "stem": "small", "block": "basic"}, (7, 7, 1)),
    ],
)
def test_counts_are_those_of_the_traced_network(name, options, image):
    found = counted(resnet.build(name, num_classes=7, **options), image_shape=image)
    shape = {"num_classes": 7, "image_shape": image}
    assert (found.params, found.macs) == (resnet.params(name, options, **shape), resnet.macs(name, options, **shape))
    assert found.state == resnet.STATE == family("resnet").state


def test_nano_variants_grow_by_threes_to_sixes():
    cards = [model_card(name, image_shape=(8, 8, 1), num_classes=10) for name in resnet.names() if name.startswith("nano-ResNet-")]
    assert [card.params for card in cards] == [1_384, 6_451, 27_095, 93_058, 263_086, 879_830]
    assert all(2.5 < after.macs / before.macs < 5 for before, after in pairwise(cards))


def test_a_name_tells_the_family_also_of_a_model_whose_width_is_changed():
    card = model_card("nano-ResNet-8", options={"width": [4, 8, 8]}, image_shape=(8, 8, 1), num_classes=10)
    assert (card.family, card.total_stride) == ("resnet", 4)
    assert card.params > 1_384


@pytest.mark.parametrize("name", CASES)
def test_logits_and_averages_are_those_of_timm(name):
    """Evaluation in float32; a training batch in float64, since norms over few values enlarge rounding.

    That of ResNet-50 is left to `benchmarks/resnet_logits.py`: it takes half a minute to compile.
    """
    case, theirs = CASES[name], timm_figures()[name]
    module = resnet.build(case.model, num_classes=case.classes, **case.options)
    variables = weights(variable_shapes(module, image_shape=case.image))
    logits = jax.jit(module.apply, compiler_options=QUICK)(variables, images(case))
    assert logits.dtype == jnp.float32
    close(logits[:, :8], theirs["eval"])
    if name == "50":
        return
    with jax.enable_x64(True):
        precise = module.clone(dtype=np.float64)
        step = jax.jit(lambda variables, x: precise.apply(variables, x, train=True, mutable=["batch_stats"]))
        logits, state = jax.device_get(step(variables, images(case)))
    close(logits[:, :8], theirs["train"])
    leaves = jax.tree_util.tree_leaves_with_path(state["batch_stats"])
    averages = {"/".join(part.key for part in path): leaf for path, leaf in leaves}
    assert averages.keys() == theirs["statistics"].keys()
    for path, expected in theirs["statistics"].items():
        close(averages[path][:2], expected)


def close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * max(1.0, np.std(theirs)))


def test_it_begins_as_published():
    """Kernels by He et al. with fan-out; the last scale of a block 0 or, if asked, 1; averages 0 and 1."""
    wide = resnet.build("x", width=[64], depth=[2], block="basic", stem="small", num_classes=10)
    variables = initial_variables(wide, seed=0, image_shape=(8, 8, 1))
    params = variables["params"]
    assert params["stem_conv"]["kernel"].std() == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.1)
    assert params["block1"]["conv1"]["kernel"].std() == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.02)
    assert params["classifier"]["kernel"].std() == pytest.approx(0.01, rel=0.1)
    for block in range(2):
        assert (params[f"block{block}"]["norm0"]["scale"] == 1).all()
        assert (params[f"block{block}"]["norm1"]["scale"] == 0).all()
    assert (variables["batch_stats"]["stem_norm"]["mean"] == 0).all()
    assert (variables["batch_stats"]["stem_norm"]["var"] == 1).all()
    plain = resnet.build("nano-ResNet-8", num_classes=10, zero_init_last=False)
    params = initial_variables(plain, seed=0, image_shape=(8, 8, 1))["params"]
    assert all((params[f"block{block}"]["norm1"]["scale"] == 1).all() for block in range(3))


def test_kernels_alone_are_decayed_and_clipped():
    """Scales that begin at 0 would stay near it under adaptive clipping, which goes by their norm."""
    shapes = variable_shapes(resnet.build("nano-ResNet-8", num_classes=10), image_shape=(8, 8, 1))["params"]
    leaves = jax.tree_util.tree_leaves_with_path(shapes)
    paths = {tuple(part.key for part in path): leaf.shape for path, leaf in leaves}
    assert {path[-1] for path, shape in paths.items() if resnet.decayed(path, shape)} == {"kernel"}
    assert {path[-1] for path, shape in paths.items() if not resnet.decayed(path, shape)} == {"scale", "bias"}
    assert {path for path in paths if resnet.decayed(path, ()) and not resnet.clipped(path, ())} == {("classifier", "kernel")}


def loss_and_gradients(remat):
    module = resnet.build("nano-ResNet-8", num_classes=5, remat=remat, dropout=0.2, stochastic_depth=0.6, zero_init_last=False)
    variables = initial_variables(module, seed=0, image_shape=(8, 8, 1))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(32, 8, 8, 1)), jnp.float32)

    def loss(params):
        given = variables | {"params": params}
        logits, state = module.apply(given, x, train=True, rngs={"dropout": jax.random.key(1)}, mutable=["batch_stats"])
        return jnp.mean(jnp.square(logits - 0.1)), state

    return jax.jit(jax.value_and_grad(loss, has_aux=True), compiler_options=QUICK)(variables["params"])


def test_rematerialisation_leaves_values_gradients_and_averages_alone():
    plain, again = loss_and_gradients("none"), loss_and_gradients("block")
    assert jax.tree.structure(plain) == jax.tree.structure(again)
    for ours, theirs in zip(jax.tree.leaves(again), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_stochastic_depth_drops_by_sample_and_keeps_the_mean():
    """A block whose branch gives 1 and whose input is 0 gives 0 where it is dropped, and 1 / (1 − rate) where it is not."""
    block = Block(width=1, inside=1, kind="basic", stride=1, train=True, drop_rate=0.75, last_scale=0.0, dtype=jnp.float32)
    x = jnp.zeros((4096, 1, 1, 1))
    variables = block.init(jax.random.key(0), x, None)
    params = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.ones_like(leaf) if (path[-2].key, path[-1].key) == ("norm1", "bias") else leaf, variables["params"]
    )
    given = {"params": params, "batch_stats": variables["batch_stats"]}
    y, _ = block.apply(given, x, None, rngs={"dropout": jax.random.key(2)}, mutable=["batch_stats"])
    assert set(np.unique(y)) == {0.0, 4.0}
    assert float(y.mean()) == pytest.approx(1.0, abs=0.1)


def test_a_nano_resnet_learns_the_digits(tmp_path):
    """Seeds 0 to 2 give 0.96 to 0.97."""
    config = TrainConfig(
        DataConfig("digits", data.card("digits", {})),
        ModelConfig("resnet", "nano-ResNet-14"),
        ScheduleConfig(epochs=3.0),
        batch_size=32,
        learning_rate=0.4,
        optimizer=Sgd(),
    )
    result = scaling.train(config, directory=tmp_path / "run")
    assert result.outcome is AttemptOutcome.FINISHED
    assert result.val_top1 > 0.9


FILE = """\
name: x
dataset: {name: digits}
models:
  - nano-ResNet-8
  - %s
epochs: [1]
batch_size: %d
learning_rate: 0.1
"""


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("{name: x, family: resnet, width: [8, 16], depth: [1]}", "need one entry a stage each"),
        ("{name: x, family: resnet, width: [8, 2], depth: [1, 1]}", "leaves a block of width 2 no channel inside"),
        ("{name: x, family: resnet, width: [8, 0.5], depth: [1, 1]}", "no list of whole numbers above 0"),
        ("{name: x, family: resnet, width: 8, depth: 1}", "no list of whole numbers above 0"),
        ("{name: x, family: resnet, width: [8], depth: [1], stem: smal}", 'did you mean "small"'),
        ("{name: x, family: resnet, width: [8], depth: [1], block: bottle}", 'did you mean "bottleneck"'),
        ("{name: nano-ResNet-14, dropout: 1}", "is not a rate"),
        ("{name: nano-ResNet-14, zero_init_last: 1}", "neither true nor false"),
        ("{name: nano-ResNet-14, heads: 3}", "unknown model option"),
        ("ResNet-50", "images of 8 px are too small for ResNet-50"),
    ],
)
def test_options_that_do_not_fit_are_one_line(tmp_path, model, said):
    path = tmp_path / "e.yaml"
    path.write_text(FILE % (model, 64))
    with pytest.raises(SpecError) as found:
        read_spec(path)
    (fault,) = found.value.faults
    assert fault.line == 5
    assert said in fault.message


def test_a_batch_of_one_is_refused_for_every_model_with_batchnorm(tmp_path):
    path = tmp_path / "e.yaml"
    path.write_text(FILE % ("nano-F0", 1))
    with pytest.raises(SpecError) as found:
        read_spec(path)
    (fault,) = found.value.faults
    assert (fault.line, fault.path) == (4, "models[0]")
    assert "nano-ResNet-8 has BatchNorm, and a batch of 1 has no statistics" in fault.message
