"""The block `finetune` of an experiments file: what it takes over from pre-training, and its faults."""

import pytest
import yaml

from orchestrator.experiments_file import read_spec
from orchestrator.experiments_file.finetuning import finetuning_of, weights_of
from orchestrator.planning.plan import make_plan
from orchestrator.planning.priced import Priced
from scaling.errors import SpecError

STUDY = """\
name: study
dataset: {name: digits}
models: [nano-F0, nano-ViT-Ti]
epochs: [1, 2, 4]
batch_size: 64
learning_rate: {nano-F0: 1.6, nano-ViT-Ti: 0.001}
label_smoothing: 0.1
ema: 0.99
recipes:
  vit: {optimizer: {name: adamw, weight_decay: 0.05}, warmup: {epochs: 0.2}, ema: 0.9}
seeds: [0, 1]
finetune:
  dataset: {name: digits}
  epochs: 3
  learning_rate: 0.2
"""


def read(tmp_path, *changes, **said):
    content = STUDY + "".join(f"  {line}\n" for line in changes)
    path = tmp_path / "e.yaml"
    path.write_text(content)
    return read_spec(path, **said)


def recipe(spec, name):
    return spec.recipe_of(next(model for model in spec.models if model.name == name))


def test_what_is_not_said_is_as_in_pre_training(tmp_path):
    spec, _ = read(tmp_path)
    tuned = finetuning_of(spec)
    assert (tuned.epochs, tuned.batch_size, tuned.label_smoothing, tuned.ema) == ([3.0], 64, 0.1, 0.99)
    assert recipe(tuned, "nano-ViT-Ti").optimizer == recipe(spec, "nano-ViT-Ti").optimizer
    assert recipe(tuned, "nano-ViT-Ti").ema == 0.9
    assert recipe(tuned, "nano-ViT-Ti").schedule.warmup.epochs == 0.2
    assert recipe(tuned, "nano-F0").optimizer == recipe(spec, "nano-F0").optimizer
    assert recipe(tuned, "nano-F0").learning_rate.grid == [0.2]


def test_what_is_said_nearest_to_a_model_counts(tmp_path):
    spec, _ = read(
        tmp_path,
        "ema: null",
        "label_smoothing: 0",
        "optimizer: {name: sgd, momentum: 0.8}",
        "model: {dropout: 0.1}",
        "recipes: {vit: {learning_rate: 0.003, sam: {}, model: {dropout: 0.3}}, nano-F0: {ema: 0.5}}",
    )
    tuned = finetuning_of(spec)
    vit, nfnet = recipe(tuned, "nano-ViT-Ti"), recipe(tuned, "nano-F0")
    assert vit.optimizer == nfnet.optimizer == tuned.optimizer, "said of all in the block, before what the file says of a family"
    assert (vit.ema, nfnet.ema, vit.label_smoothing) == (None, 0.5, 0.0)
    assert (vit.learning_rate.grid, nfnet.learning_rate.grid) == ([0.003], [0.2])
    assert vit.sam is not None
    assert nfnet.sam is None
    assert [model.options for model in tuned.models] == [{"dropout": 0.1}, {"dropout": 0.3}]


def test_the_average_is_taken_where_pre_training_keeps_one(tmp_path):
    spec, _ = read(tmp_path)
    assert {weights_of(spec, model) for model in spec.models} == {"ema"}
    spec, _ = read(tmp_path, "weights: final")
    assert {weights_of(spec, model) for model in spec.models} == {"final"}


def test_every_setting_of_a_fine_tuning_is_in_the_config_of_its_runs(tmp_path):
    spec, document = read(
        tmp_path,
        "batch_size: 32",
        "augment: {repeats: 4}",
        "sam: {rho: 0.1}",
        "layer_decay: 0.75",
        "warmup: {steps: 5}",
        "numerics: {dtype: bfloat16}",
    )
    config = next(run.config for run in make_plan(spec, document).finetuning.runs)
    assert (config.batch_size, config.augment.repeats, config.sam.rho, config.parent.layer_decay) == (32, 4, 0.1, 0.75)
    assert (config.warmup_steps, config.numerics.dtype, config.schedule.epochs, config.parent.weights) == (
        5,
        "bfloat16",
        3.0,
        "ema",
    )


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("from: fronteir", "16: finetune.from: unknown value 'fronteir'; did you mean \"frontier\"?"),
        ("from: {top: 0}", "16: finetune.from.top: 0 is not allowed: it must be greater than 0"),
        ("from: top", "16: finetune.from: give `all`, `frontier`, or how many: {top: 3}"),
        ("epoch: 2", "16: finetune.epoch: unknown key 'epoch'; did you mean \"epochs\"?"),
        ("model: {droput: 1}", "16: finetune.model: unknown model option 'droput'"),
        (
            "batch_size: 5000",
            "16: finetune.batch_size: a batch of 5000 is larger than the training split of digits (1347 examples)",
        ),
        ("augment: {repeats: 3}", "16: finetune.augment.repeats: a batch of 64 cannot hold each example 3 times"),
        (
            "schedule: {name: constant, reuse_trunk: true}",
            "16: finetune.schedule.reuse_trunk: fine-tunings have no steps in common",
        ),
        ("warmup: {epochs: 3}", "14: finetune.epochs: warm-up of 3 epochs does not fit into a budget of 3"),
        ("recipes: {resnet: {ema: 0.9}}", "16: finetune.recipes.resnet: unknown model or family of this file 'resnet'"),
        (
            "recipes: {vit: {learning_rate: {at: {3: 0.1}}}}",
            "16: finetune.recipes.vit.learning_rate: there is one epoch budget: give a rate, a grid or a policy",
        ),
        (
            "recipes: {nfnet: {learning_rate: {policy: two-trial, start: 0.1, second: {weight_decay: {start: 0.1}}}}}",
            "16: finetune.recipes.nfnet.learning_rate.second: beside the rate nothing is searched for",
        ),
    ],
)
def test_a_fault_is_told_at_its_line(tmp_path, change, fault):
    with pytest.raises(SpecError) as error:
        read(tmp_path, change)
    assert f"e.yaml:{fault}" in str(error.value)
    assert len(error.value.faults) == 1, error.value


def test_an_image_that_no_patch_divides_is_told_of_the_model_in_fine_tuning(tmp_path):
    path = tmp_path / "e.yaml"
    declared = "{name: declared, title: t, train_examples: 100, validation_examples: 10, num_classes: 3, image_shape: [9, 9, 1]}"
    path.write_text(STUDY.replace("finetune:\n  dataset: {name: digits}", f"finetune:\n  batch_size: 10\n  dataset: {declared}"))
    with pytest.raises(SpecError, match=r"e.yaml:3: models\[1\]: in finetune: .*9"):
        read_spec(path, simulate=True)


def test_an_average_that_pre_training_does_not_keep_cannot_be_taken(tmp_path):
    path = tmp_path / "e.yaml"
    path.write_text(STUDY.replace("ema: 0.99\n", "") + "  weights: ema\n")
    with pytest.raises(SpecError, match=r"finetune\.weights: nano-F0 keeps no average in pre-training"):
        read_spec(path)


def test_a_program_is_not_fine_tuned_by_us(tmp_path):
    study = yaml.safe_load(STUDY)
    program = {
        "name": "p",
        "models": ["a"],
        "epochs": [1],
        "learning_rate": 1,
        "trainer": {"command": ["python", "-c", "{learning_rate}"]},
    }
    with pytest.raises(SpecError, match="'finetune' is of our own trainer"):
        read_spec(program | {"finetune": study["finetune"]})


def test_the_price_of_fine_tuning_is_told_beside_that_of_pre_training(tmp_path):
    found = {}
    for rule in ("all", "frontier", "{top: 2}"):
        priced = Priced(make_plan(*read(tmp_path, f"from: {rule}")))
        found[rule] = priced.finetuning
        assert priced.ahead_core_hours == pytest.approx(priced.plan.estimated_core_hours + priced.finetuning.core_hours)
    # Two families of one model and three budgets: a frontier of one model goes through all of its budgets.
    assert {rule: expected.cells for rule, expected in found.items()} == {"all": 6, "frontier": 6, "{top: 2}": 4}
    assert found["all"].runs == 6 * 2
    tuned = priced.plan.finetuning.runs
    assert found["all"].core_hours == pytest.approx(3 * sum(run.estimated_core_hours for run in tuned)), (
        "each model's runs, of each of three budgets"
    )
    assert "runs are fine-tuned on digits, on which they were pre-trained" in priced.notes


def declared(side, channels=1):
    shape = [side, side, channels]
    facts = {"title": "t", "train_examples": 100, "validation_examples": 10, "num_classes": 3, "image_shape": shape}
    return {"name": "declared", **facts}


def fine_tuned_to(dataset, model):
    study = yaml.safe_load(STUDY)
    of_all = {"models": [model], "learning_rate": 1.0, "recipes": {}, "batch_size": 10, "simulate": {}}
    return read_spec(study | of_all | {"finetune": study["finetune"] | {"dataset": dataset}})


def test_images_of_other_channels_are_refused_before_anything_is_trained():
    with pytest.raises(SpecError, match=r"finetune\.dataset: its images have 3 channels, and those of pre-training 1"):
        fine_tuned_to(declared(8, channels=3), "nano-F0")


FAMILY = """\
import flax.linen as nn
import jax.numpy as jnp
from trainer.models import Family


class Network(nn.Module):
    num_classes: int
    dtype: object = None

    @nn.compact
    def __call__(self, images, *, train=False):
        x = nn.Dense(4, name="pixels")(images.reshape(images.shape[0], -1))
        return nn.Dense(self.num_classes, name="classifier")(nn.gelu(x))


class Resized(Network):
    def resized(self, path, values, *, before, after):
        return jnp.zeros((after[0] * after[1] * after[2], 4)) if path == ("pixels", "kernel") else None


def family(kind=Network):
    return Family(names=lambda: ("m",), check=lambda name, options: None,
                  build=lambda name, *, num_classes, dtype: kind(num_classes, dtype))


def resizing():
    return family(Resized)
"""


def test_a_model_of_ones_own_that_does_not_fit_other_images_is_refused_before_anything_is_trained(tmp_path, monkeypatch):
    (tmp_path / "of_a_size.py").write_text(FAMILY)
    monkeypatch.syspath_prepend(tmp_path)
    model = {"name": "m", "source": "of_a_size:family"}
    with pytest.raises(
        SpecError, match=r"params/pixels/kernel is \[64, 4\] for images of 8 × 8 × 1, and \[144, 4\] for those of 12 × 12 × 1"
    ):
        fine_tuned_to(declared(12), model)
    fine_tuned_to(declared(8), model)
    fine_tuned_to(declared(12), model | {"source": "of_a_size:resizing"})
